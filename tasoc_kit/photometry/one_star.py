"""One star, one call: from a cube and a name to a light curve that can be looked at.

The same steps as the pipeline, run in memory on the pixels around the star.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit import catalog, plots
from tasoc_kit.errors import SourceError, install_line
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.geometry import pixel_to_sky, sky_to_pixel
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.pointing import estimate_pointing
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.photometry.reference import make_reference
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.sources.ffi import science
from tasoc_kit.sources.pointings import position_of
from tasoc_kit.sources.star_catalog import beside_frames, read_stars

__all__ = ["LightCurve", "light_curve", "lightkurve_class"]

AROUND = 64
"""Pixels on each side of the star that are read of a full frame: four cells of sky each way."""
PLACE = ("mission", "sector", "camera", "ccd")
NEAR = 2.0
"""Pixels within which a star of the list is the star that was asked for."""
_TIC = re.compile(r"\s*(?:TIC)?\s*(\d+)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class LightCurve:
    """The light curve of one star, with what it was measured on."""

    series: xr.Dataset
    """The product ``light_curves`` of this one star, (star, time)."""
    apertures: xr.Dataset
    reference: xr.Dataset
    star: int
    """Index of the star in ``apertures``."""

    @property
    def data(self) -> xr.Dataset:
        """Series (time) of the star."""
        return self.series.isel(star=0)

    def __repr__(self) -> str:
        tic = int(self.data["tic"])
        name = f"TIC {tic}" if tic else "a star without TIC number"
        return (
            f"LightCurve of {name}, T {float(self.data['tmag']):.2f}, {self.data.sizes['time']} cadences, "
            f"{int(self.data['row_size'])} pixels"
        )

    def plot(self, quantity: str = "flux", *, relative: bool = False) -> Any:
        """Draw the light curve over its flagged spans, beside the aperture on the star image."""
        series = plots.light_curve(self.series, 0, quantity=quantity, relative=relative)
        return series + plots.stamp(self.reference, self.apertures, self.star)

    def to_pandas(self) -> pd.DataFrame:
        """Return the series as a table, one row a cadence."""
        return self.data.to_dataframe().reset_index()

    def to_lightkurve(self) -> Any:
        """
        Return the light curve as a lightkurve object.

        Raises
        ------
        SourceError
            If lightkurve is not installed.
        """
        curve_class = lightkurve_class()
        from astropy import units

        flux = units.electron / units.second
        good = np.isfinite(self.data["time"].values)
        series = {name: self.data[name].values[good] for name in ("flux", "flux_err", "background")}
        curve = curve_class(
            time=self.data["time"].values[good],
            flux=series["flux"] * flux,
            flux_err=series["flux_err"] * flux,
            targetid=int(self.data["tic"]),
            label=f"TIC {int(self.data['tic'])}",
            meta={name.upper(): self.data.attrs[name] for name in PLACE if name in self.data.attrs},
        )
        curve["background"] = series["background"] * flux
        for name in ("quality", "cadenceno", "centroid_row", "centroid_column"):
            curve[name] = self.data[name].values[good]
        return curve


def lightkurve_class() -> Any:
    """Return lightkurve's class of TESS light curves; SourceError where lightkurve is not installed."""
    try:
        from lightkurve import TessLightCurve
    except ImportError:
        raise SourceError(
            "to_lightkurve: lightkurve is not installed; expected the extra 'oracle'. "
            f"Install it: {install_line('oracle')}."
        ) from None
    return TessLightCurve


def light_curve(
    target: str | int | None = None,
    *,
    cube: xr.Dataset | str | os.PathLike[str],
    catalogue: xr.Dataset | str | os.PathLike[str] | None = None,
    mode: str = "k2p2",
) -> LightCurve:
    """
    Measure the light curve of one star.

    Parameters
    ----------
    target
        ``"TIC 261136679"`` or its number, ``"RA DEC"``, or None for the middle of a cutout.
    cube
        A cube, a catalog entry, or the path of a cutout, a target pixel file or a folder of FFIs.
    catalogue
        Stars of the field; by default ``stars.parquet`` beside the frames, else stars are detected on the
        pixels.
    mode
        How apertures are made: ``"k2p2"`` or ``"tile"``.

    Returns
    -------
    The light curve; ``.data`` is the Dataset, ``.plot()`` draws it, ``.to_lightkurve()`` converts it.

    Raises
    ------
    SourceError
        If the target has no known position, or is not on these pixels, or they are those of another star.

    Examples
    --------
    >>> curve = light_curve("TIC 261136679", cube="pi_men_cutout.fits")  # doctest: +SKIP
    >>> curve.plot()  # doctest: +SKIP
    """
    frames = cube if isinstance(cube, xr.Dataset) else catalog.open_cube(os.fspath(cube))
    if frames.attrs.get("mission") == "TESS":
        frames = science(frames)
    stars = _open_stars(catalogue, frames)
    tic, row, column = _place(target, frames, stars)
    frames = _around(frames, row, column)
    quality = make_quality(frames)
    pointing = estimate_pointing(frames, quality)
    reference = make_reference(frames, quality, pointing)
    listed, star = _with_target(locate_stars(reference, stars), reference, tic, row, column)
    apertures = make_apertures(reference, listed, mode=mode)
    if target is None and int(apertures["skipped_by"][star]) >= 0:
        # Nobody named this star; the one whose light fills the middle is meant.
        star = int(apertures["skipped_by"][star])
    stream = stream_frames(frames, reference, apertures, quality).compute()
    sky = fit_sky(stream, reference, quality)
    curves = make_light_curves(stream, sky, apertures, reference, quality)
    return LightCurve(curves.isel(star=[star]).compute(), apertures, reference, star)


