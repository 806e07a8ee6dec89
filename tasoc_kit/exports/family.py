"""Light curves of one unit with all that belongs to them, and the series that serves each star best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from tasoc_kit.chunks import compute
from tasoc_kit.photometry.conditions.spacecraft import star_time
from tasoc_kit.products import open_ancestor, open_sibling
from tasoc_kit.provenance import lineage
from tasoc_kit.storage.units import ProductRef
from tasoc_kit.store import open_ref
from tasoc_kit.vocabulary import SPACECRAFT, Method, Status

__all__ = ["Family", "family_of", "open_family"]

BESIDE = {Method.PSF: "psf_light_curves", Method.HALO: "halo_light_curves"}
"""Product in which the series of a method lie; those of apertures are the light curves themselves."""
_SERVED = (Status.OK, Status.WARNING)


@dataclass(frozen=True)
class Family:
    """The light curves of one unit, lazy, what they were made from, and those of the other methods."""

    light_curves: xr.Dataset
    parents: dict[str, xr.Dataset]
    """By name, those that are still in the store."""
    beside: dict[Method, xr.Dataset]
    """Light curves of the other methods that were made on the same reference."""
    psf: xr.Dataset | None = None
    """What the PSF light curves were made with."""

    @cached_property
    def method(self) -> np.ndarray:
        """(star) The method that serves each star; that of apertures where the better one gave no flux."""
        stars = self.parents.get("apertures", self.light_curves)
        wanted = stars["method"].values if "method" in stars.variables else np.zeros(self.stars, np.int8)
        method = np.where(self.measured(Method.APERTURE), Method.APERTURE, Method.NONE)
        for better in self.beside:
            method = np.where((wanted == better) & self.measured(better), better, method)
        return method.astype(np.int8)

    def has(self, method: Method) -> bool:
        """Tell whether there are light curves of a method."""
        return method == Method.APERTURE or method in self.beside

    def measured(self, method: Method) -> np.ndarray:
        """(star) True where a method gave a star its light curve."""
        if method not in self.beside:
            return np.asarray((self.light_curves["row_size"].values > 0) & (method == Method.APERTURE))
        served = np.append(np.isin(self.beside[method]["status"].values, _SERVED), False)
        return np.asarray(served[self.places[method]])

    def per_cadence(self, name: str) -> np.ndarray:
        """Return a (time) variable of the light curves or of a parent; NaN where none has it."""
        for dataset in (self.light_curves, *self.parents.values()):
            if name in dataset.variables and dataset[name].dims == ("time",):
                return dataset[name].values
        return np.full(self.light_curves.sizes["time"], np.nan)

    def per_star(self, name: str) -> np.ndarray:
        """Return a (star) variable of the light curves or of a parent; NaN where none has it."""
        for dataset in (self.light_curves, *self.parents.values()):
            if name in dataset.variables and dataset[name].dims == ("star",):
                return dataset[name].values
        return np.full(self.stars, np.nan)

    def times(self, stars: np.ndarray) -> np.ndarray:
        """Return barycentric mid-times (star, time); the CCD centre's where the spacecraft is not known."""
        table, curves = self.spacecraft, self.light_curves
        if table is None:
            return np.broadcast_to(curves["time"].values, (stars.size, curves.sizes["time"]))
        place = {name: curves[name].values[stars] for name in ("ra", "dec")}
        return np.asarray(star_time(table, **place).values)

    @property
    def spacecraft(self) -> xr.Dataset | None:
        """The product that tells where the spacecraft was; None where none does."""
        wanted = {*SPACECRAFT, "timecorr"}
        tables = (self.light_curves, self.parents.get("quality"))
        return next((t for t in tables if t is not None and wanted <= set(t.variables)), None)

    @property
    def stars(self) -> int:
        """Number of stars."""
        return int(self.light_curves.sizes["star"])

    @cached_property
    def places(self) -> dict[Method, np.ndarray]:
        """(star) index of each star in the light curves of the other methods, −1 where it is not there."""
        mine = _position(self.light_curves)
        return {method: _match(mine, _position(other)) for method, other in self.beside.items()}

    def source(self, method: Method) -> xr.Dataset:
        """Return the light curves that hold the series of a method."""
        return self.beside.get(method, self.light_curves)

    def read(
        self, stars: np.ndarray, method: Method | None = None, names: tuple[str, ...] | None = None
    ) -> xr.Dataset:
        """
        Return the series of some stars in memory, each by the method that serves it best.

        Parameters
        ----------
        stars
            Indices, rising.
        method
            One method for all; stars that it did not measure are NaN.
        names
            Of the (star, time) series, only these.

        Returns
        -------
        The light curves (star, time) with ``method`` (star) and ``star_time`` (star, time).
        """
        stars = np.asarray(stars, dtype=np.int64)
        used = self.method[stars] if method is None else np.full(stars.size, method, np.int8)
        passed = [
            n for n, v in self.light_curves.data_vars.items() if v.ndim == 2 and names and n not in names
        ]
        found = compute(self.light_curves.drop_vars(passed).isel(star=stars)).assign(
            method=("star", used), star_time=(("star", "time"), self.times(stars))
        )
        for other in (Method.PSF, Method.HALO):
            mine = np.flatnonzero(used == other)
            if mine.size:
                self._put(found, mine, stars[mine], other)
        return found

    def _put(self, found: xr.Dataset, mine: np.ndarray, stars: np.ndarray, method: Method) -> None:
        """Put the series of another method in the place of those of the apertures."""
        series = [n for n, v in found.data_vars.items() if v.dims == ("star", "time") and n != "star_time"]
        places = self.places.get(method, np.full(self.stars, -1))[stars]
        there = places >= 0
        if there.any():
            beside = self.beside[method]
            other = compute(beside[[n for n in series if n in beside.variables]].isel(star=places[there]))
        for name in series:
            values = found[name].values.copy()
            values[mine] = np.nan if values.dtype.kind == "f" else 0
            if there.any() and name in other.variables:
                values[mine[there]] = other[name].values
            found[name] = (("star", "time"), values, found[name].attrs)


