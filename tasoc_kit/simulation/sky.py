"""The simulated background: zodiacal light, corner glow, scattered light, straps, columns.

Two smooth fields are known on nodes 8 pixels apart and *defined* between them by cubic
convolution (Keys 1981): quiet light (zodiacal and static glow) and stray light (ramps at both
ends of an orbit, random structure, an edge of Earth light). A strap answers differently to the
two, because stray light is redder. Column offsets are drawn anew for every frame. The truth
image of a frame is therefore exact, with no approximation to average over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage

from tasoc_kit.numerics import detector
from tasoc_kit.simulation.pointing import CENTRE
from tasoc_kit.simulation.schedule import Schedule
from tasoc_kit.simulation.settings import SectorSettings

__all__ = ["SkyModel", "interpolate", "make_sky_model"]

NODE_STEP = 8
_GLOW_FROM, _GLOW_SPAN = 2300.0, 600.0
_STRUCTURE_FIELDS = 4
_STRAY_STRAP = (0.038, 0.067)
"""Excess answer of the two columns of a strap to scattered light, as in a real sector-2 cutout."""
_QUIET_STRAP = 0.007
_BESIDE_STRAP = 0.15


@dataclass(frozen=True)
class SkyModel:
    """What is constant over a sector, on the nodes of the simulated area."""

    settings: SectorSettings
    rows: np.ndarray
    """Row labels of the nodes (node 1 is the first pixel)."""
    columns: np.ndarray
    """Column labels of the nodes."""
    zodiacal: np.ndarray
    glow: np.ndarray
    ramps: np.ndarray
    """Two patterns of scattered light, each 1 at its brightest corner."""
    structure: np.ndarray
    """Random fields of unit rms, shape (4, nodes, nodes)."""
    quiet_gain: np.ndarray
    """Answer of each column to quiet light, relative, float32."""
    stray_gain: np.ndarray
    """Answer of each column to stray light, relative, float32."""

    def nodes(self, schedule: Schedule, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Return quiet and stray light of one cadence on the nodes, electron/s."""
        settings = self.settings
        phase = schedule.phase[place]
        level = scattered_level(schedule)[place]
        days = schedule.middle[place]
        quiet = self.zodiacal * (1 + 0.02 * np.sin(2 * np.pi * phase)) + self.glow
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * days / 1.3)
        stray = settings.scattered * level * (mix * self.ramps[0] + (1 - mix) * self.ramps[1])
        stray = stray + 0.5 * level * self.glow
        if settings.structure > 0:
            stray = stray + settings.structure * self._structure(days)
        if settings.earth_edge > 0:
            stray = stray + settings.earth_edge * self._edge(days)
        return quiet, stray

    def column_offsets(self, cadenceno: int) -> np.ndarray:
        """Return the offset of every column in one frame, electron/s, float32."""
        random = np.random.default_rng((self.settings.seed, 2, cadenceno))
        count = self.quiet_gain.size
        return random.standard_normal(detector.COLUMNS, dtype=np.float32)[:count] * np.float32(
            self.settings.column_noise
        )

    def _structure(self, days: float) -> np.ndarray:
        turns = days / np.array([0.9, 1.7, 2.6, 4.1]) + np.array([0.1, 0.35, 0.6, 0.85])
        weights = np.cos(2 * np.pi * turns) * np.sqrt(2.0 / _STRUCTURE_FIELDS)
        return np.tensordot(weights, self.structure, axes=1)

    def _edge(self, days: float) -> np.ndarray:
        """Return a step 40 pixels wide that swings across the simulated area once a day."""
        rows, columns = self.rows[:, None], self.columns[None, :]
        middle = np.array([self.rows.mean(), self.columns.mean()])
        size = 0.5 * (self.rows[-1] - self.rows[0])
        along = (rows - middle[0]) * np.cos(0.4) + (columns - middle[1]) * np.sin(0.4)
        return 0.5 * (1 + np.tanh((along - 0.6 * size * np.sin(2 * np.pi * days)) / 20.0))


def scattered_level(schedule: Schedule) -> np.ndarray:
    """Return the strength of the scattered light at every cadence, 0 to about 1."""
    ramp = np.exp(-schedule.since_perigee / 0.7) + np.exp(-schedule.to_perigee / 1.1)
    return np.minimum(ramp, 1.0) * (1 + 0.25 * np.sin(2 * np.pi * schedule.middle)) / 1.25


