"""Another PSF than the nominal one, for whoever must not know the true PSF beforehand.

``skewed`` is a Moffat profile, drawn out along a direction that turns over the CCD, with a tail on
one side. A Moffat profile is a mixture of Gaussians whose inverse variances follow a gamma
distribution (the two-dimensional Student t); a few of them, at the nodes of Gauss and
Laguerre, make the core, and two wide ones the wings.
"""

from __future__ import annotations

import numpy as np
from scipy.special import roots_genlaguerre

from tasoc_kit.numerics import detector
from tasoc_kit.numerics.prf import components
from tasoc_kit.simulation.settings import SectorSettings

__all__ = ["star_parts"]

_BETA = 2.5
_NODES = 5
_TAIL = 0.12
_WINGS = ((0.045, 2.4), (0.015, 7.0))
"""Share of the light, and sigma in pixels, of what mirrors and lenses scatter."""


def star_parts(settings: SectorSettings, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the PRFs of the stars of a sector, shape (n, parts, 4) as of ``numerics.prf.components``."""
    if settings.prf == "nominal":
        return components(row, column, camera=settings.camera, ccd=settings.ccd, width=settings.prf_width)
    return _skewed(settings, np.asarray(row, float), np.asarray(column, float))


def _skewed(settings: SectorSettings, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    centre = detector.camera_centre(settings.camera, settings.ccd)
    distance = np.hypot(row - centre[0], column - centre[1]) / 3000.0
    angle = 0.6 + 1.1 * distance + row / 4000.0
    along = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    stretch = 0.20 + 0.25 * distance
    width = settings.prf_width * (0.75 + 0.25 * distance**2)
    node, share = roots_genlaguerre(_NODES, _BETA - 2)
    share = share / share.sum()
    parts = np.zeros((len(row), 2 * _NODES + 1 + len(_WINGS), 4))
    core = 1 - _TAIL - sum(weight for weight, _ in _WINGS)
    for k in range(_NODES):
        for side, sign in enumerate((-1.0, 1.0)):
            part = parts[:, 2 * k + side]
            part[:, 0] = 0.5 * core * share[k]
            part[:, 1:3] = sign * stretch[:, None] * along
            part[:, 3] = width / np.sqrt(2 * node[k])
    across = along[:, ::-1] * np.array([1.0, -1.0])
    tail = parts[:, 2 * _NODES]
    tail[:, 0], tail[:, 3] = _TAIL, 0.9
    tail[:, 1:3] = (0.6 + 0.8 * distance)[:, None] * across
    for k, (weight, sigma) in enumerate(_WINGS, 2 * _NODES + 1):
        parts[:, k, 0], parts[:, k, 3] = weight, sigma
    # Centred, so that a position means the same for every PSF.
    parts[:, :, 1:3] -= (parts[:, :, :1] * parts[:, :, 1:3]).sum(axis=1, keepdims=True)
    return parts
