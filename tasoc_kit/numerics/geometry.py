"""Sky to pixel and back, for many TAN-SIP solutions and many points at once.

A solution is kept as the text of its FITS cards and counts place as the cube does: pixel *k*
of the FITS image, counted from 1, is the label *k* − 1, and pixel centres are integers. The
distortion is inverted by Newton's method on the forward polynomial, so both ways agree to
rounding; the inverse polynomials AP and BP of the header, good to 0.01 pixel, are not used.

Gnomonic projection: Calabretta & Greisen 2002, eq. 5 and 54. SIP: Shupe+ 2005.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

__all__ = ["Solution", "move_epoch", "pixel_to_sky", "read_solution", "sky_to_pixel", "usable_solution"]

_CARDS = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")
_HIGHEST_ORDER = 9
_NEWTON_STEPS = 12
_ROUND_TRIP = 1e-3


@dataclass(frozen=True)
class Solution:
    """One plate solution: a tangent point, a matrix and a distortion."""

    crval: tuple[float, float]
    crpix: tuple[float, float]
    matrix: np.ndarray
    """CD matrix (2, 2), degrees per pixel."""
    sip: np.ndarray
    """Coefficients (2, n, n) of u^p v^q for the column and the row."""

    def packed(self) -> np.ndarray:
        """Return crval, crpix and the matrix as 8 numbers."""
        return np.array([*self.crval, *self.crpix, *self.matrix.ravel()], dtype=np.float64)


def _numbers(text: str) -> dict[str, float]:
    """Return the numeric cards of a header text; strings and comments are passed over."""
    cards = text.split("\n") if "\n" in text else [text[i : i + 80] for i in range(0, len(text), 80)]
    found: dict[str, float] = {}
    for card in cards:
        if card[8:10] != "= ":
            continue
        value = card[10:].split("/", 1)[0].strip().replace("D", "E")
        try:
            found[card[:8].rstrip()] = float(value)
        except ValueError:
            continue
    return found


def _matrix(cards: dict[str, float]) -> np.ndarray:
    if "CD1_1" in cards:
        return np.array(
            [[cards["CD1_1"], cards.get("CD1_2", 0.0)], [cards.get("CD2_1", 0.0), cards.get("CD2_2", 0.0)]]
        )
    scale = (cards.get("CDELT1", 1.0), cards.get("CDELT2", 1.0))
    turn = [
        [cards.get("PC1_1", 1.0), cards.get("PC1_2", 0.0)],
        [cards.get("PC2_1", 0.0), cards.get("PC2_2", 1.0)],
    ]
    return np.diag(scale) @ np.array(turn)


def read_solution(text: str) -> Solution:
    """
    Return the plate solution in a FITS header text (80-character cards, or one per line).

    Raises
    ------
    ValueError
        If a card that a solution needs is missing, or the matrix cannot be inverted.
    """
    cards = _numbers(text)
    missing = [name for name in _CARDS if name not in cards]
    if missing:
        raise ValueError(f"plate solution: no {', '.join(missing)}")
    matrix = _matrix(cards)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-16:
        raise ValueError(f"plate solution: the matrix {matrix.tolist()} cannot be inverted")
    stated = max(cards.get("A_ORDER", 0), cards.get("B_ORDER", 0))
    if not 0 <= stated <= _HIGHEST_ORDER:
        raise ValueError(f"plate solution: SIP of the order {stated}; expected 0 to {_HIGHEST_ORDER}")
    order = int(stated)
    sip = np.zeros((2, order + 1, order + 1))
    for axis, letter in enumerate("AB"):
        for p in range(order + 1):
            for q in range(order + 1 - p):
                sip[axis, p, q] = cards.get(f"{letter}_{p}_{q}", 0.0)
    return Solution((cards["CRVAL1"], cards["CRVAL2"]), (cards["CRPIX1"], cards["CRPIX2"]), matrix, sip)


def _stack(wcs: str | Solution | Sequence[str | Solution]) -> tuple[np.ndarray, np.ndarray, bool]:
    single = isinstance(wcs, str | Solution)
    given = [wcs] if single else list(wcs)
    solutions = [item if isinstance(item, Solution) else read_solution(item) for item in given]
    size = max((s.sip.shape[1] for s in solutions), default=1)
    sip = np.zeros((len(solutions), 2, size, size))
    for k, solution in enumerate(solutions):
        n = solution.sip.shape[1]
        sip[k, :, :n, :n] = solution.sip
    packed = np.array([s.packed() for s in solutions]).reshape(len(solutions), 8)
    return packed, sip, single


@njit(cache=True, nogil=True, error_model="numpy")
def _distortion(sip: np.ndarray, u: float, v: float) -> tuple:
    """Return f, g and their derivatives in u and v at one point, by Horner's rule."""
    n = sip.shape[1]
    f = fu = fv = g = gu = gv = 0.0
    for p in range(n - 1, -1, -1):
        a = av = b = bv = 0.0
        for q in range(n - 1 - p, -1, -1):
            av = av * v + a
            a = a * v + sip[0, p, q]
            bv = bv * v + b
            b = b * v + sip[1, p, q]
        fu = fu * u + f
        f = f * u + a
        fv = fv * u + av
        gu = gu * u + g
        g = g * u + b
        gv = gv * u + bv
    return f, fu, fv, g, gu, gv


