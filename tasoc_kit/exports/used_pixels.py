"""Which pixels the light curve of a star is made of: of its aperture, of its PSF stamp, or of its halo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit.exports.family import Family
from tasoc_kit.exports.stamp import Stamp
from tasoc_kit.photometry.psfs.psf_scene import Scene, scene_of
from tasoc_kit.vocabulary import Method

__all__ = ["UsedPixels"]

Labels = tuple[np.ndarray, np.ndarray]
"""Rows and columns."""
_NOWHERE = np.empty(0, int), np.empty(0, int)
_SEGMENTS = (
    ("CADENCENO1", "column title: first cadence number"),
    ("CADENCENO2", "column title: last cadence number"),
    ("SAT_PIXELS", "column title: number of saturated pixels"),
)


@dataclass(frozen=True)
class UsedPixels:
    """The pixels of every star of a CCD, by the method that serves it."""

    family: Family

    @cached_property
    def _bounds(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.family.parents["apertures"]["row_size"].values)])

    @cached_property
    def _scene(self) -> Scene | None:
        """The stamps of PSF photometry; None where its products are no longer there."""
        psf, reference = self.family.psf, self.family.parents.get("reference")
        return None if psf is None or reference is None else scene_of(psf, reference)

    @cached_property
    def _alien(self) -> np.ndarray:
        """(source) share of other stars in the light that a stamp weighs, before they are taken out."""
        scene = self._scene
        assert scene is not None
        own = scene.matrix.diagonal() * scene.expected
        with np.errstate(divide="ignore", invalid="ignore"):
            share = own / (scene.matrix @ scene.expected)
        share[scene.held] = np.nan
        return np.clip(1 - scene.sources.share * share[scene.sources.unknown], 0, 1)

    def _source(self, star: int) -> int:
        """Return the source that a star is in PSF photometry; −1 where it is none."""
        place = int(self.family.places[Method.PSF][star]) if Method.PSF in self.family.places else -1
        if place < 0 or self._scene is None:
            return -1
        at = np.flatnonzero(self._scene.member == place)
        return int(at[0]) if at.size else -1

    def contamination(self, star: int, method: Method) -> float:
        """Return the share of other stars in the light that a light curve was made from; NaN if not known."""
        if method is not Method.PSF:
            return float(self.family.per_star("contamination")[star])
        source = self._source(star)
        return float(self._alien[source]) if source >= 0 else float("nan")

    def of(self, star: int, method: Method) -> Labels:
        """Return the labels of the pixels that count; none where they are not known."""
        if method is Method.HALO:
            mine, weight = self._halo(star)
            return _labels(self.family.beside[method], mine[(weight > 0).any(axis=0)])
        return self._stamp(star) if method is Method.PSF else self.aperture(star)

    def about(self, star: int, method: Method) -> Labels:
        """Return the labels of all pixels that were looked at, around which a stamp is cut."""
        if method is Method.HALO:
            return _labels(self.family.beside[method], self._halo(star)[0])
        used = self.aperture(star)
        if used[0].size:
            return used
        row, column = (np.rint(self.family.per_star(f"star_{a}")[[star]]) for a in ("row", "column"))
        return row.astype(int), column.astype(int)

    def aperture(self, star: int) -> Labels:
        """Return the labels of the pixels of the aperture."""
        span = slice(int(self._bounds[star]), int(self._bounds[star + 1]))
        apertures = self.family.parents["apertures"]
        row, column = (apertures[f"pixel_{axis}"].values[span].astype(int) for axis in ("row", "column"))
        return row, column

    def _stamp(self, star: int) -> Labels:
        source, scene = self._source(star), self._scene
        if source < 0 or scene is None:
            return _NOWHERE
        unknown = scene.sources.unknown[source]
        row, column = np.nonzero(scene.weight[unknown] > 0)
        reference = self.family.parents["reference"]
        first = (int(reference[name].values[0]) for name in ("row", "column"))
        corner = scene.top[unknown], scene.left[unknown]
        row, column = (a + c + f for a, c, f in zip((row, column), corner, first, strict=True))
        return row, column

    def _halo(self, star: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which stamp pixels belong to a star, and their weights (segment, pixel)."""
        halo = self.family.beside[Method.HALO]
        mine = np.flatnonzero(halo["stamp_star"].values == self.family.places[Method.HALO][star])
        return mine, np.asarray(halo["halo_weight"][:, mine].values)

    def weight_map(self, star: int, stamp: Stamp, saturated: np.ndarray) -> fits.BinTableHDU:
        """
        Return WEIGHTMAP: the weight of every pixel of a halo, a row for each segment of the sector.

        Parameters
        ----------
        stamp
            Pixels of the images of the file.
        saturated
            True for its saturated pixels.
        """
        halo = self.family.beside[Method.HALO]
        mine, weight = self._halo(star)
        rows, cols = _labels(halo, mine)
        maps = np.zeros((len(weight), *stamp.shape), np.float32)
        maps[:, rows - stamp.rows[0], cols - stamp.columns[0]] = weight
        time, number = halo["time"].values, halo["cadenceno"].values
        edge = np.append(np.searchsorted(time, halo["segment_start"].values), time.size)
        edge[0] = 0
        known = (number[edge[:-1]], number[edge[1:] - 1], np.full(len(weight), int(saturated.sum())))
        columns = [
            fits.Column(name, "J", disp="I10", array=values)
            for (name, _), values in zip(_SEGMENTS, known, strict=True)
        ]
        form, shape = f"{maps[0].size}E", f"({stamp.columns.size},{stamp.rows.size})"
        columns.append(fits.Column("WEIGHTMAP", form, disp="E14.7", dim=shape, array=maps))
        table = fits.BinTableHDU.from_columns(columns, name="WEIGHTMAP")
        meanings = [
            *(meaning for _, meaning in _SEGMENTS),
            "column title: weight of a pixel over its mean",
        ]
        for column, meaning in enumerate(meanings, start=1):
            table.header.comments[f"TTYPE{column}"] = meaning
        table.header["INHERIT"] = (True, "inherit the primary header")
        return table


def _labels(halo: xr.Dataset, mine: np.ndarray) -> Labels:
    row, column = (halo[f"stamp_{axis}"].values[mine].astype(int) for axis in ("row", "column"))
    return row, column
