"""
Light curves as TASOC files: one FITS file per star, made from the products when they are asked for.

Names, extensions, columns, keywords and bits are those of TASOC's releases (Handberg+ 2021, AJ 162
170, section 6; format version 1.5). What TASOC has no keyword for, the id of the products, stands
in ``PROVID``. One process handles some thousand stars at a time, so memory does not grow with the CCD; a file
has its name only once it is whole, so what was interrupted goes on where it was.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit.errors import SourceError, StoreError
from tasoc_kit.exports.corrected import BEST, PLAIN, Corrected, in_ppm, open_corrected
from tasoc_kit.exports.correction_cards import correction_cards, ensemble_tables, extension_bytes
from tasoc_kit.exports.exported_file import exported_file
from tasoc_kit.exports.family import Family, open_family
from tasoc_kit.exports.stamp import Card, aperture_bits, image_cards, stamp_around
from tasoc_kit.exports.tasoc_cards import COLUMNS, object_cards, primary_cards, time_cards
from tasoc_kit.exports.used_pixels import UsedPixels
from tasoc_kit.photometry.pointing import motion_at
from tasoc_kit.photometry.skies.sky_pixels import sky_pixels
from tasoc_kit.products import open_ancestor
from tasoc_kit.provenance import lineage
from tasoc_kit.sources.header_text import card, hdu_bytes
from tasoc_kit.storage.encoding import STAR_CHUNK
from tasoc_kit.storage.units import ProductRef, product_unit
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, Correction, KitQuality, Method

__all__ = ["Written", "file_name", "wanted_stars", "write_tasoc_files"]

LEVEL = 4
"""Of gzip: finer ones take 2.5 times as long and save 0.5 %."""
_KIND = {
    Correction.NONE: "tasoc",
    Correction.CBV: "tasoc-cbv",
    Correction.ENSEMBLE: "tasoc-ens",
    Correction.FILTER: "tasoc-kf",
}
"""What TASOC calls a file by what its corrected series was corrected by."""
TASOC_BITS = 511
"""Bits that our quality shares with TASOC's."""


@dataclass(frozen=True)
class Written:
    """What an export came to."""

    made: int
    kept: int
    """Files of the same product that were there already."""
    left_out: int
    """Stars without a light curve."""


def file_name(
    tic: int,
    attrs: dict[str, object],
    data_release: int,
    version: int,
    correction: Correction = Correction.NONE,
) -> str:
    """Return the name of a star's file, in the folders of its cadence and the first digits of its number."""
    cadence = round(float(str(attrs["cadence"])))
    place = "s{:03d}-{}-{}".format(*(int(str(attrs[name])) for name in ("sector", "camera", "ccd")))
    made = f"c{cadence:04d}-dr{data_release:02d}-v{version:02d}-{_KIND[correction]}"
    name = f"tess{tic:011d}-{place}-{made}_lc.fits.gz"
    return f"c{cadence:04d}/{tic:011d}"[:11] + f"/{name}"