def make_sky_model(settings: SectorSettings) -> SkyModel:
    """Return the background of one CCD; a crop of the CCD shows the same sky, but for the Earth's edge."""
    full_rows = _node_labels(detector.SCIENCE_ROWS.start, 2048)
    full_columns = _node_labels(detector.SCIENCE_COLUMNS.start, 2048)
    kept = slice(0, _count(settings.rows)), slice(0, _count(settings.columns))
    rows, columns = full_rows[kept[0]], full_columns[kept[1]]
    y, x = np.meshgrid((rows - CENTRE[0]) / 1024, (columns - CENTRE[1]) / 1024, indexing="ij")

    centre_row, centre_column = detector.camera_centre(settings.camera, settings.ccd)
    distance = np.hypot(
        rows[:, None] - centre_row - settings.glow_row,
        columns[None, :] - centre_column - settings.glow_column,
    )
    glow = settings.glow * (np.maximum(distance - _GLOW_FROM, 0.0) / _GLOW_SPAN) ** 2
    tilt = 0.5 * settings.zodiacal_gradient * (0.8 * y + 0.6 * x) + 0.02 * (x * y - 0.5 * x**2)
    far = np.array([1.1 * (1 - y) + 0.3 * (1 + x), 0.5 * (1 + y) + 0.9 * (1 - x)])
    ramps = 0.45 + 0.55 * np.exp(-far)
    random = np.random.default_rng((settings.seed, 3))
    structure = np.zeros((0, len(rows), len(columns)))
    if settings.structure > 0:
        shape = (len(full_rows), len(full_columns))
        structure = np.array([_random_field(random, shape, settings) for _ in range(_STRUCTURE_FIELDS)])
        structure = structure[:, *kept]
    labels = detector.SCIENCE_COLUMNS.start + np.arange(settings.columns)
    quiet_gain, stray_gain = _gains(settings, labels)
    return SkyModel(
        settings,
        rows,
        columns,
        settings.zodiacal * (1 + tilt),
        glow,
        ramps,
        structure,
        quiet_gain,
        stray_gain,
    )


def _count(pixels: int) -> int:
    return (pixels - 1) // NODE_STEP + 4


def _node_labels(first: int, pixels: int) -> np.ndarray:
    return first + NODE_STEP * (np.arange(_count(pixels)) - 1.0)


def _random_field(
    random: np.random.Generator, shape: tuple[int, int], settings: SectorSettings
) -> np.ndarray:
    """Return a Gaussian random field of unit rms with the asked FWHM of its correlation."""
    sigma = settings.structure_scale / (2.3548 * np.sqrt(2)) / NODE_STEP
    margin = int(np.ceil(4 * sigma))
    white = random.standard_normal([size + 2 * margin for size in shape])
    smooth = ndimage.gaussian_filter(white, sigma, mode="constant", truncate=4.0)
    return smooth[margin:-margin, margin:-margin] * (2 * np.sqrt(np.pi) * sigma)


def _gains(settings: SectorSettings, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gains of the columns to quiet and to stray light; the columns beside a strap share in it."""
    gains = np.zeros((2, detector.COLUMNS))
    if settings.straps:
        straps = detector.STRAP_COLUMNS
        random = np.random.default_rng((settings.seed, 4, settings.camera, settings.ccd))
        spread = random.standard_normal((2, len(straps)))
        gains[0, straps] = _QUIET_STRAP * spread[0]
        gains[1, straps] = np.resize(_STRAY_STRAP, len(straps)) * (1 + 0.1 * spread[1])
        beside = np.setdiff1d(np.concatenate([straps - 1, straps + 1]), straps)
        gains[:, beside] = _BESIDE_STRAP * np.maximum(gains[:, beside - 1], gains[:, beside + 1])
    quiet, stray = (1 + gains[:, labels]).astype(np.float32)
    return quiet, stray


@numba.njit(nogil=True, cache=True)
def _weights(step):
    """Return the four Keys weights for each place between two nodes."""
    out = np.empty((step, 4), np.float32)
    for i in range(step):
        t = i / step
        out[i, 0] = -0.5 * t**3 + t**2 - 0.5 * t
        out[i, 1] = 1.5 * t**3 - 2.5 * t**2 + 1
        out[i, 2] = -1.5 * t**3 + 2 * t**2 + 0.5 * t
        out[i, 3] = 0.5 * t**3 - 0.5 * t**2
    return out


@numba.njit(nogil=True, cache=True, fastmath=True)
def interpolate(quiet, stray, quiet_gain, stray_gain, offsets, step, out):
    """
    Fill ``out`` with the sky: both node fields between their nodes, gains and offsets of columns.

    Parameters
    ----------
    quiet, stray
        Fields on nodes ``step`` pixels apart, float32; node [1, 1] is pixel [0, 0].
    quiet_gain, stray_gain, offsets
        Per column of ``out``.
    step
        Pixels from one node to the next.
    out
        Image to fill, float32 (rows, columns).
    """
    weights = _weights(step)
    rows, columns = out.shape
    nodes = quiet.shape[1]
    quiet_line = np.empty(nodes, np.float32)
    stray_line = np.empty(nodes, np.float32)
    for i in range(rows):
        node, part = divmod(i, step)
        w0, w1, w2, w3 = weights[part]
        for j in range(nodes):
            quiet_line[j] = (
                w0 * quiet[node, j]
                + w1 * quiet[node + 1, j]
                + w2 * quiet[node + 2, j]
                + w3 * quiet[node + 3, j]
            )
            stray_line[j] = (
                w0 * stray[node, j]
                + w1 * stray[node + 1, j]
                + w2 * stray[node + 2, j]
                + w3 * stray[node + 3, j]
            )
        for j in range(columns):
            node = j // step
            part = j - node * step
            v0, v1, v2, v3 = weights[part, 0], weights[part, 1], weights[part, 2], weights[part, 3]
            q = (
                v0 * quiet_line[node]
                + v1 * quiet_line[node + 1]
                + v2 * quiet_line[node + 2]
                + v3 * quiet_line[node + 3]
            )
            s = (
                v0 * stray_line[node]
                + v1 * stray_line[node + 1]
                + v2 * stray_line[node + 2]
                + v3 * stray_line[node + 3]
            )
            out[i, j] = q * quiet_gain[j] + s * stray_gain[j] + offsets[j]
