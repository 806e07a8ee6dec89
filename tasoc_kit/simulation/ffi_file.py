"""Write one simulated FFI: header text and big-endian pixels, with valid checksums.

The pixels are turned to big-endian and summed for the checksum in one pass, and the headers are
text, so a full frame with its uncertainty costs little more than the copy of its bytes.
"""

from __future__ import annotations

import numba
import numpy as np

from tasoc_kit.simulation.ffi_cards import Card, card

__all__ = ["encode", "header_block"]

_BLOCK = 2880
_CHECKSUM_PLACE = "0" * 16


@numba.njit(nogil=True, cache=True)
def _encode(bits, out):
    """Store 32-bit words big-endian and return the sum of the words."""
    total = np.uint64(0)
    for i in range(bits.size):
        word = bits[i]
        total += np.uint64(word)
        out[i] = (
            ((word & np.uint32(0x000000FF)) << np.uint32(24))
            | ((word & np.uint32(0x0000FF00)) << np.uint32(8))
            | ((word & np.uint32(0x00FF0000)) >> np.uint32(8))
            | ((word & np.uint32(0xFF000000)) >> np.uint32(24))
        )
    return total


def encode(image: np.ndarray, out: np.ndarray) -> int:
    """
    Turn a float32 image into FITS bytes.

    Parameters
    ----------
    image
        C-contiguous float32.
    out
        uint32 array of whole FITS blocks to fill; what lies behind the pixels stays zero.

    Returns
    -------
    The sum of the big-endian words, for the checksum.
    """
    return int(_encode(image.reshape(-1).view(np.uint32), out[: image.size]))


def blocks_for(pixels: int) -> int:
    """Return how many 32-bit words whole FITS blocks of so many pixels take."""
    return -(-pixels * 4 // _BLOCK) * (_BLOCK // 4)


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


def header_block(cards: list[Card], data_sum: int) -> bytes:
    """
    Return a header of whole blocks that ends in checksums valid for the whole HDU.

    Real FFIs carry CHECKSUM only; DATASUM is added because astropy checks nothing without it.
    """
    text = [card(*c) for c in cards]
    text.append(card("DATASUM", str(_fold(data_sum)), "data unit checksum"))
    end = "END".ljust(80)
    length = -(-(len(text) + 2) * 80 // _BLOCK) * _BLOCK
    blank = "".join([*text, card("CHECKSUM", _CHECKSUM_PLACE, "HDU checksum"), end]).ljust(length)
    total = int(np.frombuffer(blank.encode("ascii"), ">u4").sum(dtype=np.uint64)) + data_sum
    signed = card("CHECKSUM", _checksum_text(total), "HDU checksum")
    return "".join([*text, signed, end]).ljust(length).encode("ascii")
