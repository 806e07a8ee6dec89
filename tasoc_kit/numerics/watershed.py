"""The watershed: all light of an image divided among its markers, from bright to faint.

Pixels are taken in order of falling flux. One beside a basin joins it; one beside several joins the
basin that the water reached first; hills without a marker wait until a pass connects them. The
basins are those of ``skimage.segmentation.watershed`` on minus the flux (Meyer 1994), which keeps a
queue of pixels where this needs one sort.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["bright_first", "flood"]

_BITS = np.uint32(11)
_BUCKETS = 1 << 11


@numba.njit(cache=True, nogil=True)
def _falling_key(bits: np.uint32) -> np.uint32:
    """Return a number that falls as the float with these bits rises."""
    return bits if bits >> np.uint32(31) else bits ^ np.uint32(0x7FFFFFFF)


@numba.njit(cache=True, nogil=True)
def bright_first(flux: np.ndarray, places: np.ndarray) -> np.ndarray:
    """
    Return places in order of falling flux, those of equal flux as they came: a radix sort.

    Parameters
    ----------
    flux
        Flat float32 array, finite at the places.
    places
        Indices into it, int32.
    """
    bits = flux.view(np.uint32)
    keys, order = np.empty(places.size, np.uint32), places.copy()
    counts = np.zeros((3, _BUCKETS), np.int64)
    for k in range(places.size):
        key = _falling_key(bits[places[k]])
        keys[k] = key
        for digit in range(3):
            counts[digit, (key >> np.uint32(digit * _BITS)) & np.uint32(_BUCKETS - 1)] += 1
    next_keys, next_order = np.empty_like(keys), np.empty_like(order)
    for digit in range(3):
        shift = np.uint32(digit * _BITS)
        first = np.cumsum(counts[digit]) - counts[digit]
        for k in range(places.size):
            bucket = (keys[k] >> shift) & np.uint32(_BUCKETS - 1)
            next_keys[first[bucket]], next_order[first[bucket]] = keys[k], order[k]
            first[bucket] += 1
        keys, next_keys = next_keys, keys
        order, next_order = next_order, order
    return order


@numba.njit(cache=True, nogil=True)
def _root(parent: np.ndarray, hill: int) -> int:
    while parent[hill] != hill:
        parent[hill] = parent[parent[hill]]
        hill = parent[hill]
    return hill


@numba.njit(cache=True, nogil=True)
def _unite(parent: np.ndarray, hills: np.ndarray) -> int:
    """Make one of several hills that no marker has reached yet."""
    one = _root(parent, hills[0])
    for k in range(1, hills.size):
        parent[_root(parent, hills[k])] = one
    return one


@numba.njit(cache=True, nogil=True)
def _climb_down(
    order: np.ndarray, width: int, pixels: np.ndarray, owner: np.ndarray, parent: np.ndarray, free: int
) -> None:
    """
    Give every pixel its hill and every hill its owner.

    ``pixels`` (place, 2) holds the number of the hill, 0 where there is no pixel and negative where a
    marker stands, and receives when the pixel was taken; the two lie side by side in memory because that
    is what the time goes into. ``owner`` and ``parent`` start with the markers, each of which is a hill of
    its own; further hills are numbered from ``free``. The water reached a pixel when it was taken itself, or
    at ``joined``, when the pass to its hill was.
    """
    joined, waiting = np.zeros(parent.size, np.int32), np.empty(4, np.int32)
    for now in range(order.size):
        p = order[now]
        own, reached, strangers = -pixels[p, 0], now, 0
        for q in (p - width, p - 1, p + 1, p + width):
            if pixels[q, 0] <= 0:
                continue
            beside = _root(parent, pixels[q, 0])
            if owner[beside] == 0:
                waiting[strangers] = beside
                strangers += 1
            elif pixels[p, 0] == 0:
                arrival = max(pixels[q, 1], joined[beside])
                if arrival < reached:
                    own, reached = beside, arrival
        if own > 0:
            for k in range(strangers):
                owner[waiting[k]], joined[waiting[k]] = owner[own], now
        elif strangers:
            own = _unite(parent, waiting[:strangers])
        else:
            own = free
            free += 1
        pixels[p, 0], pixels[p, 1] = own, now


@numba.njit(cache=True, nogil=True)
def flood(image: np.ndarray, allowed: np.ndarray, labels: np.ndarray) -> None:
    """
    Grow the markers in ``labels`` over the allowed pixels, from bright to faint, in place.

    Each pixel joins the basin that reaches it first; basins meet along the faint valleys. Pixels
    are neighbours along rows and columns. Allowed pixels that no marker reaches stay 0.

    Parameters
    ----------
    image
        Flux (row, column), finite where allowed; compared as float32.
    allowed
        Boolean image: what may be flooded.
    labels
        Markers > 0, else 0; markers outside ``allowed`` are cleared.
    """
    rows, columns = image.shape
    width = columns + 2
    flux = np.empty((rows + 2) * width, np.float32)
    pixels = np.zeros((flux.size, 2), np.int32)
    places = np.empty(allowed.sum(), np.int32)
    used, markers = 0, 0
    for i in range(rows):
        for j in range(columns):
            if allowed[i, j]:
                p = (i + 1) * width + j + 1
                flux[p], pixels[p, 0], places[used] = image[i, j], -labels[i, j], p
                markers = max(markers, labels[i, j])
                used += 1
    parent = np.arange(markers + 1 + used, dtype=np.int32)
    owner = np.zeros(parent.size, np.int32)
    owner[: markers + 1] = parent[: markers + 1]
    _climb_down(bright_first(flux, places), width, pixels, owner, parent, markers + 1)
    for i in range(rows):
        for j in range(columns):
            labels[i, j] = owner[_root(parent, pixels[(i + 1) * width + j + 1, 0])]