def _open_stars(catalogue: Any, frames: xr.Dataset) -> xr.Dataset | None:
    if catalogue is None:
        catalogue = beside_frames(frames)
    if catalogue is None:
        return _stated_target(frames)
    if isinstance(catalogue, xr.Dataset):
        return catalogue
    stars: xr.Dataset = read_stars(catalogue, float(frames["time"].mean()))
    return stars


def _stated_target(frames: xr.Dataset) -> xr.Dataset | None:
    """Return the star that a target pixel file says it was made for; None for other files."""
    stated = {name: frames.attrs.get(name) for name in ("tic", "ra", "dec", "tmag")}
    if not stated["tic"] or any(value is None or not np.isfinite(value) for value in stated.values()):
        return None
    return xr.Dataset({name: ("star", np.asarray([value])) for name, value in stated.items()})


def _solution(frames: xr.Dataset) -> str:
    texts = [str(text) for text in frames["wcs"].values if str(text)] if "wcs" in frames.variables else []
    return texts[len(texts) // 2] if texts else ""


def _place(
    target: str | int | None, frames: xr.Dataset, stars: xr.Dataset | None
) -> tuple[int, float, float]:
    """Return TIC number, row and column of the target; the middle of a cutout where nothing else is known."""
    named = _TIC.match(str(target)) if target is not None else None
    tic = int(named.group(1)) if named else 0
    middle = (float(frames["row"].values.mean()), float(frames["column"].values.mean()))
    cutout = bool(frames.attrs.get("field"))
    if target is None and stars is not None and stars.sizes["star"] == 1:
        target, tic = f"TIC {int(stars['tic'][0])}", int(stars["tic"][0])
    if target is None:
        if not cutout:
            raise SourceError(
                "light_curve: no target was given for a full frame; expected a TIC number or 'RA DEC'. "
                "Name the target."
            )
        return tic, *middle
    try:
        ra, dec = position_of(target, stars)
    except SourceError:
        if not (tic and cutout):
            raise
        stated = int(frames.attrs.get("tic", 0) or 0)
        if stated and tic != stated:
            raise SourceError(
                f"light_curve: where TIC {tic} is on these pixels is not known, they are those of TIC "
                f"{stated}; expected that star or a position. Give 'RA DEC', or a catalogue= that has it."
            ) from None
        if not stated:
            warnings.warn(
                f"light_curve: the position of TIC {tic} is not known here, so the middle of the cutout "
                "is taken for it. Give catalogue= or 'RA DEC' to be sure.",
                UserWarning,
                stacklevel=3,
            )
        return tic, *middle
    wcs = _solution(frames)
    if not wcs:
        return tic, *middle
    row, column = sky_to_pixel(wcs, [ra], [dec])
    return tic, *_inside(target, frames, float(row[0]), float(column[0]))


def _inside(target: str | int, frames: xr.Dataset, row: float, column: float) -> tuple[float, float]:
    rows, columns = frames["row"].values, frames["column"].values
    inside = rows[0] - 0.5 <= row <= rows[-1] + 0.5 and columns[0] - 0.5 <= column <= columns[-1] + 0.5
    if not inside:
        raise SourceError(
            f"light_curve: {target!r} falls on row {row:.1f}, column {column:.1f}; expected rows "
            f"{rows[0]}–{rows[-1]} and columns {columns[0]}–{columns[-1]}. "
            "Ask 'tasoc where' which sector, camera and CCD saw it."
        )
    return row, column


def _around(frames: xr.Dataset, row: float, column: float) -> xr.Dataset:
    """Return full frames cropped to the pixels around the star, and cutouts whole."""
    if frames.attrs.get("field"):
        return frames
    near_row = np.abs(frames["row"].values - row) <= AROUND
    near_column = np.abs(frames["column"].values - column) <= AROUND
    return frames.isel(row=np.flatnonzero(near_row), column=np.flatnonzero(near_column))


def _with_target(
    stars: xr.Dataset, reference: xr.Dataset, tic: int, row: float, column: float
) -> tuple[xr.Dataset, int]:
    """Return the stars with the target among them, and its index."""
    distance = np.hypot(stars["star_row"].values - row, stars["star_column"].values - column)
    same = np.flatnonzero(stars["tic"].values == tic) if tic else np.empty(0, int)
    if same.size:
        return stars, int(same[0])
    if distance.size and distance.min() <= NEAR:
        star = int(np.argmin(distance))
        numbers = stars["tic"].values.copy()
        numbers[star] = tic or numbers[star]
        return stars.assign(tic=("star", numbers)), star
    wcs = str(reference.attrs.get("wcs", ""))
    ra, dec = pixel_to_sky(wcs, [row], [column]) if wcs else ([np.nan], [np.nan])
    one = xr.Dataset(
        {
            "tic": ("star", np.asarray([tic], np.int64)),
            "ra": ("star", np.asarray(ra)),
            "dec": ("star", np.asarray(dec)),
            "tmag": ("star", np.asarray([_magnitude(reference, row, column)], np.float32)),
            "star_row": ("star", np.asarray([row])),
            "star_column": ("star", np.asarray([column])),
        }
    )
    kept = stars[list(one.variables)] if stars.sizes["star"] else stars
    joined = xr.concat([kept, one], "star") if stars.sizes["star"] else one
    return joined.assign_attrs(stars.attrs), int(joined.sizes["star"]) - 1


def _magnitude(reference: xr.Dataset, row: float, column: float) -> float:
    """Return the magnitude of the light in 3×3 pixels."""
    box = reference["reference"].sel(
        row=slice(round(row) - 1, round(row) + 1), column=slice(round(column) - 1, round(column) + 1)
    )
    return ZERO_POINT - 2.5 * float(np.log10(max(float(box.sum()), 1e-3)))
