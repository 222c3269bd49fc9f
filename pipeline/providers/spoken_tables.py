"""What signs, units and abbreviations are called in English."""

from __future__ import annotations

UNITS = {
    "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute", "sec": "second", "secs": "second",
    "s": "second", "ms": "millisecond", "yr": "year", "yrs": "year", "g": "gram", "kg": "kilogram", "mg": "milligram",
    "μg": "microgram", "lb": "pound", "lbs": "pound", "oz": "ounce", "floz": "fluid ounce", "l": "liter", "ml": "milliliter",
    "cl": "centiliter", "μl": "microliter", "gal": "gallon", "tbsp": "tablespoon", "tsp": "teaspoon",
    "mm": "millimeter", "cm": "centimeter", "m": "meter", "km": "kilometer", "μm": "micrometer", "nm": "nanometer",
    "ft": "foot", "in": "inch", "mi": "mile", "yd": "yard", "m2": "square meter", "cm2": "square centimeter",
    "km2": "square kilometer", "ft2": "square foot", "m3": "cubic meter", "cm3": "cubic centimeter",
    "w": "watt", "kw": "kilowatt", "wh": "watt hour", "kwh": "kilowatt hour", "v": "volt", "mah": "milliamp hour",
    "ah": "amp hour", "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz",
    "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte", "mbps": "megabit per second",
    "gbps": "gigabit per second", "mb/s": "megabyte per second", "gb/s": "gigabyte per second",
    "mp": "megapixel", "px": "pixel", "fps": "frame per second", "db": "decibel", "lm": "lumen",
    "mph": "mile per hour", "km/h": "kilometer per hour", "m/s": "meter per second", "pcs": "piece", "bar": "bar",
    "kcal": "kilocalorie", "%": "percent", "°": "degree", "°c": "degree Celsius", "°f": "degree Fahrenheit",
    "x": "time", '"': "inch", "mmhg": "millimeter of mercury", "cal": "calorie", "★": "star",
}  # fmt: skip
UNCOUNTED = {"hertz", "kilohertz", "megahertz", "gigahertz", "percent", "bar", "yen", "paisa"}
UNCOUNTED |= {"yuan", "won", "baht", "satang", "dong", "rupiah", "lira", "kurus", "naira", "rand"}
# Units that are also words or letters: "5 in" stays "five in"; they count only when glued to their number.
GLUED_ONLY = {"in", "s", "m", "x", "v", "w", "bar", "cal", "mi"}
# But no word is written so; and what stands behind a length in inches: "6 in wide", "6 in x 8 in".
NO_WORDS = {"s", "m", "V", "W"}
BEHIND_INCHES = {
    "x", "by", "and", "or", "&", "-", "wide", "long", "tall", "high", "deep", "thick", "across", "diameter", "square",
}  # fmt: skip
# Units that are one also without a number.
ALONE = {"°c", "°f", "km/h", "m/s", "mb/s", "gb/s"}
SYMBOLS = {
    "&": "and", "+": "plus", "=": "equals", "@": "at", "%": "percent", "w/": "with", "w/o": "without", "#": "number",
    "vs": "versus", "vs.": "versus", "approx.": "approximately", "incl.": "including", "excl.": "excluding",
    "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "mr.": "mister", "mrs.": "missus", "dr.": "doctor",
    "c#": "C sharp", "f#": "F sharp", "24/7": "twenty four seven", "24x7": "twenty four seven",
    "1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters",
}  # fmt: skip
EIGHTHS = {"1": "one eighth", "3": "three eighths", "5": "five eighths", "7": "seven eighths"}
SYMBOLS |= {f"{count}/8": name for count, name in EIGHTHS.items()}
# Said so only ahead of a number.
BEFORE_NUMBER = {
    "no.": "number", "n°": "number", "ca.": "about", "~": "about", "≈": "about", "<": "less than",
    ">": "more than", "≤": "at most", "≥": "at least", "±": "plus or minus",
}  # fmt: skip
SIGNS = {"-": "minus", "+": "plus"} | {sign: said for sign, said in BEFORE_NUMBER.items() if len(sign) == 1}
SCALE_LETTERS = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion"}
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SHORT_MONTHS = {month[:3]: month for month in MONTHS} | {"Sept": "September"}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT_DAYS = {day[:3]: day for day in DAYS} | {"Tues": "Tuesday", "Thur": "Thursday", "Thurs": "Thursday"}
# Abbreviations whose full stop ends no sentence when the next word is written small.
STOPLESS = {"inc.", "co.", "ltd.", "corp.", "st.", "jr.", "sr."}
# And those that a name follows.
TITLES = {"Ms.", "Prof."}


def is_unit(token: str, after: str) -> bool:
    """Whether a token behind a number, and ahead of `after`, is its unit."""
    token = token.rstrip(".,;:!?")
    low = token.lower()
    if low == "in":
        return after.lower().strip(".,;:!?") in BEHIND_INCHES
    if low in GLUED_ONLY:
        # "24 W Main Street"
        return token in NO_WORDS and not (token.isupper() and after[:1].isupper())
    return low in UNITS and token not in {"G", "M2", "M3"}


def unit(name: str, *, one: bool) -> str:
    """A unit of UNITS in words, of one or of several."""
    return plural(UNITS[name], one=one)


def plural(name: str, *, one: bool) -> str:
    """A unit or coin after a number."""
    if one or name in UNCOUNTED:
        return name
    irregular = {"foot": "feet", "inch": "inches", "penny": "pence", "square foot": "square feet"}
    irregular |= {"real": "reais", "krona": "kronor", "krone": "kroner", "grosz": "groszy", "agora": "agorot"}
    first, space, rest = name.partition(" ")
    if rest.startswith(("per ", "of ", "Celsius", "Fahrenheit")):
        return f"{irregular.get(first, first + 's')}{space}{rest}"
    return irregular.get(name, name + "s")
