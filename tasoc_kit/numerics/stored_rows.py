"""Rows of stored images: from an open file into native float32, within compiled code.

FITS keeps numbers in big-endian order. A few rows are read at a time and swapped while they are
in the cache, so that whoever wants only some rows never waits for a whole frame in memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

__all__ = ["copy_rows", "read_window"]

ROWS_AT_ONCE = 8
"""Read and swapped at once: few enough to leave the cache to whoever works on the rows."""

_pread = types.ExternalFunction("pread", types.intp(types.int32, types.voidptr, types.uintp, types.int64))


@njit(nogil=True, cache=True)
def _swap(stored, column, out):
    """Copy columns from ``column`` on of big-endian rows into ``out``; both uint32."""
    low, high = np.uint32(0xFF00), np.uint32(0xFF0000)
    for r in range(out.shape[0]):
        # Slices, for an index that is a sum may be negative and would be tested for every pixel.
        source, target = stored[r, column : column + out.shape[1]], out[r]
        for c in range(target.size):
            x = source[c]
            target[c] = (
                (x >> np.uint32(24))
                | ((x >> np.uint32(8)) & low)
                | ((x << np.uint32(8)) & high)
                | (x << np.uint32(24))
            )


@njit(nogil=True, cache=True)
def read_window(handle, start, stride, column, out):
    """
    Read part of some rows that follow each other in a file.

    Parameters
    ----------
    handle
        The open file.
    start
        Byte of the first pixel of the first row.
    stride
        Pixels in a stored row.
    column
        First column that is wanted.
    out
        float32 (row, column), C-contiguous.

    Returns
    -------
    False if the file did not give all bytes.
    """
    scratch = np.empty((ROWS_AT_ONCE, stride), np.uint32)
    for top in range(0, out.shape[0], ROWS_AT_ONCE):
        part = out[top : min(top + ROWS_AT_ONCE, out.shape[0])]
        wanted, done = part.shape[0] * stride * 4, 0
        while done < wanted:
            place = start + top * stride * 4 + done
            got = _pread(handle, scratch.ctypes.data + np.uintp(done), np.uintp(wanted - done), place)
            if got <= 0:
                return False
            done += got
        _swap(scratch, column, part.view(np.uint32))
    return True


@njit(nogil=True, cache=True)
def copy_rows(windows, frame, top, out):
    """
    Fill ``out`` (row, column) with rows from ``top`` on of one frame; False if that fails.

    ``windows`` is a :class:`tasoc_kit.sources.frame_files.Windows`.
    """
    if windows.handle[frame] < 0:
        # Not by slices: the words of their errors take seconds to compile.
        for r in range(out.shape[0]):
            for c in range(out.shape[1]):
                out[r, c] = windows.held[frame, top + r, c]
        return True
    stride = windows.stride[frame]
    start = windows.start[frame] + top * stride * 4
    return read_window(int(windows.handle[frame]), start, stride, windows.column[frame], out)
