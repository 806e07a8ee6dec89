"""
Cutouts as target pixel files: the pixels around a star or a place, with their sky and their solution.

The layout is that of TESS (TESS Science Data Products Description Document, sections 3 and 6): a
table PIXELS with one row a cadence and an image APERTURE. Where the sky of the frames is known it is
taken from FLUX and stands in FLUX_BKG; else FLUX is as the frames have it and FLUX_BKG is blank.
"""

from __future__ import annotations

import datetime
import gzip
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit import __version__
from tasoc_kit.errors import SourceError
from tasoc_kit.exports.exported_file import exported_file, refuse_to_lose
from tasoc_kit.exports.stamp import Card, Plane, Stamp, aperture_bits, fill, image_cards
from tasoc_kit.exports.tasoc_cards import time_cards
from tasoc_kit.numerics.geometry import sky_to_pixel
from tasoc_kit.photometry.pointing import motion_at
from tasoc_kit.photometry.skies.sky_images import sky_window
from tasoc_kit.sources.frame_reader import read_frames

__all__ = ["write_target_pixels"]

MOST_BYTES = 4 * 2**30
"""Pixels of a cutout are in memory at once."""
_PIXELS = ("FLUX", "FLUX_ERR", "FLUX_BKG", "FLUX_BKG_ERR")


@dataclass(frozen=True)
class _Target:
    """What the cutout is about."""

    tic: int
    ra: float
    dec: float
    tmag: float
    row: float
    column: float
    pixels: tuple[np.ndarray, np.ndarray]
    """Rows and columns of the aperture."""


def write_target_pixels(
    cube: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    tic: int | None = None,
    position: tuple[float, float] | None = None,
    size: int | tuple[int, int] = 11,
    products: Mapping[str, xr.Dataset] | None = None,
    overwrite: bool = False,
) -> Path:
    """
    Write the pixels around a star or a place as a file that lightkurve opens.

    Parameters
    ----------
    cube
        Frames; only the pixels of the cutout are read.
    path
        The file; gzip where it ends in ``.gz``.
    tic
        A star of the products ``apertures`` or ``stars``.
    position
        Right ascension and declination in degrees, in place of a star.
    size
        Rows and columns, or one number for both; less at the edge of the frame.
    products
        By name, what is known of the frames: ``sky`` with ``reference`` for FLUX_BKG,
        ``apertures`` for the mask, ``pointing`` for POS_CORR.
    overwrite
        Replace a file that is there.

    Raises
    ------
    SourceError
        If the star or place is not on these frames, or the cutout is too large for the memory.
    StoreError
        If the file is there already, or cannot be written.
    """
    target_file = Path(path)
    refuse_to_lose(target_file, overwrite)
    known = dict(products or {})
    target = _find(cube, tic, position, known)
    stamp = _stamp(cube, target, size)
    hdus = _hdus(cube, stamp, target, known)
    opened = gzip.open if target_file.suffix == ".gz" else open
    with exported_file(target_file) as part, opened(part, "wb") as file:
        hdus.writeto(file, checksum=True)
    return target_file


