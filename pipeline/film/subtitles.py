"""Words over a time in which nobody says when each of them comes: by their letters, one after the other."""

from __future__ import annotations

from itertools import accumulate, pairwise

from pipeline.film.script import Word

SPACE = 1.6  # what a word takes beside its letters, in letters


def spread(text: str, begin: float, end: float, *, space: float = SPACE) -> tuple[Word, ...]:
    """The text's words from `begin` to `end`, in seconds."""
    tokens = text.split()
    weights = list(accumulate((len(token) + space for token in tokens), initial=0.0))
    edges = [begin + (end - begin) * weight / weights[-1] for weight in weights] if tokens else []
    return tuple(Word(text=token, start=a, end=b) for token, (a, b) in zip(tokens, pairwise(edges), strict=True))


def subtitle_words(subtitle: str, spoken: tuple[Word, ...]) -> tuple[Word, ...]:
    """A scene's subtitle over the time in which its narration is said."""
    return spread(subtitle, spoken[0].start, max(word.end for word in spoken)) if spoken else ()
