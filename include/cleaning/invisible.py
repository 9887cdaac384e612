"""Characters that cannot be seen.

Two texts that look the same must be the same, so what is invisible goes: zero width space, byte order mark, soft
hyphen, word joiner, marks of direction, fillers, tags. What a script or an emoji needs to look right stays, by these
rules:

- a joiner or non-joiner (ZWJ, ZWNJ) after a virama, where it chooses the form of a consonant, and between two
  characters of a script whose letters take their form from their neighbours, as in Persian, Hindi or Mongolian;
- a joiner between two emoji, which makes them one;
- a variation selector after a character that has variants: ideographs, symbols, Mongolian, Myanmar and Phags-pa.

Characters that turn the direction of whole passages are no matter of this module: a text that holds one is refused.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import chain

# Unicode's Default_Ignorable_Code_Point, and the marks of interlinear annotations, but for joiners, selectors and what
# `include.cleaning.text` forbids.
_ALWAYS = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_JOINERS = "\u200c\u200d"
_SELECTORS = "\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"

# By blocks, for Python does not know the script of a character: Arabic to Myanmar, the scripts of South and South-East
# Asia and Mongolian, the presentation forms of Arabic, the older scripts of India, Adlam.
_SHAPED = (
    "\u0600-\u109f\u1700-\u180a\u1810-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
_VIRAMA_CLASS = 9
_VIRAMAS = "".join(
    chr(code)
    for code in chain(range(0x900, 0x1D00), range(0xA800, 0xAC00), range(0x10A00, 0x12000))
    if unicodedata.combining(chr(code)) == _VIRAMA_CLASS
)
_EMOJI = "\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_VARIED = (
    f"\xa9\xae\u203c\u2049\u2122\u2139{_EMOJI}\u1000-\u109f\u1800-\u180a\u1810-\u18af\ua840-\ua87f"
    "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)

_ANY = re.compile(f"[{_ALWAYS}{_JOINERS}{_SELECTORS}]")
_GONE = re.compile(f"[{_ALWAYS}]+")
_REPEATED = re.compile(f"([{_JOINERS}])[{_JOINERS}]+")
# What stays is matched first; what is left for the group goes.
_JOINER = re.compile(
    f"(?<=[{_VIRAMAS}])[{_JOINERS}]"
    f"|(?<=[{_SHAPED}])[{_JOINERS}](?=[{_SHAPED}])"
    f"|(?:(?<=[{_EMOJI}])|(?<=[{_EMOJI}]\ufe0f))\u200d(?=[{_EMOJI}])"
    f"|(?<=[{_VARIED}])[{_SELECTORS}]"
    f"|([{_JOINERS}{_SELECTORS}])"
)


def visible(text: str) -> str:
    """``text`` without the characters that cannot be seen and that no script needs."""
    if text.isascii() or not _ANY.search(text):
        return text
    joined = _REPEATED.sub(r"\1", _GONE.sub("", text))
    return _JOINER.sub(lambda found: "" if found[1] else found[0], joined)
