"""What Kokoro-82M knows: its alphabet, how espeak's phonemes are written in it, and which voices a folder has.

The alphabet is the `vocab` of the model's config.json (Kokoro-82M v1.0, Apache-2.0): 114 signs with their numbers. It
writes an English diphthong or affricate as one sign, after misaki, the phonemizer it was trained with.
"""

# ruff: noqa: RUF001  phonetic signs

from __future__ import annotations

import re
import zipfile
from pathlib import Path

# Raise it when the sound of the same text changes for a reason that is not in the files: the alphabet, the cuts.
REVISION = 1
RATE = 24_000
HOP = 600  # samples of a unit of length: the model rounds each sign's length to 1/40 s
MOST_SIGNS = 510  # and a mark at each end
STYLES, STYLE_NUMBERS = 510, 256  # a voice has one style for each count of signs

# Signs in order of their numbers; a gap in the numbers begins a new run.
_RUNS = {
    1: ";:,.!?", 9: '—…"()“” ', 17: "\u0303ʣʥʦʨᵝꭧAI", 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef", 50: "hijklmnopqrstuvwxyz",
    69: "ɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ", 110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ",
    125: "ɾɻ", 128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ", 147: "ʒʔ", 156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘",
    177: "ᵻ",
}  # fmt: skip
ALPHABET = {sign: first + place for first, run in _RUNS.items() for place, sign in enumerate(run)}

# espeak ties the parts of one sound with ^. The longer ones come first.
_BOTH = (
    ("ʔˌn\u0329", "tᵊn"), ("ʔn\u0329", "tᵊn"), ("ʔn", "tᵊn"), ("a^ɪ", "I"), ("a^ʊ", "W"), ("ɔ^ɪ", "Y"), ("e^ɪ", "A"), ("d^ʒ", "ʤ"), ("t^ʃ", "ʧ"), ("ə^l", "ᵊl"),
    ("ʲ", ""), ("ɚ", "əɹ"), ("e", "A"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"), ("ɬ", "l"), ("ʔ", "t"), ("\u0303", ""),
)  # fmt: skip
_AMERICAN = (("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", ""), ("ɾ", "T"))
_BRITISH = (("A^ə", "ɛː"), ("iə", "ɪə"), ("ə^ʊ", "Q"))


def is_british(voice: str) -> bool:
    """Whether a voice was trained on British English: bf_emma, bm_george."""
    return voice.startswith("b")


def signs_of(phonemes: str, *, british: bool) -> str:
    """The phonemes of espeak (IPA with ties) in Kokoro's alphabet; what it has no sign for is left out."""
    for old, new in _BOTH + (_BRITISH if british else _AMERICAN):
        phonemes = phonemes.replace(old, new)
    # A consonant that is a syllable of its own has a small vowel ahead of it.
    phonemes = re.sub("(\\S)\u0329", r"ᵊ\1", phonemes).replace("o", "ɔ")
    # espeak joins "two hundred" to one word.
    phonemes = re.sub(r"(?<=[a-zA-Zɹː])(?=hˈʌndɹ)", " ", phonemes)
    return "".join(sign for sign in phonemes if sign in ALPHABET)


def voices_in(path: Path) -> list[str]:
    """The English voices of a folder of NAME.bin files, or of one .npz (or .bin) archive of arrays; [] without any."""
    if path.is_dir():
        names = [file.stem for file in path.glob("*.bin")]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    else:
        names = []
    return sorted(name for name in names if re.fullmatch(r"[ab][fm]_\w+", name))
