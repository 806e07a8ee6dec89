"""Where the spacecraft points in each frame: drift, aberration, jitter and momentum dumps.

The position of a star at any time is an affine map of its catalogue position,
``p(t) = c + s(t) + M(t)·(p − c)`` with the CCD centre ``c``: ``s`` is drift, jitter and dumps,
``M`` the differential velocity aberration. An affine map moves a TAN-SIP solution exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasoc_kit.simulation.schedule import Schedule
from tasoc_kit.simulation.settings import SectorSettings

__all__ = ["CENTRE", "Pose", "anchor_phases", "pose_at", "smooth_pose"]

CENTRE = np.array([1023.5, 1067.5])
"""Row and column label of the CCD centre."""

_REACH = 1024.0
_FIELD = np.array([[0.55, 0.35], [-0.40, 0.60]])
_LARGEST_STEP = 0.06


@dataclass(frozen=True)
class Pose:
    """One affine map from catalogue positions to positions in a frame."""

    shift: np.ndarray
    """Shift of the CCD centre in (row, column), pixels."""
    matrix: np.ndarray
    """2×2 matrix that acts on (row, column) from the CCD centre."""

    def move(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of stars in the frame."""
        rows, columns = np.asarray(row) - CENTRE[0], np.asarray(column) - CENTRE[1]
        m = self.matrix
        return (
            CENTRE[0] + self.shift[0] + m[0, 0] * rows + m[0, 1] * columns,
            CENTRE[1] + self.shift[1] + m[1, 0] * rows + m[1, 1] * columns,
        )

    def relative_to(self, other: Pose) -> np.ndarray:
        """
        Return the small displacement field from ``other`` to this pose.

        Six numbers: displacement in row at the CCD centre and its slopes by row and column, then
        the same for the column.
        """
        slope = self.matrix - other.matrix
        shift = self.shift - other.shift
        return np.array([shift[0], slope[0, 0], slope[0, 1], shift[1], slope[1, 0], slope[1, 1]])


def smooth_pose(settings: SectorSettings, phase: float) -> Pose:
    """Return the pose without jitter and dumps at a fraction of the sector."""
    along = phase - 0.5 + 0.06 * np.sin(2 * np.pi * phase)
    across = 0.45 * (phase - 0.5) - 0.05 * np.sin(4 * np.pi * phase)
    shift = settings.drift * np.array([along, across])
    return Pose(shift, np.eye(2) + settings.aberration * (phase - 0.5) / _REACH * _FIELD)


def pose_at(settings: SectorSettings, schedule: Schedule, place: int) -> Pose:
    """Return the pose of one frame, with its own jitter and, in a dump, its excursion."""
    smooth = smooth_pose(settings, float(schedule.phase[place]))
    random = np.random.default_rng((settings.seed, 1, int(schedule.cadenceno[place])))
    shift = smooth.shift + settings.jitter * random.standard_normal(2)
    if schedule.dump[place]:
        angle = random.uniform(0, 2 * np.pi)
        shift = shift + settings.dump_offset * np.array([np.sin(angle), np.cos(angle)])
    return Pose(shift, smooth.matrix)


def anchor_phases(settings: SectorSettings) -> np.ndarray:
    """
    Return the fractions of the sector at which the star field is drawn exactly.

    Between them frames are expanded to second order; the largest displacement from an anchor is
    half of 0.06 pixel, where third-order terms are below 1e-4 of a star's light.
    """
    phases = np.linspace(0, 1, 257)
    corners = CENTRE + _REACH * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    moved = np.array([smooth_pose(settings, phase).move(*corners.T) for phase in phases])
    steps = np.hypot(*np.diff(moved, axis=0).transpose(1, 0, 2)).max(axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    count = max(1, int(np.ceil(travelled[-1] / _LARGEST_STEP)))
    middles = (np.arange(count) + 0.5) / count * travelled[-1]
    return np.interp(middles, travelled, phases) if travelled[-1] > 0 else np.array([0.5])