def write_tasoc_files(
    ref: ProductRef,
    folder: str | os.PathLike[str],
    *,
    tics: Sequence[int] | None = None,
    version: int = 1,
    cube: xr.Dataset | None = None,
    correction: str = BEST,
    overwrite: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """
    Write a file for every star that has a light curve and a TIC number.

    Parameters
    ----------
    ref
        The ``light_curves`` product, as ``find_product`` finds it.
    folder
        Where the folders of TASOC's layout go.
    tics
        Only these stars.
    version
        Version of the processing, in names and headers.
    cube
        The frames: some are read to see which pixels the sky was made of. Without them, or without the
        products ``stream`` and ``reference``, all pixels count as sky that no star is seen in.
    correction
        What FLUX_CORR is: ``best`` for each star, as the product ``corrections`` has it, if there is one;
        ``none``, ``cbv``, ``ensemble`` or ``filter``. Light curves of apertures are what is corrected, so for
        a star that another photometry serves it is NaN.
    overwrite
        Replace files that were made from other products; those of the same product are kept.
    workers
        Processes.
    progress
        Called with the number of stars done and of all.

    Raises
    ------
    SourceError
        If the frames are not those of the light curves.
    StoreError
        If a file made from another product is there, a star is not on this CCD, or the disk does not take
        a file, or the store lacks the correction that was named. Nothing is half-written.
    """
    family, target = open_family(ref), Path(folder)
    corrected = open_corrected(family, correction)
    wanted = wanted_stars(family, tics)
    paths = {star: target / _name(family, star, version, corrected) for star in wanted}
    made_from = {star: _identity(family, star, corrected) for star in paths}
    todo = _missing(paths, made_from, overwrite)
    sky = None if cube is None or not todo else _served_sky(family, cube)
    count = 0
    for done in _run(ref, target, todo, (version, sky, correction), workers):
        count += done
        if progress:
            progress(len(wanted) - len(todo) + count, len(wanted))
    asked = family.stars if tics is None else len(set(tics))
    return Written(len(todo), len(wanted) - len(todo), asked - len(wanted))


def _name(family: Family, star: int, version: int, corrected: Corrected) -> str:
    attrs, kind = family.light_curves.attrs, Correction(int(corrected.kind[star]))
    release = int(attrs.get("data_rel", 0))
    return file_name(int(family.light_curves["tic"][star]), attrs, release, version, kind)


def _identity(family: Family, star: int, corrected: Corrected) -> str:
    """Return the ids of the products that the series of a star come from."""
    measured = str(family.source(Method(int(family.method[star]))).attrs["provenance_id"])
    return " ".join(filter(None, (measured, corrected.identity(star))))


def _served_sky(family: Family, cube: xr.Dataset) -> xr.DataArray | None:
    """Return where a pixel was sky in at least half of some frames; None where nobody can know any more."""
    raw, made = str(cube.attrs.get("provenance_id", "")), family.light_curves
    if raw not in lineage(made):
        raise SourceError(
            f"export: the frames have the id {raw!r}, the light curves of {product_unit(made)} were made "
            "from others; expected those that the pipeline ran on. Name them, or leave them out."
        )
    stream = open_ancestor(made, "stream")
    if stream is None or "reference" not in family.parents:
        return None
    return sky_pixels(cube, family.parents["reference"].load(), stream) >= 0.5


def wanted_stars(family: Family, tics: Sequence[int] | None, *, numbered: bool = True) -> list[int]:
    """Return the stars asked for, or all, as far as they have a light curve and, if need be, a number."""
    numbers = family.light_curves["tic"].values
    if tics is not None:
        absent = sorted(set(tics) - set(numbers.tolist()))
        if absent:
            raise StoreError(
                f"export: TIC {absent[0]}{' and others' if len(absent) > 1 else ''} is not among the "
                f"{numbers.size} stars of this CCD; expected stars that are. Ask 'tasoc where {absent[0]}'."
            )
    chosen = np.ones(numbers.size, bool) if tics is None else np.isin(numbers, np.asarray(tics))
    if numbered:
        chosen &= numbers > 0
    return [int(star) for star in np.flatnonzero(chosen & (family.method != Method.NONE))]


def _missing(paths: dict[int, Path], identities: dict[int, str], overwrite: bool) -> list[int]:
    """Return the stars whose file is not there yet; refuse before anything of another product is lost."""
    todo = []
    for star, path in paths.items():
        made_from, identity = _provenance_of(path), identities[star]
        if made_from == identity:
            continue
        if made_from is not None and not overwrite:
            raise StoreError(
                f"export: {path} was made from {made_from or 'something else'}, not from {identity}; "
                "expected a folder without it. Give --overwrite, another --to, or another --version."
            )
        todo.append(star)
    return todo


def _provenance_of(path: Path) -> str | None:
    """Return the product a file says it was made from; None where there is no file."""
    try:
        with gzip.open(path) as packed:
            header = fits.Header.fromfile(packed, endcard=True)
        return " ".join(filter(None, (str(header.get(key, "")) for key in ("PROVID", "CORRID"))))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, EOFError, ValueError):
        return ""


def _run(
    ref: ProductRef,
    folder: Path,
    stars: list[int],
    settings: tuple[int, xr.DataArray | None, str],
    workers: int,
) -> Iterator[int]:
    """Write the files of stars and yield how many, piece by piece."""
    per_chunk = np.asarray(stars, np.int64) // STAR_CHUNK
    pieces = [np.asarray(stars, np.int64)[per_chunk == chunk] for chunk in np.unique(per_chunk)]
    if workers == 1 or len(stars) < 64:
        for piece in pieces:
            yield _write_some(ref, folder, piece, *settings)
        return
    pieces = [
        part for piece in pieces for part in np.array_split(piece, min(workers, piece.size)) if part.size
    ]
    with ProcessPoolExecutor(workers, get_context("spawn")) as processes:
        running = [processes.submit(_write_some, ref, folder, piece, *settings) for piece in pieces]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            processes.shutdown(cancel_futures=True)


