"""The plate solution of a simulated CCD, and how it moves with the pointing.

The tangent point, scale and fourth-order distortion are those of sector 1, camera 1, CCD 4.
The other CCDs of a camera are its mirror images about the optical axis, the other cameras lie
24 degrees apart along the ecliptic meridian, cameras 3 and 4 are mounted upside down, and every
sector turns by 27.7 degrees about the ecliptic pole: in the first sectors a simulated field lies
within half a degree of the real one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from tasoc_kit.numerics import detector
from tasoc_kit.numerics.geometry import Solution, pixel_to_sky
from tasoc_kit.simulation.pointing import CENTRE, Pose
from tasoc_kit.simulation.settings import SectorSettings

__all__ = ["INVERSE_TERMS", "ORDER", "TERMS", "boresight", "inverse_terms", "make_field", "moved"]

ORDER = 4
BORESIGHT = (352.6843566894531, -64.85306549072266, -137.84681701660156)
"""Right ascension, declination and roll of the spacecraft in sector 1, degrees."""
_SECTOR_TURN = 27.69
_CAMERA_STEP = 24.0
_OBLIQUITY = np.radians(23.4392911)

_CRVAL = (315.4075184165135, -28.95599979714701)
_CRPIX = (1045.0, 1001.0)
_CD = ((-0.005495654681849, 0.001441757140596), (-0.001576462149567, -0.005527475851378))
TERMS = tuple((p, q) for order in (2, 3, 4) for q in range(order + 1) for p in (order - q,))
_SIP_COLUMN = (
    *(-1.918478714828e-05, 1.706500106484e-05, -2.988141253236e-06),
    *(-2.642812068193e-09, 7.264857424789e-12, -2.692004564799e-09, 1.355357803391e-10),
    *(-1.990559364597e-13, 3.958365964628e-13, -3.466315047548e-13, 1.792693505438e-13),
    -6.951927118958e-14,
)
_SIP_ROW = (
    *(2.990245447057627e-6, -1.635567354874e-05, 1.993337625108e-05),
    *(1.676317405960e-10, -2.8965107240132e-9, 1.701653496866e-10, -2.704352536014e-09),
    *(2.251349976167e-13, -3.031114013644e-13, 3.749750819572e-13, -4.456786704909e-13),
    1.553743671796e-13,
)
INVERSE_TERMS = ((1, 0), (0, 1), *TERMS)


def _direction(ra: float, dec: float) -> np.ndarray:
    a, d = np.radians(ra), np.radians(dec)
    return np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])


def _tangents(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors to the east and to the north."""
    east = np.array([-direction[1], direction[0], 0.0]) / np.hypot(direction[0], direction[1])
    return east, np.cross(direction, east)


def _turn(axis: np.ndarray, degrees: float) -> np.ndarray:
    """Return the matrix that turns vectors about an axis."""
    x, y, z = axis / np.linalg.norm(axis)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def _to_equator(ecliptic: np.ndarray) -> np.ndarray:
    """Return the matrix of an ecliptic rotation in equatorial axes."""
    tilt = _turn(np.array([1.0, 0.0, 0.0]), np.degrees(_OBLIQUITY))
    return tilt @ ecliptic @ tilt.T


def _sector_turn(sector: int) -> np.ndarray:
    """Return the matrix that turns sector 1 into another sector."""
    return _to_equator(_turn(np.array([0.0, 0.0, 1.0]), _SECTOR_TURN * (sector - 1)))


def boresight(sector: int) -> tuple[float, float, float]:
    """Return right ascension, declination and roll of the spacecraft in degrees."""
    roll = np.radians(BORESIGHT[2])
    direction = _direction(*BORESIGHT[:2])
    east, north = _tangents(direction)
    turn = _sector_turn(sector)
    axis = turn @ (np.sin(roll) * east + np.cos(roll) * north)
    direction = turn @ direction
    east, north = _tangents(direction)
    return (
        float(np.degrees(np.arctan2(direction[1], direction[0])) % 360),
        float(np.degrees(np.arcsin(direction[2]))),
        float(np.degrees(np.arctan2(axis @ east, axis @ north))),
    )


def _sip(column: tuple[float, ...], row: tuple[float, ...], sign: float) -> np.ndarray:
    """Return the distortion; ``sign`` −1 mirrors it in the columns."""
    out = np.zeros((2, ORDER + 1, ORDER + 1))
    for (p, q), a, b in zip(TERMS, column, row, strict=True):
        out[0, p, q] = a * (sign if p % 2 == 0 else 1.0)
        out[1, p, q] = b * (1.0 if p % 2 == 0 else sign)
    return out


