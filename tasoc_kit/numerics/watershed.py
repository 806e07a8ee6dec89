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

_MANY = 1 << 14
"""Values from which on wide digits, and so fewer rounds, sort them sooner."""


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
        Flux of each place, float32, finite.
    places
        What is put in order, int32.
    """
    width, rounds = np.uint32(11 if flux.size > _MANY else 8), 3 if flux.size > _MANY else 4
    last = np.uint32((1 << width) - 1)
    bits, keys, order = flux.view(np.uint32), np.empty(flux.size, np.uint32), places.copy()
    counts = np.zeros((rounds, 1 << width), np.int64)
    for k in range(flux.size):
        keys[k] = _falling_key(bits[k])
        for digit in range(rounds):
            counts[digit, (keys[k] >> (np.uint32(digit) * width)) & last] += 1
    next_keys, next_order = np.empty_like(keys), np.empty_like(order)
    for digit in range(rounds):
        shift = np.uint32(digit) * width
        first = np.cumsum(counts[digit]) - counts[digit]
        for k in range(flux.size):
            bucket = (keys[k] >> shift) & last
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
) -> int:
    """
    Give every pixel of a patch its hill and every hill its owner; return the next number that is free.

    ``pixels`` (place, 2) holds the number of the hill, 0 where there is no pixel and negative where a
    marker stands, and receives when the pixel was taken; the two lie side by side in memory because that
    is what the time goes into. ``owner`` and ``parent`` hold the markers, each of which is a hill of
    its own; further hills are numbered from ``free``. The water reached a pixel when it was taken itself, or
    at ``joined``, when the pass to its hill was.
    """
    joined, waiting = np.zeros(order.size, np.int32), np.empty(4, np.int32)
    start = free
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
                # A hill with a marker of its own was never reached by a pass.
                arrival = pixels[q, 1] if beside < start else max(pixels[q, 1], joined[beside - start])
                if arrival < reached:
                    own, reached = beside, arrival
        if own > 0:
            for k in range(strangers):
                owner[waiting[k]], joined[waiting[k] - start] = owner[own], now
        elif strangers:
            own = _unite(parent, waiting[:strangers])
        else:
            own, parent[free], owner[free] = free, free, 0
            free += 1
        pixels[p, 0], pixels[p, 1] = own, now
    return free


@numba.njit(cache=True, nogil=True)
def _find_patches(allowed: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """
    Give allowed pixels that hang together one number, from 1; return what each number stands for.

    The numbers are written to ``pixels`` (place, 2), whose rows are one pixel wider on either side.
    Several may stand for one patch: the least of them is what they stand for.
    """
    rows, columns = allowed.shape
    same, free = np.empty(allowed.size // 2 + 2, np.int32), 1
    for i in range(rows):
        for j in range(columns):
            if not allowed[i, j]:
                continue
            p = (i + 1) * (columns + 2) + j + 1
            above, left = pixels[p - columns - 2, 0], pixels[p - 1, 0]
            if above == 0 and left == 0:
                same[free] = free
                above = free
                free += 1
            elif above == 0:
                above = left
            elif left != 0 and left != above:
                one, other = _root(same, above), _root(same, left)
                same[max(one, other)] = above = min(one, other)
            pixels[p, 0] = above
    for number in range(1, free):
        same[number] = same[same[number]]
    return same[:free]


@numba.njit(cache=True, nogil=True)
def _gather_patches(
    image: np.ndarray, allowed: np.ndarray, labels: np.ndarray, pixels: np.ndarray, same: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return places and flux of all patches with a marker, patch after patch, and where each patch starts.

    In ``pixels`` the markers take the place of the numbers, below 0; patches without one are dropped.
    """
    rows, columns = allowed.shape
    size, marked = np.zeros(same.size, np.int64), np.zeros(same.size, np.bool_)
    for i in range(rows):
        for j in range(columns):
            if allowed[i, j]:
                patch = same[pixels[(i + 1) * (columns + 2) + j + 1, 0]]
                size[patch] += 1
                marked[patch] |= labels[i, j] > 0
    size[~marked] = 0
    start = np.cumsum(size) - size
    places, flux, free = np.empty(size.sum(), np.int32), np.empty(size.sum(), np.float32), start.copy()
    for i in range(rows):
        for j in range(columns):
            if allowed[i, j]:
                p = (i + 1) * (columns + 2) + j + 1
                patch = same[pixels[p, 0]]
                pixels[p, 0] = 0
                if marked[patch]:
                    places[free[patch]], flux[free[patch]], pixels[p, 0] = p, image[i, j], -labels[i, j]
                    free[patch] += 1
    return places, flux, np.append(start[marked], places.size)


@numba.njit(cache=True, nogil=True)
def flood(image: np.ndarray, allowed: np.ndarray, labels: np.ndarray) -> None:
    """
    Grow the markers in ``labels`` over the allowed pixels, from bright to faint, in place.

    Each pixel joins the basin that reaches it first; basins meet along the faint valleys. Pixels
    are neighbours along rows and columns. Allowed pixels that no marker reaches stay 0.
    Patches that do not touch one another are flooded one after another, so that each stays in the cache.

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
    pixels = np.zeros(((rows + 2) * width, 2), np.int32)
    places, flux, start = _gather_patches(image, allowed, labels, pixels, _find_patches(allowed, pixels))
    free = labels.max() + 1
    parent, owner = np.empty((2, free + places.size), np.int32)
    for marker in range(free):
        parent[marker] = owner[marker] = marker
    for patch in range(start.size - 1):
        some = slice(start[patch], start[patch + 1])
        free = _climb_down(bright_first(flux[some], places[some]), width, pixels, owner, parent, free)
    for i in range(rows):
        for j in range(columns):
            labels[i, j] = owner[_root(parent, pixels[(i + 1) * width + j + 1, 0])]