def open_family(ref: ProductRef, *, store: str | None = None) -> Family:
    """Open the light curves of a unit lazily, with those products of the store that belong to them."""
    return family_of(open_ref(ref), store=store)


def family_of(light_curves: xr.Dataset, *, store: str | None = None) -> Family:
    """
    Return light curves with those products of the store that belong to them.

    Of several runs of another method, the one that shares most with these light curves belongs to them.
    """
    names = ("apertures", "reference", "pointing", "stars", "sky", "quality")
    parents = {name: open_ancestor(light_curves, name, store=store) for name in names}
    known = {name: parent for name, parent in parents.items() if parent is not None}
    beside: dict[Method, xr.Dataset] = {}
    for method, name in BESIDE.items():
        other = open_sibling(light_curves, name, store=store)
        if other is not None and _same_reference(other, known):
            beside[method] = other
    psf = open_ancestor(beside[Method.PSF], "psf", store=store) if Method.PSF in beside else None
    return Family(light_curves, known, beside, psf)


def _same_reference(other: xr.Dataset, parents: dict[str, xr.Dataset]) -> bool:
    return "reference" in parents and parents["reference"].attrs["provenance_id"] in lineage(other)


def _position(light_curves: xr.Dataset) -> np.ndarray:
    """Return where the stars lie on the pixels as complex numbers: what names a star without number too."""
    return np.asarray(light_curves["star_row"].values + 1j * light_curves["star_column"].values)


def _match(mine: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the index of each star in another list of stars; −1 where it is not there."""
    if not other.size:
        return np.full(mine.size, -1)
    order = np.argsort(other, kind="stable")
    at = np.minimum(np.searchsorted(other[order], mine), order.size - 1)
    return np.where(other[order[at]] == mine, order[at], -1)
