"""One simulated sector of one CCD: frames with known truth, in memory.

The star field is drawn exactly at a few *anchors* of the slow pointing; between them a frame is
the second-order expansion of the nearest anchor, which costs a pass over memory instead of a
million exponentials. Every random number belongs to a cadence, so a frame is the same however
many frames are made, in which order, and on how many threads.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from astropy.coordinates import get_body_barycentric
from astropy.time import Time

from tasoc_kit.numerics import detector, prf
from tasoc_kit.numerics.geometry import Solution, pixel_to_sky
from tasoc_kit.simulation import exposure, field, pointing, sky
from tasoc_kit.simulation.ffi_cards import READ_NOISES, stored_shape
from tasoc_kit.simulation.schedule import make_schedule
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.simulation.stars import (
    FIRST_TIC,
    Asteroid,
    Stars,
    VariableStar,
    described,
    draw_stars,
    place_variables,
    send_asteroids,
    sky_positions,
)
from tasoc_kit.simulation.variables import exposed_curve

__all__ = ["Frame", "Sector"]

_LIVE_SHARE = 0.792
_READ_SECONDS = 1.98
_LIGHT_DAYS_PER_AU = 499.004783836 / 86400.0
_ANCHORS_KEPT = 2
_DUMP_PATH = (0.5, 1.0, 1.5)
_TRAIL = np.linspace(-0.4, 0.4, 5)
_TRUTH = {
    "time": ("d", "mid-exposure at the CCD centre, BTJD"),
    "timecorr": ("d", "barycentric correction at the CCD centre"),
    "shift_row": ("pix", "shift of the CCD centre in row from the catalogue positions"),
    "shift_column": ("pix", "shift of the CCD centre in column from the catalogue positions"),
    "scattered_level": ("", "strength of the scattered light, 1 at its strongest"),
    "multiplier": ("", "flux of a variable star relative to the catalogue, averaged over the exposure"),
    "variable_star": ("", "place of a variable star in the catalogue"),
    "asteroid_row": ("pix", "row label of an asteroid at mid-sector pointing"),
    "asteroid_column": ("pix", "column label of an asteroid at mid-sector pointing"),
    "tic": ("", "identifier of a star"),
    "ra": ("deg", "right ascension"),
    "dec": ("deg", "declination"),
    "tmag": ("mag", "TESS magnitude"),
    "star_row": ("pix", "row label of a star at mid-sector pointing"),
    "star_column": ("pix", "column label of a star at mid-sector pointing"),
    "star_flux": ("electron / s", "flux of a star in the catalogue"),
}


class Frame(NamedTuple):
    """One frame: what the file holds, and the sky that is in it."""

    flux: np.ndarray
    """Science area with noise, float32 (rows, columns), electron/s."""
    flux_err: np.ndarray
    sky: np.ndarray
    """The background of the science area, exactly, electron/s."""
    stored: tuple[np.ndarray, np.ndarray]
    """Flux and uncertainty as the file stores them, with the columns and rows off the sky."""


class Sector:
    """
    A simulated sector that renders its frames.

    Parameters
    ----------
    settings
        What to simulate; or give settings by name: ``Sector(rows=2048, columns=2048)``.

    Examples
    --------
    >>> sector = Sector(rows=64, columns=64, frames=2, seed=3)
    >>> sector.render(0).flux.shape
    (64, 64)
    """

    def __init__(self, settings: SectorSettings | None = None, /, **values: Any) -> None:
        self.settings = settings if settings is not None else SectorSettings.validated(**values)
        self.schedule, self.places = make_schedule(self.settings)
        self.live = _LIVE_SHARE * self.settings.cadence
        self.limit = detector.FULL_WELL / _READ_SECONDS if self.settings.saturation else np.inf
        self._anchors: dict[float, tuple[pointing.Pose, np.ndarray]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def stars(self) -> Stars:
        """The stars, brightest first."""
        return draw_stars(self.settings)

    @cached_property
    def field(self) -> Solution:
        """The plate solution in the middle of the sector."""
        return field.make_field(self.settings)

    @cached_property
    def sky_model(self) -> sky.SkyModel:
        """The background of the CCD."""
        return sky.make_sky_model(self.settings)

    @cached_property
    def _limits(self) -> tuple[float, float]:
        """BTJD, to a few minutes, of the whole sector's first and last exposure."""
        return float(self.schedule.start[0]), float(self.schedule.stop[-1])

    @cached_property
    def variables(self) -> list[VariableStar]:
        """The stars that vary."""
        return place_variables(self.settings, self.stars, *self._limits)

    @cached_property
    def asteroids(self) -> list[Asteroid]:
        """The asteroids."""
        return send_asteroids(self.settings, *self._limits)

    @cached_property
    def earth(self) -> np.ndarray:
        """Place of the Earth from the barycentre at each frame, light-days, shape (frames, 3)."""
        middle = self.schedule.middle[self.places]
        if not len(middle):
            return np.zeros((0, 3))
        times = Time(2457000.0, middle, format="jd", scale="tdb")
        return (
            get_body_barycentric("earth", times, ephemeris="builtin").xyz.to_value("au").T
            * _LIGHT_DAYS_PER_AU
        )

    @cached_property
    def timecorr(self) -> np.ndarray:
        """Barycentric correction of each frame at the CCD centre, days."""
        return self.earth @ field.direction_of_centre(self.field)

    @cached_property
    def time(self) -> np.ndarray:
        """Mid-exposure of each frame at the CCD centre, BTJD."""
        return self.schedule.middle[self.places] + self.timecorr

    @cached_property
    def multipliers(self) -> np.ndarray:
        """Flux of each variable star in each frame, relative to the catalogue: (variable, frame)."""
        ra, dec = np.radians(
            pixel_to_sky(
                self.field,
                self.stars.row[[v.star for v in self.variables]],
                self.stars.column[[v.star for v in self.variables]],
            )
        )
        towards = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        times = self.schedule.middle[self.places] + (self.earth @ towards).T
        length = self.settings.cadence / 86400.0
        curves = [exposed_curve(v.kind, v.parameters, times[k], length) for k, v in enumerate(self.variables)]
        return np.array(curves).reshape(len(self.variables), len(self.places))

    def prepare(self) -> None:
        """Compute what all frames share, so that threads do not compute it twice."""
        _ = (self.stars, self.sky_model, self.multipliers, self.asteroids, self.timecorr)

    def pose(self, index: int) -> pointing.Pose:
        """Return where the spacecraft pointed in a frame."""
        return pointing.pose_at(self.settings, self.schedule, int(self.places[index]))

    def star_positions(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the true row and column labels of the catalogued stars in a frame."""
        count = self.stars.catalogued
        return self.pose(index).move(self.stars.row[:count], self.stars.column[:count])

    def star_flux(self) -> np.ndarray:
        """Return the true flux of the catalogued stars in every frame: (star, frame), electron/s."""
        count = self.stars.catalogued
        flux = np.repeat(self.stars.flux[:count, None], len(self), axis=1)
        for variable, curve in zip(self.variables, self.multipliers, strict=True):
            if variable.star < count:
                flux[variable.star] *= curve
        return flux

    def truth_sky(self, index: int) -> np.ndarray:
        """Return the exact background of the science area in a frame, float32, electron/s."""
        place = int(self.places[index])
        model = self.sky_model
        quiet, stray = model.nodes(self.schedule, place)
        out = np.empty((self.settings.rows, self.settings.columns), np.float32)
        sky.interpolate(
            quiet.astype(np.float32),
            stray.astype(np.float32),
            model.quiet_gain,
            model.stray_gain,
            model.column_offsets(int(self.schedule.cadenceno[place])),
            sky.NODE_STEP,
            out,
        )
        return out

    def render(self, index: int) -> Frame:
        """Return one frame with its noise, and the sky that is in it."""
        settings, place = self.settings, int(self.places[index])
        background = self.truth_sky(index)
        expected = self.expected(index, background)
        shape = stored_shape(settings)
        flux, flux_err = np.empty(shape, np.float32), np.empty(shape, np.float32)
        random = np.random.Generator(np.random.SFC64((settings.seed, 8, int(self.schedule.cadenceno[place]))))
        columns = detector.SCIENCE_COLUMNS.start + np.arange(settings.columns)
        read_noise = np.array(READ_NOISES)[detector.output_of_columns(columns)]
        reads = round(settings.cadence / 2 * 0.8)
        exposure.add_noise(
            expected, read_noise, reads, self.live, random if settings.noise else None, flux, flux_err
        )
        first = detector.SCIENCE_COLUMNS.start
        area = np.s_[: settings.rows, first : first + settings.columns]
        if settings.cosmic_rays > 0:
            rate = settings.cosmic_rays * settings.rows * settings.columns / 2048**2 * settings.cadence / 1800
            exposure.cosmic_rays(flux[area], random, rate, self.live, min(self.limit, 1e9))
        return Frame(flux[area], flux_err[area], background, (flux, flux_err))

    def expected(self, index: int, background: np.ndarray) -> np.ndarray:
        """Return the science area of a frame without noise: stars, asteroids and ``background``."""
        place = int(self.places[index])
        pose = self.pose(index)
        if self.schedule.dump[place]:
            image = self._dump_image(index, pose) + background
        else:
            anchor, images = self._anchor(float(self.schedule.phase[place]))
            image = np.empty_like(background)
            first = detector.SCIENCE_COLUMNS.start
            exposure.compose(images, pose.relative_to(anchor), first, *pointing.CENTRE, background, image)
        self._add_moving_light(index, pose, image)
        exposure.bleed(image, np.float32(self.limit))
        return image

    def _add_moving_light(self, index: int, pose: pointing.Pose, image: np.ndarray) -> None:
        """Add to an image what variable stars have more than the catalogue, and the asteroids."""
        stars = self.stars
        if self.variables:
            which = np.array([variable.star for variable in self.variables])
            extra = (self.multipliers[:, index] - 1.0) * stars.flux[which]
            row, column = pose.move(stars.row[which], stars.column[which])
            self._draw(image, extra, row, column, stars.parts[which], stars.radius[which])
        for asteroid in self.asteroids:
            times = self.time[index] + _TRAIL * self.settings.cadence / 86400.0
            row, column = pose.move(*asteroid.at(times))
            flux = np.full(len(times), 10 ** (-0.4 * (asteroid.tmag - detector.ZERO_POINT)) / len(times))
            parts = prf.components(row, column, camera=self.settings.camera, ccd=self.settings.ccd)
            self._draw(image, flux, row, column, parts, prf.radius_for(flux, parts))

    def _draw(self, image: np.ndarray, flux: Any, row: Any, column: Any, parts: Any, radius: Any) -> None:
        first = detector.SCIENCE_COLUMNS.start
        prf.add_stars(image, flux, row, column - first, parts, radius)

    def _dump_image(self, index: int, pose: pointing.Pose) -> np.ndarray:
        """Draw the stars along the excursion of a momentum dump."""
        rest = pointing.smooth_pose(self.settings, float(self.schedule.phase[int(self.places[index])]))
        image = np.zeros((self.settings.rows, self.settings.columns), np.float32)
        for part in _DUMP_PATH:
            here = pointing.Pose(rest.shift + part * (pose.shift - rest.shift), rest.matrix)
            row, column = here.move(self.stars.row, self.stars.column)
            flux = self.stars.flux / len(_DUMP_PATH)
            self._draw(image, flux, row, column, self.stars.parts, self.stars.radius)
        return image

    @cached_property
    def _anchor_phases(self) -> np.ndarray:
        return pointing.anchor_phases(self.settings)

    def _anchor(self, phase: float) -> tuple[pointing.Pose, np.ndarray]:
        """Return the anchor nearest in time and its images, drawn once and kept."""
        nearest = float(self._anchor_phases[np.argmin(np.abs(self._anchor_phases - phase))])
        with self._lock:
            if nearest not in self._anchors:
                while len(self._anchors) >= _ANCHORS_KEPT:
                    self._anchors.pop(next(iter(self._anchors)))
                pose = pointing.smooth_pose(self.settings, nearest)
                images = np.zeros((len(prf.TERMS), self.settings.rows, self.settings.columns), np.float32)
                row, column = pose.move(self.stars.row, self.stars.column)
                stars = self.stars
                column = column - detector.SCIENCE_COLUMNS.start
                prf.add_expansion(images, stars.flux, row, column, stars.parts, stars.radius)
                self._anchors[nearest] = (pose, images)
            return self._anchors[nearest]

    def truth(self) -> xr.Dataset:
        """
        Return what is known about the sector.

        Per frame: time, pointing, the level of scattered light. Per catalogued star: position,
        magnitude, flux. Per variable star: which star, and its relative flux in every frame;
        their parameters stand in ``attrs["variables"]`` as JSON. The sky of a frame is computed
        when asked for, by :meth:`truth_sky`.
        """
        stars, places, count = self.stars, self.places, self.stars.catalogued
        ra, dec = sky_positions(stars, self.field)
        poses = [self.pose(k) for k in range(len(self))]
        shift = np.array([pose.shift for pose in poses]).reshape(-1, 2)
        paths = np.array([asteroid.at(self.time) for asteroid in self.asteroids])
        paths = paths.reshape(len(self.asteroids), 2, len(self))
        names = ["tic", "ra", "dec", "tmag", "star_row", "star_column", "star_flux"]
        columns = [
            FIRST_TIC + np.arange(count),
            *(ra, dec, stars.tmag[:count], stars.row[:count], stars.column[:count], stars.flux[:count]),
        ]
        truth = xr.Dataset(
            {
                "shift_row": ("time", shift[:, 0]),
                "shift_column": ("time", shift[:, 1]),
                "scattered_level": ("time", sky.scattered_level(self.schedule)[places]),
                "multiplier": (("variable", "time"), self.multipliers),
                "variable_star": ("variable", np.array([v.star for v in self.variables], np.int64)),
                "asteroid_row": (("asteroid", "time"), paths[:, 0]),
                "asteroid_column": (("asteroid", "time"), paths[:, 1]),
                **{name: ("star", values) for name, values in zip(names, columns, strict=True)},
            },
            coords={
                "time": self.time,
                "cadenceno": ("time", self.schedule.cadenceno[places]),
                "quality": ("time", self.schedule.quality[places]),
                "timecorr": ("time", self.timecorr),
            },
            attrs={
                "product": "truth",
                "settings": self.settings.model_dump_json(),
                "variables": described(self.variables),
                "sector": self.settings.sector,
                "camera": self.settings.camera,
                "ccd": self.settings.ccd,
            },
        )
        for name, (unit, meaning) in _TRUTH.items():
            truth[name].attrs.update(units=unit, long_name=meaning)
        return truth
