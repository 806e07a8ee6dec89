"""Headers of FITS files as text: cards of 80 characters in whole blocks, with valid checksums.

Real FFIs carry CHECKSUM only; DATASUM is added because astropy checks nothing without it. Text costs a
tenth of what a header of astropy takes, of which every look at a card asks for its configuration.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

__all__ = ["BLOCK", "Card", "card", "hdu_bytes", "header_block"]

BLOCK = 2880
"""Bytes of a block, of which headers and data take whole ones."""
Card = tuple[str, object, str]
"""Keyword, value and comment."""
_CHECKSUM_PLACE = "0" * 16


def card(key: str, value: object, comment: str) -> str:
    """Return one FITS card of 80 characters in fixed format; a value that is not known is left blank."""
    if key == "COMMENT":
        return f"{key:<8}{value}"[:80].ljust(80)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        text = " " * 20
    elif isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        quoted = value.replace("'", "''")
        text = f"'{quoted:<8}'".ljust(20)
    elif isinstance(value, int):
        text = f"{value:>20d}"
    else:
        text = f"{_float(float(value)):>20}"  # type: ignore[arg-type]
    return (f"{key:<8}= {text} / {comment}" if comment else f"{key:<8}= {text}")[:80].ljust(80)


def _float(value: float) -> str:
    text = f"{value:.16G}"
    if len(text) > 20:
        text = f"{value:.12E}"
    return text if "." in text or "E" in text else f"{text}.0"


def _fold(total: int) -> int:
    """Return the ones'-complement 32-bit sum (FITS standard 4.0, appendix J)."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


_PUNCTUATION = frozenset([*range(0x3A, 0x41), *range(0x5B, 0x61)])


def _checksum_text(total: int) -> str:
    """Return the 16 letters and digits that make the HDU sum to minus zero."""
    value = 0xFFFFFFFF - _fold(total)
    letters = [0] * 16
    for byte in range(4):
        part = value >> (24 - 8 * byte) & 0xFF
        four = [part // 4 + 0x30] * 4
        four[0] += part % 4
        while any(letter in _PUNCTUATION for letter in four):
            for first, second in ((0, 1), (2, 3)):
                if four[first] in _PUNCTUATION or four[second] in _PUNCTUATION:
                    four[first] += 1
                    four[second] -= 1
        for k in range(4):
            letters[4 * k + byte] = four[k]
    return bytes(letters[-1:] + letters[:-1]).decode("ascii")


def header_block(cards: Iterable[Card | str], data_sum: int) -> bytes:
    """
    Return a header of whole blocks that ends in checksums valid for the whole HDU.

    Parameters
    ----------
    cards
        As tuples, or as text that ``card`` returned before.
    data_sum
        Sum of the big-endian words of the data.
    """
    text = [one if isinstance(one, str) else card(*one) for one in cards]
    text.append(card("DATASUM", str(_fold(data_sum)), "data unit checksum"))
    end = "END".ljust(80)
    length = -(-(len(text) + 2) * 80 // BLOCK) * BLOCK
    blank = "".join([*text, card("CHECKSUM", _CHECKSUM_PLACE, "HDU checksum"), end]).ljust(length)
    total = int(np.frombuffer(blank.encode("ascii"), ">u4").sum(dtype=np.uint64)) + data_sum
    signed = card("CHECKSUM", _checksum_text(total), "HDU checksum")
    return "".join([*text, signed, end]).ljust(length).encode("ascii")


def hdu_bytes(cards: Iterable[Card | str], data: np.ndarray | None = None) -> bytes:
    """
    Return an HDU with its checksums.

    Parameters
    ----------
    cards
        All but END and the checksums.
    data
        Big-endian, as the cards say; none for a header alone.
    """
    content = b"" if data is None else data.tobytes()
    content += bytes(-len(content) % BLOCK)
    return header_block(cards, int(np.frombuffer(content, ">u4").sum(dtype=np.uint64))) + content