@njit(cache=True, nogil=True, error_model="numpy")
def _to_pixel(packed, sip, ra, dec, row, column):
    turn = np.pi / 180.0
    for k in range(packed.shape[0]):
        s = packed[k]
        ra0, sin0, cos0 = s[0] * turn, np.sin(s[1] * turn), np.cos(s[1] * turn)
        det = s[4] * s[7] - s[5] * s[6]
        for i in range(ra.size):
            d, a = dec[i] * turn, ra[i] * turn - ra0
            sin_d, cos_d, cos_a = np.sin(d), np.cos(d), np.cos(a)
            depth = sin0 * sin_d + cos0 * cos_d * cos_a
            if not depth > 0.0:
                row[k, i] = column[k, i] = np.nan
                continue
            x = cos_d * np.sin(a) / depth / turn
            y = (cos0 * sin_d - sin0 * cos_d * cos_a) / depth / turn
            goal_u = (s[7] * x - s[5] * y) / det
            goal_v = (s[4] * y - s[6] * x) / det
            u, v = goal_u, goal_v
            step = np.inf
            for _ in range(_NEWTON_STEPS):
                f, fu, fv, g, gu, gv = _distortion(sip[k], u, v)
                res_u, res_v = u + f - goal_u, v + g - goal_v
                slope = (1.0 + fu) * (1.0 + gv) - fv * gu
                du = ((1.0 + gv) * res_u - fv * res_v) / slope
                dv = ((1.0 + fu) * res_v - gu * res_u) / slope
                u -= du
                v -= dv
                step = abs(du) + abs(dv)
                if step < 1e-10:
                    break
            good = step < 1e-6
            column[k, i] = u + s[2] - 1.0 if good else np.nan
            row[k, i] = v + s[3] - 1.0 if good else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _to_sky(packed, sip, row, column, ra, dec):
    turn = np.pi / 180.0
    for k in range(packed.shape[0]):
        s = packed[k]
        sin0, cos0 = np.sin(s[1] * turn), np.cos(s[1] * turn)
        for i in range(row.size):
            u, v = column[i] + 1.0 - s[2], row[i] + 1.0 - s[3]
            f, _, _, g, _, _ = _distortion(sip[k], u, v)
            u, v = u + f, v + g
            x, y = (s[4] * u + s[5] * v) * turn, (s[6] * u + s[7] * v) * turn
            across = cos0 - y * sin0
            ra[k, i] = (s[0] + np.arctan2(x, across) / turn) % 360.0
            dec[k, i] = np.arctan2(sin0 + y * cos0, np.hypot(x, across)) / turn


def _points(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    a, b = np.broadcast_arrays(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    return np.ascontiguousarray(a.ravel()), np.ascontiguousarray(b.ravel()), a.shape


def sky_to_pixel(
    wcs: str | Solution | Sequence[str | Solution], ra: ArrayLike, dec: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the (row, column) labels of sky positions.

    Parameters
    ----------
    wcs
        One solution or many: FITS header text or :class:`Solution`.
    ra, dec
        Degrees, ICRS; any shape.

    Returns
    -------
    Two float64 arrays of the shape of the points for one solution, and of shape
    (solutions, …points) for many. A point behind the camera, or one where the distortion
    cannot be inverted, is NaN.
    """
    packed, sip, single = _stack(wcs)
    a, d, shape = _points(ra, dec)
    row = np.empty((len(packed), a.size))
    column = np.empty_like(row)
    _to_pixel(packed, sip, a, d, row, column)
    shape = shape if single else (len(packed), *shape)
    return row.reshape(shape), column.reshape(shape)


def pixel_to_sky(
    wcs: str | Solution | Sequence[str | Solution], row: ArrayLike, column: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return (ra, dec) in degrees of positions given as labels; shapes as in :func:`sky_to_pixel`."""
    packed, sip, single = _stack(wcs)
    r, c, shape = _points(row, column)
    ra = np.empty((len(packed), r.size))
    dec = np.empty_like(ra)
    _to_sky(packed, sip, r, c, ra, dec)
    shape = shape if single else (len(packed), *shape)
    return ra.reshape(shape), dec.reshape(shape)


def usable_solution(text: str, rows: int, columns: int) -> bool:
    """Return True if the solution exists and maps pixels to the sky and back all over the frame."""
    try:
        solution = read_solution(text)
    except ValueError:
        return False
    row, column = np.meshgrid(np.linspace(0, rows - 1, 5), np.linspace(0, columns - 1, 5))
    back_row, back_column = sky_to_pixel(solution, *pixel_to_sky(solution, row, column))
    error = np.hypot(back_row - row, back_column - column)
    return bool(np.all(error < _ROUND_TRIP))


def move_epoch(
    ra: ArrayLike, dec: ArrayLike, pmra: ArrayLike, pmdec: ArrayLike, years: float
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return (ra, dec) in degrees after ``years`` of proper motion.

    Parameters
    ----------
    ra, dec
        Degrees.
    pmra, pmdec
        mas per year; pmra includes cos(dec). NaN counts as no motion.
    years
        Julian years from the catalogue's epoch on.

    Notes
    -----
    Motion along a great circle, so stars near a pole are right; parallax and radial velocity
    are left out (below 0.01 pixel of TESS for every star but a few).
    """
    a, d = np.radians(np.asarray(ra, dtype=np.float64)), np.radians(np.asarray(dec, dtype=np.float64))
    scale = np.radians(1.0 / 3.6e6) * years
    east = np.nan_to_num(np.asarray(pmra, dtype=np.float64)) * scale
    north = np.nan_to_num(np.asarray(pmdec, dtype=np.float64)) * scale
    x = np.cos(d) * np.cos(a) - east * np.sin(a) - north * np.sin(d) * np.cos(a)
    y = np.cos(d) * np.sin(a) + east * np.cos(a) - north * np.sin(d) * np.sin(a)
    z = np.sin(d) + north * np.cos(d)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))