def _solution(cube: xr.Dataset) -> str:
    """Return the plate solution of a frame in the middle of the cube; empty where no frame has one."""
    texts = [str(text) for text in cube["wcs"].values if str(text)] if "wcs" in cube.variables else []
    return texts[len(texts) // 2] if texts else ""


def _find(
    cube: xr.Dataset,
    tic: int | None,
    position: tuple[float, float] | None,
    products: Mapping[str, xr.Dataset],
) -> _Target:
    if (tic is None) == (position is None):
        raise SourceError(
            f"export cutout: tic={tic}, position={position}; expected one of the two. Name a star or a place."
        )
    nothing = np.empty(0, int), np.empty(0, int)
    if position is not None:
        wcs = _solution(cube)
        if not wcs:
            raise SourceError(
                f"export cutout: the frames have no plate solution, so {position} has no place on them; "
                "expected WCS cards in at least one. Name a star of the products instead."
            )
        row, column = sky_to_pixel(wcs, *position)
        return _Target(0, *position, np.nan, float(row), float(column), nothing)
    stars = products.get("apertures", products.get("stars"))
    found = np.flatnonzero(stars["tic"].values == tic) if stars is not None else ()
    if stars is None or not len(found):
        raise SourceError(
            f"export cutout: TIC {tic} is not among the stars of these products; expected one that is. "
            f"Give its position in degrees instead, or ask 'tasoc where {tic}'."
        )
    star = int(found[0])
    one = stars.isel(star=star)
    bounds = np.concatenate([[0], np.cumsum(stars["row_size"].values)]) if "row_size" in stars else (0, 0)
    span = slice(int(bounds[star]), int(bounds[star + 1])) if "row_size" in stars else slice(0)
    pixels = tuple(stars[f"pixel_{axis}"].values[span].astype(int) for axis in ("row", "column"))
    place = (float(one[name]) for name in ("ra", "dec", "tmag", "star_row", "star_column"))
    return _Target(int(tic or 0), *place, pixels if "row_size" in stars else nothing)


def _stamp(cube: xr.Dataset, target: _Target, size: int | tuple[int, int]) -> Stamp:
    spans = []
    sizes = (size, size) if isinstance(size, int) else size
    for name, place, extent in zip(("row", "column"), (target.row, target.column), sizes, strict=True):
        labels = cube[name].values
        if not np.isfinite(place) or not labels[0] - 0.5 <= place <= labels[-1] + 0.5:
            where = f"on row {target.row:.1f}, column {target.column:.1f}"
            where = where if np.isfinite(target.row + target.column) else "far off these frames"
            raise SourceError(
                f"export cutout: the target falls {where}; expected {name}s {labels[0]}–{labels[-1]}. "
                "Ask 'tasoc where' which sector, camera and CCD saw it."
            )
        low = round(place) - (extent - 1) // 2
        spans.append(np.arange(max(low, labels[0]), min(low + extent, labels[-1] + 1)))
    stamp = Stamp(*spans)
    needed = 4 * cube.sizes["time"] * stamp.rows.size * stamp.columns.size * len(_PIXELS)
    if needed > MOST_BYTES:
        raise SourceError(
            f"export cutout: {stamp.shape} pixels of {cube.sizes['time']} frames take "
            f"{needed / 2**30:.0f} GiB; expected at most {MOST_BYTES / 2**30:.0f}. Take a smaller --size."
        )
    return stamp


def _sky(stamp: Stamp, products: Mapping[str, xr.Dataset], cadenceno: np.ndarray) -> np.ndarray | None:
    """Return the sky in every pixel of the stamp (time, row, column); None where it is not known."""
    if not {"sky", "reference"} <= products.keys():
        return None
    sky = products["sky"]
    found = sky_window(sky, products["reference"], stamp.rows, stamp.columns)
    return _by_cadence(found, sky["cadenceno"].values, cadenceno)


def _by_cadence(values: np.ndarray, have: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Return values by cadence number; NaN where a cadence is not there."""
    if np.array_equal(have, want):
        return values
    places = np.searchsorted(have, want).clip(0, have.size - 1)
    found = values[places].astype(np.float64)
    found[have[places] != want] = np.nan
    return found


def _read(cube: xr.Dataset, stamp: Stamp) -> dict[str, np.ndarray]:
    """Return ``flux`` and ``flux_err`` (time, row, column) of the stamp; only its rows are read of a file."""
    span = {
        name: slice(int(labels[0]), int(labels[-1]))
        for name, labels in (("row", stamp.rows), ("column", stamp.columns))
    }
    return read_frames(cube.sel(span), ("flux", "flux_err"))


def _hdus(
    cube: xr.Dataset, stamp: Stamp, target: _Target, products: Mapping[str, xr.Dataset]
) -> fits.HDUList:
    pixels = _read(cube, stamp)
    sky = _sky(stamp, products, cube["cadenceno"].values)
    plane = stamp.plane(_solution(cube))
    primary = fits.PrimaryHDU()
    fill(primary.header, _primary_cards(cube, target, sky is not None))
    return fits.HDUList(
        [
            primary,
            _table(cube, stamp, plane, pixels, sky, _motion(cube, target, products)),
            _aperture(stamp, plane, target, pixels, products),
        ]
    )


def _motion(
    cube: xr.Dataset, target: _Target, products: Mapping[str, xr.Dataset]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the displacement along columns and rows in every frame; 0 where nothing is known."""
    if "pointing" in products:
        pointing = products["pointing"]
        row, column = motion_at(pointing, np.array([target.row]), np.array([target.column]))
        have, want = pointing["cadenceno"].values, cube["cadenceno"].values
        return _by_cadence(column[:, 0], have, want), _by_cadence(row[:, 0], have, want)
    nothing = np.zeros(cube.sizes["time"])
    known = (cube[name].values if name in cube.variables else nothing for name in _POS_CORR)
    column, row = known
    return column, row


_POS_CORR = ("pos_corr_column", "pos_corr_row")


def _table(
    cube: xr.Dataset,
    stamp: Stamp,
    plane: Plane | None,
    pixels: dict[str, np.ndarray],
    sky: np.ndarray | None,
    motion: tuple[np.ndarray, np.ndarray],
) -> fits.BinTableHDU:
    length, nothing = cube.sizes["time"], np.full((cube.sizes["time"], *stamp.shape), np.nan, np.float32)
    flux = pixels["flux"]
    images = {
        "FLUX": flux if sky is None else (flux - sky).astype(np.float32),
        "FLUX_ERR": pixels["flux_err"],
        "FLUX_BKG": nothing if sky is None else sky.astype(np.float32),
        "FLUX_BKG_ERR": nothing,
    }
    form, dim = f"{stamp.rows.size * stamp.columns.size}E", str(stamp.shape[::-1]).replace(" ", "")
    timecorr = cube["timecorr"].values if "timecorr" in cube.variables else np.full(length, np.nan)
    columns = [
        fits.Column("TIME", "D", "BJD - 2457000, days", disp="D14.7", array=cube["time"].values),
        fits.Column("TIMECORR", "E", "d", disp="E14.7", array=timecorr),
        fits.Column("CADENCENO", "J", disp="I10", array=cube["cadenceno"].values),
        *(fits.Column(name, form, "e-/s", disp="E14.7", dim=dim, array=images[name]) for name in _PIXELS),
        fits.Column("QUALITY", "J", disp="B16.16", array=cube["quality"].values),
        *(fits.Column(f"POS_CORR{k + 1}", "E", "pixel", disp="E14.7", array=motion[k]) for k in (0, 1)),
    ]
    # lightkurve takes place and solution from the fifth column, which is FLUX in TESS's own files.
    columns.insert(3, fits.Column("RAW_CNTS", form.replace("E", "J"), "count", null=-1, dim=dim,
                                  array=np.full((length, *stamp.shape), -1, np.int32)))  # fmt: skip
    table = fits.BinTableHDU.from_columns(columns, name="PIXELS")
    fill(table.header, _column_cards(stamp, plane))
    fill(table.header, time_cards(cube["time"].values, cube.attrs))
    fill(table.header, [("BACKAPP", sky is not None, "background is subtracted")])
    table.header["INHERIT"] = (True, "inherit the primary header")
    return table


def _column_cards(stamp: Stamp, plane: Plane | None) -> list[Card]:
    """Return the cards that say where the pixels of the columns with images lie."""
    cards: list[Card] = []
    for n in range(4, 9):
        if plane is not None:
            cards += [
                (f"WCAX{n}", 2, "number of WCS axes"),
                (f"1CTYP{n}", "RA---TAN", "right ascension coordinate type"),
                (f"2CTYP{n}", "DEC--TAN", "declination coordinate type"),
                *((f"{k + 1}CRPX{n}", plane.crpix[k], "[pixel] reference pixel") for k in (0, 1)),
                *((f"{k + 1}CRVL{n}", plane.crval[k], "[deg] sky at reference pixel") for k in (0, 1)),
                *((f"{k + 1}CUNI{n}", "deg", "physical unit") for k in (0, 1)),
                *((f"{k + 1}CDLT{n}", 1.0, "[deg] pixel scale") for k in (0, 1)),
                *(
                    (f"{i + 1}{j + 1}PC{n}", float(plane.matrix[i, j]), "transformation matrix element")
                    for i in (0, 1)
                    for j in (0, 1)
                ),
            ]
        first = (int(stamp.columns[0]) + 1, int(stamp.rows[0]) + 1)
        cards += [
            (f"WCSN{n}P", "PHYSICAL", "table column WCS name"),
            (f"WCAX{n}P", 2, "table column physical WCS dimensions"),
            *((f"{k + 1}CTY{n}P", name, "physical WCS axis type") for k, name in ((0, "RAWX"), (1, "RAWY"))),
            *((f"{k + 1}CUN{n}P", "PIXEL", "physical WCS axis unit") for k in (0, 1)),
            *((f"{k + 1}CRV{n}P", first[k], "physical WCS reference value") for k in (0, 1)),
            *((f"{k + 1}CDL{n}P", 1.0, "physical WCS step") for k in (0, 1)),
            *((f"{k + 1}CRP{n}P", 1, "physical WCS reference") for k in (0, 1)),
        ]
    return cards


def _aperture(
    stamp: Stamp,
    plane: Plane | None,
    target: _Target,
    pixels: dict[str, np.ndarray],
    products: Mapping[str, xr.Dataset],
) -> fits.ImageHDU:
    header = fits.Header()
    header["INHERIT"] = (True, "inherit the primary header")
    fill(header, image_cards(stamp, plane))
    sky = None
    if "reference" in products:
        sky = ~stamp.cut(products["reference"]["star_mask"])
    collected = np.isfinite(pixels["flux"]).any(axis=0)
    bits = aperture_bits(stamp, *target.pixels, sky, collected)
    return fits.ImageHDU(bits, header, name="APERTURE")


def _primary_cards(cube: xr.Dataset, target: _Target, subtracted: bool) -> list[Card]:
    attrs: dict[str, Any] = cube.attrs
    return [
        ("NEXTEND", 2, "number of standard extensions"),
        ("EXTNAME", "PRIMARY", "name of extension"),
        ("SIMDATA", False, "file is based on simulated data"),
        ("ORIGIN", "tasoc_kit", "who made this file"),
        ("CREATOR", f"tasoc_kit {__version__} TargetPixel", "program that made this file"),
        ("DATE", datetime.datetime.now(datetime.UTC).date().isoformat(), "date the file was created"),
        ("TELESCOP", "TESS", "telescope"),
        ("INSTRUME", "TESS Photometer", "detector type"),
        ("OBJECT", f"TIC {target.tic}" if target.tic else "", "string version of target id"),
        ("TICID", target.tic or None, "unique tess target identifier"),
        ("SECTOR", int(attrs["sector"]), "Observing sector"),
        ("CAMERA", int(attrs["camera"]), "Camera number"),
        ("CCD", int(attrs["ccd"]), "CCD chip number"),
        ("RADESYS", "ICRS", "reference frame of celestial coordinates"),
        ("EQUINOX", 2000.0, "equinox of celestial coordinate system"),
        ("RA_OBJ", target.ra, "[deg] right ascension"),
        ("DEC_OBJ", target.dec, "[deg] declination"),
        ("TESSMAG", target.tmag, "[mag] TESS magnitude"),
        ("PROVID", str(attrs.get("provenance_id", "")), "tasoc_kit id of the frames"),
        ("BACKAPP", subtracted, "background is subtracted"),
    ]