@lru_cache(maxsize=64)
def _make_field(sector: int, camera: int, ccd: int) -> Solution:
    sip = _sip(_SIP_COLUMN, _SIP_ROW, 1.0)
    real = Solution(_CRVAL, _CRPIX, np.array(_CD), sip)
    axis_row, axis_column = detector.camera_centre(1, 4)
    optical_axis = _direction(*(float(x) for x in pixel_to_sky(real, axis_row, axis_column)))
    beside = _direction(*(float(x) for x in pixel_to_sky(real, axis_row, axis_column + 1.0)))
    across = beside - (beside @ optical_axis) * optical_axis
    across /= np.linalg.norm(across)

    middle = _direction(*_CRVAL)
    east, north = _tangents(middle)
    along = [real.matrix[0, k] * east + real.matrix[1, k] * north for k in (0, 1)]
    crpix = _CRPIX
    if ccd in (1, 3):
        mirror = np.eye(3) - 2 * np.outer(across, across)
        middle, along = mirror @ middle, [-(mirror @ along[0]), mirror @ along[1]]
        other_row, other_column = detector.camera_centre(1, ccd)
        crpix = (other_column + axis_column - _CRPIX[0] + 2.0, _CRPIX[1] + other_row - axis_row)
        sip = _sip(_SIP_COLUMN, _SIP_ROW, -1.0)
    turn = _turn(optical_axis, 180.0) if (ccd in (1, 2)) != (camera in (3, 4)) else np.eye(3)
    if camera > 1:
        spine = np.cross(optical_axis, _direction(*BORESIGHT[:2]))
        turn = _turn(spine, _CAMERA_STEP * (camera - 1)) @ turn
    turn = _sector_turn(sector) @ turn
    middle, along = turn @ middle, [turn @ vector for vector in along]
    east, north = _tangents(middle)
    matrix = np.array([[vector @ east for vector in along], [vector @ north for vector in along]])
    ra = float(np.degrees(np.arctan2(middle[1], middle[0])) % 360)
    return Solution((ra, float(np.degrees(np.arcsin(middle[2])))), crpix, matrix, sip)


def make_field(settings: SectorSettings) -> Solution:
    """Return the plate solution that holds when the pose is the identity."""
    return _make_field(settings.sector, settings.camera, settings.ccd)


def _powers(points: np.ndarray, terms: tuple[tuple[int, int], ...]) -> np.ndarray:
    return np.stack([points[:, 0] ** p * points[:, 1] ** q for p, q in terms], axis=1)


@lru_cache(maxsize=1)
def _grid() -> np.ndarray:
    side = np.linspace(-1050.0, 1050.0, 11)
    u, v = np.meshgrid(side, side)
    return np.stack([u.ravel(), v.ravel()], axis=1)


def _scaled_fit(points: np.ndarray, values: np.ndarray, terms: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return polynomial coefficients (terms, 2) by least squares, well conditioned."""
    scale = 1000.0
    fit = np.linalg.lstsq(_powers(points / scale, terms), values, rcond=None)[0]
    return fit / np.array([scale ** (p + q) for p, q in terms])[:, None]


def _distort(sip: np.ndarray, points: np.ndarray) -> np.ndarray:
    coefficients = np.array([[sip[axis, p, q] for axis in (0, 1)] for p, q in TERMS])
    return _powers(points, TERMS) @ coefficients


def moved(field: Solution, pose: Pose) -> Solution:
    """
    Return the plate solution of a frame taken in a pose.

    Exact: the reference pixel moves with the pose, and because the pose is affine the moved
    distortion is again a polynomial of the same order.
    """
    reference = np.array([field.crpix[1] - 1.0, field.crpix[0] - 1.0])
    row, column = pose.move(*reference)
    matrix = pose.matrix[::-1, ::-1]
    points = _grid()
    before = points @ np.linalg.inv(matrix).T
    bent = _scaled_fit(points, _distort(field.sip, before) @ matrix.T, TERMS)
    sip = np.zeros_like(field.sip)
    for (p, q), pair in zip(TERMS, bent, strict=True):
        sip[:, p, q] = pair
    return replace(
        field,
        crpix=(float(column) + 1.0, float(row) + 1.0),
        matrix=field.matrix @ np.linalg.inv(matrix),
        sip=sip,
    )


def inverse_terms(solution: Solution) -> np.ndarray:
    """Return the coefficients (terms, 2) of the inverse distortion AP, BP, by :data:`INVERSE_TERMS`."""
    points = _grid()
    bent = points + _distort(solution.sip, points)
    return _scaled_fit(bent, points - bent, INVERSE_TERMS)


def direction_of_centre(field: Solution) -> np.ndarray:
    """Return the unit vector to the CCD centre, equatorial axes."""
    ra, dec = pixel_to_sky(field, CENTRE[0], CENTRE[1])
    return _direction(float(ra), float(dec))


def largest_distortion(solution: Solution) -> np.ndarray:
    """Return the largest distortion in column and row over the CCD, pixels."""
    return np.abs(_distort(solution.sip, _grid())).max(axis=0)
