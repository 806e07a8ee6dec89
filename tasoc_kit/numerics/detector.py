"""The TESS detector: sizes, the science area, the straps behind the CCD, camera centres.

Place is counted from 0 on the full stored frame, as the labels ``row`` and ``column`` are.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "CAMERA_CENTRE",
    "COLUMNS",
    "FULL_WELL",
    "READ_NOISE",
    "ROWS",
    "SCIENCE_COLUMNS",
    "SCIENCE_ROWS",
    "STRAP_COLUMNS",
    "ZERO_POINT",
    "camera_centre",
    "is_strap",
    "nominal_noise",
    "output_of_columns",
]

ROWS, COLUMNS = 2078, 2136
SCIENCE_ROWS = slice(0, 2048)
SCIENCE_COLUMNS = slice(44, 2092)
OUTPUTS = 4

ZERO_POINT = 20.451
"""TESS magnitude of 1 electron/s (median of sectors 1–5, Handberg+ 2021)."""
FULL_WELL = 2.0e5
"""Electrons a pixel holds before it bleeds (TESS Instrument Handbook, section 4)."""
READ_NOISE = 10.0
"""Electrons of read noise per 2-second read (TESS Instrument Handbook, section 6)."""
FRAME_SECONDS = 2.0

# First column of each pair of metal straps, counted from 1 on the science area
# (TESS Instrument Handbook, section 6.6.1; strap table of the TESSreduce project).
_STRAP_STARTS = (
    *(77, 81, 85, 205, 209, 213, 333, 337, 341, 461, 465, 469, 516, 520, 524, 589, 593, 597, 673, 675),
    *(717, 721, 725, 845, 849, 853, 973, 977, 981, 1067, 1071, 1075, 1195, 1199, 1203, 1323, 1327),
    *(1331, 1373, 1375, 1451, 1455, 1459, 1524, 1528, 1532, 1579, 1583, 1587, 1707, 1711, 1715),
    *(1835, 1839, 1843, 1963, 1967, 1971),
)
STRAP_COLUMNS: np.ndarray = (
    np.asarray([start + i for start in _STRAP_STARTS for i in (0, 1)], dtype=np.int32)
    - 1
    + SCIENCE_COLUMNS.start
)
"""Column labels with a metal strap behind them: there the CCD answers more to red light."""

CAMERA_CENTRE: dict[tuple[int, int], tuple[float, float]] = {
    (1, 1): (2099.52, 2158.22),
    (1, 2): (2098.02, -5.65),
    (1, 3): (2099.87, 2141.51),
    (1, 4): (2100.12, -22.41),
    (2, 1): (2094.03, 2148.59),
    (2, 2): (2095.81, -16.81),
    (2, 3): (2105.75, 2151.35),
    (2, 4): (2105.98, -13.12),
    (3, 1): (2092.34, 2152.18),
    (3, 2): (2093.11, -10.49),
    (3, 3): (2107.88, 2145.03),
    (3, 4): (2105.30, -17.37),
    (4, 1): (2091.43, 2149.26),
    (4, 2): (2093.35, -12.91),
    (4, 3): (2110.73, 2148.91),
    (4, 4): (2111.34, -14.63),
}
"""(row, column counted on the science area) of the optical axis, by camera and CCD (Handberg+ 2021)."""


def camera_centre(camera: int, ccd: int) -> tuple[float, float]:
    """Return the (row, column) labels of the optical axis on this CCD's frame."""
    row, column = CAMERA_CENTRE[camera, ccd]
    return row, column + SCIENCE_COLUMNS.start


def is_strap(columns: np.ndarray, reach: int = 1) -> np.ndarray:
    """Return True for column labels within ``reach`` columns of a strap, whose light spreads that far."""
    near = STRAP_COLUMNS[:, None] + np.arange(-reach, reach + 1)[None, :]
    return np.isin(columns, near)


def output_of_columns(columns: np.ndarray) -> np.ndarray:
    """
    Return which output (0 to 3) reads each column label: 512 columns of the science area each.

    Of the columns without sky before it and behind it each output has 11, in the same order
    (slices A to D of the CCID-80, TESS Instrument Handbook).
    """
    first, last = SCIENCE_COLUMNS.start, SCIENCE_COLUMNS.stop
    columns = np.asarray(columns)
    science = (columns - first) * OUTPUTS // (last - first)
    border = np.where(columns < first, columns, columns - last) * OUTPUTS // first
    return np.where((columns >= first) & (columns < last), science, border)


def nominal_noise(exposure: float) -> tuple[float, float]:
    """
    Return (a, b) of ``var = a + b · flux`` in electron/s for an exposure in seconds.

    Read noise of every 2-second read and the Poisson noise of the electrons; what a frame
    without an uncertainty image is given.
    """
    reads = exposure / FRAME_SECONDS
    return reads * READ_NOISE**2 / exposure**2, 1.0 / exposure
