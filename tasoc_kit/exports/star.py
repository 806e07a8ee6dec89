"""One star in every sector: found in the products of the store, set to one level, put together in time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit import plots
from tasoc_kit.errors import StoreError
from tasoc_kit.exports.corrected import BEST, open_corrected
from tasoc_kit.exports.family import Family, open_family
from tasoc_kit.photometry.one_star import lightkurve_class
from tasoc_kit.plots.light_curve import one_star
from tasoc_kit.sources.pointings import position_of
from tasoc_kit.storage.units import ProductRef, parse_unit
from tasoc_kit.store import current_products, read_variable
from tasoc_kit.vocabulary import Correction, Method

__all__ = ["Found", "Star", "find_star", "star"]

NEAR = 21.0 / 3600
"""Degrees, one pixel: a place nearer than that to a star of the products is that star."""
_FLUXES = {"flux", "flux_corr"}
_SERIES = ("flux", "flux_err", "background", "pixel_quality", "star_time")
_THREADS = 16
_TIC = re.compile(r"\s*(?:TIC[\s-]*)?(\d+)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """Where a star lies in the store."""

    ref: ProductRef
    star: int
    """Its index in the light curves of this unit."""


@dataclass(frozen=True)
class Star:
    """The light curve of one star, over all sectors that were measured."""

    name: str
    curve: pd.DataFrame
    """
    One row a cadence, in order of time: ``time`` (BTJD), ``flux``, ``flux_err``, ``sector``, ``camera``,
    ``ccd``, ``cadenceno``, ``quality`` (TESS), ``pixel_quality`` and ``frame_quality`` (ours), ``flags``
    (names of all bits), ``good`` (of the flux as it was measured); where the store has a correction, its bits
    are among them, and beside them stand ``flux_corr``, ``flux_corr_err`` and ``good_corr``.
    """
    sectors: pd.DataFrame
    """
    One row a sector and CCD: place, ``method``, ``correction``, ``level`` (median of the good cadences,
    electron/s), ``scatter`` (ppm, point to point), ``contamination``, cadences, and the id of the product.
    """
    normalised: bool
    """True where the flux is relative to the level of its sector."""

    def __repr__(self) -> str:
        numbers = [str(number) for number in self.sectors["sector"]]
        places = f"sector{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
        return f"Star {self.name}: {len(self.curve):,} cadences in {places}"

    def plot(self, **options: Any) -> Any:
        """Draw the light curve, a colour a sector; see ``plots.star``."""
        return plots.star(self.curve, **({"title": self.name, "normalised": self.normalised} | options))

    def to_pandas(self) -> pd.DataFrame:
        """Return the light curve as a table of its own."""
        return self.curve.copy()

    def to_lightkurve(self) -> Any:
        """
        Return the good cadences as a lightkurve object.

        Raises
        ------
        SourceError
            If lightkurve is not installed.
        """
        curve_class = lightkurve_class()
        from astropy import units

        good = self.curve[self.curve["good"]]
        unit = units.dimensionless_unscaled if self.normalised else units.electron / units.second
        number = _TIC.match(self.name)
        curve = curve_class(
            time=good["time"].to_numpy(),
            flux=good["flux"].to_numpy() * unit,
            flux_err=good["flux_err"].to_numpy() * unit,
            targetid=int(number.group(1)) if number else 0,
            label=self.name,
        )
        for name in ("sector", "camera", "ccd", "cadenceno", "quality"):
            curve[name] = good[name].to_numpy()
        curve.meta["NORMALIZED"] = self.normalised
        return curve


@lru_cache(maxsize=4096)
def _column(ref: ProductRef, name: str) -> np.ndarray:
    """Return a (star) column of a product; a product never changes, so it is read once."""
    return read_variable(ref, name)


def find_star(
    target: str | int,
    *,
    sectors: Iterable[int] | None = None,
    tag: str | None = None,
    store: str | None = None,
) -> list[Found]:
    """
    Find a star in the light curves of the store, in order of sector.

    Only the numbers or places of the stars are read, at most once for each product. Where a CCD and
    cutouts of it hold the star, the CCD counts.

    Parameters
    ----------
    target
        ``"TIC 261136679"`` or its number, or ``"RA DEC"`` for the nearest star within a pixel.
    sectors
        Only these.
    tag
        Of the products; by default the tag ``current``, else the newest.
    """
    wanted = None if sectors is None else set(sectors)
    refs = current_products("light_curves", tag=tag, store=store)
    refs = [ref for ref in refs if wanted is None or parse_unit(ref.unit)["sector"] in wanted]
    number = _TIC.match(str(target))
    with ThreadPoolExecutor(_THREADS) as threads:
        if number:
            places = list(threads.map(lambda ref: _with_number(ref, int(number.group(1))), refs))
        else:
            position = position_of(target)
            places = list(threads.map(lambda ref: _nearest(ref, *position), refs))
    found: dict[tuple[int, ...], Found] = {}
    for ref, place in zip(refs, places, strict=True):
        if place >= 0:
            # The whole CCD stands before its cutouts in the order of units.
            unit = parse_unit(ref.unit)
            found.setdefault(tuple(unit[name] for name in ("sector", "camera", "ccd")), Found(ref, place))
    return list(found.values())


def _with_number(ref: ProductRef, tic: int) -> int:
    places = np.flatnonzero(_column(ref, "tic") == tic)
    return int(places[0]) if tic and places.size else -1


def _nearest(ref: ProductRef, ra: float, dec: float) -> int:
    across = (_column(ref, "ra") - ra + 180) % 360 - 180
    distance = np.hypot(across * np.cos(np.radians(dec)), _column(ref, "dec") - dec)
    if not np.isfinite(distance).any():
        return -1
    nearest = int(np.nanargmin(distance))
    return nearest if distance[nearest] <= NEAR else -1


def star(
    target: str | int,
    *,
    sectors: Iterable[int] | None = None,
    method: Method | str | None = None,
    normalise: bool = True,
    decontaminate: bool = False,
    correction: str = BEST,
    tag: str | None = None,
    store: str | None = None,
) -> Star:
    """
    Put together the light curve of one star from every sector in the store.

    Parameters
    ----------
    target
        ``"TIC 261136679"`` or its number, or ``"RA DEC"`` for the nearest star within a pixel.
    sectors
        Only these; by default all.
    method
        ``"aperture"``, ``"psf"`` or ``"halo"``; by default in each sector the one that serves best.
    normalise
        Divide each sector by its median: CCDs differ in aperture and throughput.
    decontaminate
        Take out the light of other stars in the aperture, by the share that the catalogue gives them; a
        constant, which makes signals as deep as they are.
    correction
        What ``flux_corr`` is: ``"best"`` for the star in each sector where the store knows it, ``"none"``,
        ``"cbv"``, ``"ensemble"`` or ``"filter"``. Light curves of apertures are what is corrected.
    tag
        Of the products; by default the tag ``current``, else the newest.
    store
        URL of the store; by default that of the settings, then the shared ones.

    Raises
    ------
    StoreError
        If no light curves of the store hold the star.

    Examples
    --------
    >>> curve = star("TIC 261136679")  # doctest: +SKIP
    >>> curve.sectors  # doctest: +SKIP
    >>> curve.plot()  # doctest: +SKIP
    """
    found = find_star(target, sectors=sectors, tag=tag, store=store)
    if not found:
        raise _nowhere(target, sectors, tag, store)
    chosen = _method(method)
    with ThreadPoolExecutor(4) as threads:
        parts = list(
            threads.map(lambda one: _read(one, chosen, normalise, decontaminate, correction, store), found)
        )
    curve = pd.concat([table for table, _ in parts], ignore_index=True)
    if "good_corr" in curve:
        # A sector without a correction has no such column.
        curve["good_corr"] = curve["good_corr"].eq(True)
    curve = curve.sort_values("time", kind="stable", ignore_index=True)
    tic = int(_column(found[0].ref, "tic")[found[0].star])
    name = f"TIC {tic}" if tic else str(target).strip()
    return Star(name, curve, pd.DataFrame([row for _, row in parts]), normalise)


def _method(method: Method | str | None) -> Method | None:
    if method is None or isinstance(method, Method):
        return method
    try:
        return Method[method.upper()]
    except KeyError:
        names = [known.name.lower() for known in Method if known]
        raise StoreError(f"star: method {method!r}; expected one of {names}, or none. Choose one.") from None


def _nowhere(
    target: str | int, sectors: Iterable[int] | None, tag: str | None, store: str | None
) -> StoreError:
    there = sorted({ref.unit for ref in current_products("light_curves", tag=tag, store=store)})
    asked = f" in sectors {sorted(set(sectors))}" if sectors is not None else ""
    return StoreError(
        f"star: {target}{asked} is in none of the {len(there)} light_curves products"
        f"{f' ({there[:6]})' if there else ''}; expected one that holds it. "
        f"Ask where it was seen: tasoc where '{target}', then: tasoc run photometry --sector N."
    )


def _read(
    found: Found,
    method: Method | None,
    normalise: bool,
    decontaminate: bool,
    correction: str,
    store: str | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the cadences of one unit and what is told of it."""
    family = open_family(found.ref, store=store)
    series = family.read(np.array([found.star]), method, _SERIES)
    table = one_star(series, 0).astype({"flux": float, "flux_err": float})
    table["time"] = table.pop("star_time")
    share = float(family.per_star("contamination")[found.star])
    used = Method(int(series["method"][0]))
    table, kind = _correct(table, series, family, found.star, used, correction, store)
    good = table.loc[table["good"], "flux"]
    level, scatter = float(good.median()), _scatter(good.to_numpy())
    if decontaminate and used is Method.APERTURE and np.isfinite(share):
        for name in _FLUXES & set(table):
            table[name] -= share * level
        level *= 1 - share
    if normalise:
        table[["flux", "flux_err"]] /= level
        if "flux_corr" in table:
            table[["flux_corr", "flux_corr_err"]] /= table.loc[table["good_corr"], "flux_corr"].median()
    unit = parse_unit(found.ref.unit)
    place = {name: unit[name] for name in ("sector", "camera", "ccd")}
    told = {
        **place,
        "method": used.name.lower(),
        "correction": kind.name.lower(),
        "level": level,
        "scatter": 1e6 * scatter / level,
        "contamination": share,
        "cadences": len(table),
        "good": int(table["good"].sum()),
        "start": float(table["time"].min()),
        "end": float(table["time"].max()),
        "unit": found.ref.unit,
        "id": found.ref.id,
    }
    return table.assign(**place, method=told["method"]), told


def _correct(
    table: pd.DataFrame,
    series: xr.Dataset,
    family: Family,
    star: int,
    used: Method,
    correction: str,
    store: str | None,
) -> tuple[pd.DataFrame, Correction]:
    """Return the table with the corrected flux, its bits among the others; and what it was corrected by."""
    corrected = open_corrected(family, correction, method=used, store=store)
    kind = Correction(int(corrected.kind[star]))
    if not kind:
        return table, kind
    read = corrected.read(np.array([star]))
    bits = series["pixel_quality"] | read["pixel_quality"]
    seen = one_star(series.assign(flux=read["flux_corr"], pixel_quality=bits), 0)
    told = {name: read[name].values[0] for name in ("flux_corr", "flux_corr_err")}
    told |= {"good_corr": seen["good"]} | {name: seen[name] for name in ("pixel_quality", "flags")}
    return table.assign(**told), kind


def _scatter(flux: np.ndarray) -> float:
    """Return the noise of a cadence from the median of the changes between neighbours."""
    if flux.size < 2:
        return float("nan")
    return float(np.median(np.abs(np.diff(flux)))) * 1.4826 / np.sqrt(2)
