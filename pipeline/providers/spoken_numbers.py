"""Numbers in English words."""

from __future__ import annotations

import re

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth"}
# 1,299.50, 1'299.50 or 1,49,999.50, then 1.299,50 and 1.000.000, then 29.99, 29,99 and .5.
NUMBER = r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:'\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d{1,2}|\d{1,3}(?:\.\d{3}){2,}|\d+(?:[.,]\d+)?|\.\d+"


def number_words(number: int) -> str:
    """A whole number in words, without "and": 129 -> "one hundred twenty nine"."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return TENS[tens - 2] + (f" {ONES[rest]}" if rest else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{ONES[hundreds]} hundred" + (f" {number_words(rest)}" if rest else "")
    for size, name in SCALES:
        if size <= number < size * 1000:
            head, rest = divmod(number, size)
            return f"{number_words(head)} {name}" + (f" {number_words(rest)}" if rest else "")
    return digits(str(number))


def digits(number: str) -> str:
    """Digit by digit: 007 -> "zero zero seven"; other signs are left out."""
    return " ".join(ONES[int(digit)] for digit in number if digit.isdecimal())


def in_pairs(number: int) -> str:
    """A number of three or four digits as a model or a year is called: 4090 -> "forty ninety"; 9001 in the plain way."""
    head, rest = divmod(number, 100)
    if rest < 10 or head < 1:
        return number_words(number)
    return f"{number_words(head)} {number_words(rest)}"


def year(number: int) -> str:
    """2026 -> "twenty twenty six", 1905 -> "nineteen oh five", 2000 -> "two thousand"."""
    century, rest = divmod(number, 100)
    if number % 1000 < 10:
        return number_words(number)
    if rest == 0:
        return f"{number_words(century)} hundred"
    return f"{number_words(century)} {'oh ' if rest < 10 else ''}{number_words(rest)}"


def ordinal(number: int) -> str:
    """22 -> "twenty second"."""
    words = number_words(number).split()
    last = words[-1]
    words[-1] = ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return " ".join(words)


def split_number(number: str) -> tuple[int, str]:
    """(whole part, digits after the point) of what NUMBER matches.

    A comma before exactly three digits groups, else it is a point; so do two points, and points before a comma.
    """
    number = number.replace("'", "")
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d{1,2}|\d{1,3}(?:\.\d{3}){2,}", number):
        number = number.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d+,\d{1,2}", number):
        number = number.replace(",", ".")
    whole, _, rest = number.replace(",", "").partition(".")
    return int(whole or 0), rest


def number_value(number: str) -> float:
    """What NUMBER matches, as a number."""
    whole, rest = split_number(number)
    return float(f"{whole}.{rest or 0}")


def say_number(number: str) -> str:
    """Digits with points and commas: 4.8 -> "four point eight", 1.2.3 -> "one point two point three", 007."""
    if number.count(".") > 1 and not re.fullmatch(NUMBER, number):
        return " point ".join(say_number(part) for part in number.split("."))
    if len(number) > 1 and number.isdigit() and number.startswith("0"):
        return digits(number)
    whole, rest = split_number(number)
    return number_words(whole) + (f" point {digits(rest)}" if rest else "")
