"""The pixels of one simulated FFI: turned to big-endian and summed for the checksum in one pass.

So a full frame with its uncertainty costs little more than the copy of its bytes.
"""

from __future__ import annotations

import numba
import numpy as np

from tasoc_kit.sources.header_text import BLOCK

__all__ = ["blocks_for", "encode"]


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
    return -(-pixels * 4 // BLOCK) * (BLOCK // 4)
