"""Captions in other words than are spoken: a scene's subtitle over the time in which its narration is said."""

from __future__ import annotations

from pipeline.film.script import Word

SPACE = 1.6  # what a word takes beside its letters, in letters


def subtitle_words(subtitle: str, spoken: tuple[Word, ...]) -> tuple[Word, ...]:
    """The subtitle's words, one after the other from the first spoken word's start to the last one's end, by their letters."""
    tokens = subtitle.split()
    if not tokens or not spoken:
        return ()
    begin, end = spoken[0].start, max(word.end for word in spoken)
    weights = [len(token) + SPACE for token in tokens]
    total, done, found = sum(weights), 0.0, []
    for token, weight in zip(tokens, weights, strict=True):
        start = begin + (end - begin) * done / total
        done += weight
        found.append(Word(text=token, start=start, end=begin + (end - begin) * done / total))
    return tuple(found)