def _write_some(
    ref: ProductRef, folder: Path, stars: np.ndarray, version: int, sky: xr.DataArray | None, correction: str
) -> int:
    family = open_family(ref)
    series, corrected = family.read(stars), open_corrected(family, correction)
    for path, content in render(family, series, stars, version, sky, corrected):
        with exported_file(folder / path) as part:
            part.write_bytes(content)
    return int(stars.size)


def render(
    family: Family,
    series: xr.Dataset,
    stars: np.ndarray,
    version: int,
    sky: xr.DataArray | None = None,
    corrected: Corrected | None = None,
) -> Iterator[tuple[str, bytes]]:
    """
    Yield name and content of the file of each star.

    Parameters
    ----------
    family, series
        The products, and the series of these stars as ``family.read`` gives them.
    stars
        Indices of the stars.
    sky
        True for the pixels that the sky was made of (row, column); by default the dark ones.
    corrected
        Corrections of the light curves; none by default.
    """
    corrected = corrected or open_corrected(family, PLAIN)
    files = _Files(family, series, version, sky)
    files.correct(corrected, stars)
    for k, star in enumerate(stars.tolist()):
        yield _name(family, star, version, corrected), gzip.compress(files.render(k, star), LEVEL, mtime=0)


class _Files:
    """What the files of all stars share: text of headers, and the columns that are the same."""

    def __init__(self, family: Family, series: xr.Dataset, version: int, sky: xr.DataArray | None) -> None:
        self.family, self.series, self.sky = family, series, sky
        self.used = UsedPixels(family)
        self.values = {str(name): v.values for name, v in series.variables.items()}
        self.primary = [card(*one) for one in primary_cards(family, version)]
        self.table = _empty_table(series.sizes["time"])
        self.columns = [card(*one) for one in _table_cards(self.table)]
        self.timecorr = family.per_cadence("timecorr")
        self.table["CADENCENO"] = self.values["cadenceno"]
        self.table["PIXEL_QUALITY"] = self.values["quality"]
        reference = family.parents.get("reference")
        self.wcs = "" if reference is None else str(reference.attrs.get("wcs", ""))

    def correct(self, corrected: Corrected, stars: np.ndarray) -> None:
        """Take the corrected series of the stars of the series."""
        self.corrected, self.corrected_flux, self.corrected_bits = corrected, None, None
        if corrected.tables:
            read = corrected.read(stars)
            self.corrected_flux = in_ppm(self.family.light_curves, read)
            self.corrected_bits = read["pixel_quality"].values

    def render(self, k: int, star: int) -> bytes:
        """Return the file of the ``k``-th star of the series."""
        method = Method(int(self.values["method"][k]))
        own = object_cards(self.family, star, method, self.used.contamination(star, method))
        own += correction_cards(self.corrected, star)
        images = [*ensemble_tables(self.family, self.corrected, star), *self._images(star, method)]
        extended = ("NEXTEND", 1 + len(images), "number of standard extensions")
        primary = hdu_bytes([*_FIRST, extended, *self.primary, *own])
        return b"".join([primary, self._light_curve(k, star), *images])

    def _light_curve(self, k: int, star: int) -> bytes:
        time, data = self.values["star_time"][k], self.table
        data["TIME"] = time
        data["TIMECORR"] = self.timecorr + (time - self.values["time"])
        for column, name in _SERIES.items():
            data[column] = self.values[name][k]
        bits = self.values["pixel_quality"][k] | self.values["frame_quality"]
        if self.corrected_flux is not None:
            data["FLUX_CORR"], data["FLUX_CORR_ERR"] = (values[k] for values in self.corrected_flux)
            bits = bits | self.corrected_bits[k]
        data["QUALITY"] = tasoc_quality(bits)
        data["POS_CORR1"], data["POS_CORR2"] = self._motion(star)
        return hdu_bytes([*self.columns, *time_cards(time, self.series.attrs)], data)

    def _motion(self, star: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the displacement of the star along columns and rows in every frame."""
        pointing = self.family.parents.get("pointing")
        if pointing is None:
            return self.family.per_cadence("motion_column"), self.family.per_cadence("motion_row")
        place = (self.family.per_star(f"star_{axis}")[[star]] for axis in ("row", "column"))
        row, column = motion_at(pointing, *place)
        return column[:, 0], row[:, 0]

    def _images(self, star: int, method: Method) -> list[bytes]:
        """Return SUMIMAGE, APERTURE and for a halo WEIGHTMAP; none where their products are lost."""
        if not {"reference", "apertures"} <= self.family.parents.keys():
            return []
        stamp = stamp_around(self._loaded("reference"), *self.used.about(star, method))
        image, saturated = (stamp.cut(self._loaded(name)) for name in ("reference", "saturated"))
        sky = ~stamp.cut(self._loaded("star_mask")) & ~saturated if self.sky is None else stamp.cut(self.sky)
        bits = aperture_bits(
            stamp, *self.used.of(star, method), sky, np.isfinite(image), method is Method.APERTURE
        )
        place = image_cards(stamp, stamp.plane(self.wcs))
        served = ("SKYUSED", self.sky is not None, "bit 4: T used for the sky, F no star there")
        images = [
            _image_bytes(image.astype(">f4"), "SUMIMAGE", place),
            _image_bytes(bits.astype(">i4"), "APERTURE", [*place, served]),
        ]
        if method is Method.HALO:
            images.append(extension_bytes(self.used.weight_map(star, stamp, saturated)))
        return images

    def _loaded(self, name: str) -> xr.DataArray:
        """Return an image of the reference in memory; it is read once."""
        reference = self.family.parents["reference"]
        if reference[name].chunks:
            reference[name] = reference[name].compute()
        return reference[name]


_SERIES = {
    "FLUX_RAW": "flux",
    "FLUX_RAW_ERR": "flux_err",
    "FLUX_BKG": "background",
    "MOM_CENTR1": "centroid_column",
    "MOM_CENTR2": "centroid_row",
}


_FIRST: tuple[Card, ...] = (
    ("SIMPLE", True, "conforms to FITS standard"),
    ("BITPIX", 8, "array data type"),
    ("NAXIS", 0, "number of array dimensions"),
    ("EXTEND", True, "file contains extensions"),
)
_INHERIT: Card = ("INHERIT", True, "inherit the primary header")
_TYPES = {"D": ">f8", "E": ">f4", "J": ">i4"}


def _extension_cards(kind: str, bits: int, axes: tuple[int, ...]) -> list[Card]:
    """Return the cards that every extension begins with; axes in the order of the header."""
    sizes: list[Card] = [(f"NAXIS{k}", size, f"length of data axis {k}") for k, size in enumerate(axes, 1)]
    return [
        ("XTENSION", kind, "kind of extension"),
        ("BITPIX", bits, "array data type"),
        ("NAXIS", len(axes), "number of array dimensions"),
        *sizes,
        ("PCOUNT", 0, "number of group parameters"),
        ("GCOUNT", 1, "number of groups"),
    ]


def _empty_table(length: int) -> np.ndarray:
    """Return the rows of LIGHTCURVE; what is not filled in later is not known yet."""
    table = np.zeros(length, [(name, _TYPES[form]) for name, form, *_ in COLUMNS])
    for name in ("FLUX_CORR", "FLUX_CORR_ERR"):
        table[name] = np.nan
    return table


def _table_cards(table: np.ndarray) -> list[Card]:
    """Return the cards of LIGHTCURVE that do not depend on the star."""
    cards = _extension_cards("BINTABLE", 8, (table.itemsize, table.size))
    cards.append(("TFIELDS", len(COLUMNS), "number of table fields"))
    for number, (name, form, unit, shown, meaning) in enumerate(COLUMNS, start=1):
        cards += [(f"TTYPE{number}", name, meaning), (f"TFORM{number}", form, "column format")]
        cards += [(f"TUNIT{number}", unit, "column units")] if unit else []
        cards.append((f"TDISP{number}", shown, "column display format"))
    return [*cards, ("EXTNAME", "LIGHTCURVE", "name of extension"), _INHERIT]


def _image_bytes(image: np.ndarray, name: str, cards: list[Card]) -> bytes:
    bits = 8 * image.itemsize * (-1 if image.dtype.kind == "f" else 1)
    first = _extension_cards("IMAGE", bits, image.shape[::-1])
    return hdu_bytes([*first, ("EXTNAME", name, "name of extension"), _INHERIT, *cards], image)


def tasoc_quality(ours: np.ndarray) -> np.ndarray:
    """
    Return TASOC's quality from ours.

    The first nine bits are the same. A cadence that we set apart for a reason TASOC has no bit for gets
    its FlaggedBadData, so that TASOC's default mask leaves out the same cadences; our own bits stay
    above TASOC's.
    """
    beyond = (ours & DEFAULT_BAD_KIT_BITS & ~TASOC_BITS) != 0
    return (ours | np.where(beyond, int(KitQuality.FLAGGED_BAD_DATA), 0)).astype(np.int32)
