"""What a page looks up: the products of a unit, what they were made from, the run that made them."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
import xarray as xr

from tasoc_kit import database, store
from tasoc_kit.photometry.messages import MADE_OF, star_messages
from tasoc_kit.plots.noise import measure_noise
from tasoc_kit.provenance import lineage
from tasoc_kit.storage.units import parse_unit

__all__ = [
    "MAKERS",
    "PLACE",
    "cubes",
    "describe",
    "diagnostics_of",
    "measured_noise",
    "messages_of",
    "name_of",
    "run_of",
    "units_with",
]

PLACE = ("sector", "camera", "ccd")

MAKERS = {
    "quality": "make_quality",
    "pointing": "estimate_pointing",
    "stars": "locate_stars",
    "reference": "make_reference",
    "apertures": "make_apertures",
    "stream": "stream_frames",
    "sky": "fit_sky",
}
"""Product → the step whose record stands for it in a lineage."""

_MEASURED: dict[str, xr.Dataset] = {}
_KEPT = 4
_measuring = threading.Lock()


def units_with(product: str) -> pd.DataFrame:
    """Return the complete products of this name, the newest first, as ``store.list_products`` does."""
    return store.list_products(product)


def measured_noise(light_curves: xr.Dataset) -> xr.Dataset:
    """Return the noise of every star; measured once for each product and kept for the next visitor."""
    identity = str(light_curves.attrs.get("provenance_id", ""))
    found = _MEASURED.get(identity)
    if found is None:
        # Visitors ask from threads beside the server; who waits finds what the one before has measured.
        with _measuring:
            found = _MEASURED.get(identity)
            if found is None:
                found = measure_noise(light_curves)
                if len(_MEASURED) >= _KEPT:
                    _MEASURED.pop(next(iter(_MEASURED)))
                _MEASURED[identity] = found
    return found


def diagnostics_of(light_curves: xr.Dataset) -> xr.Dataset | None:
    """Return the newest diagnostics that were made of these light curves, or None."""
    identity, unit = light_curves.attrs.get("provenance_id", ""), store.product_unit(light_curves)
    for ref in store.current_products("diagnostics"):
        if ref.unit == unit:
            found = store.open_ref(ref)
            if identity in lineage(found) and found.sizes["star"] == light_curves.sizes["star"]:
                return found.load()
    return None


def messages_of(apertures: xr.Dataset) -> Callable[[int], str]:
    """Return the function that gives the message of a star; what it says is read once, here."""
    table = apertures[[name for name in MADE_OF if name in apertures.variables]].load()
    return lambda star: str(star_messages(table.isel(star=[star]), table)[0])


def run_of(unit: str, identity: str) -> dict[str, Any] | None:
    """Return the last run that made a product, or None where the database knows of none."""
    runs = database.list_runs(unit=unit)
    made = runs[runs["id"] == identity]
    return None if made.empty else made.sort_values("run").iloc[-1].to_dict()


def name_of(unit: str) -> str:
    """Return ``Sector 1 · camera 1 · CCD 2`` for ``s0001-1-2``; what is no unit stays as it is."""
    parts = parse_unit(unit)
    if not parts:
        return unit
    titles = {"sector": "Sector", "camera": "camera", "ccd": "CCD", "field": "field"}
    return " · ".join(f"{title} {parts[name]}" for name, title in titles.items() if parts.get(name))


def cubes() -> dict[str, dict[str, str]]:
    """
    Return what the last run of each unit opened, the newest first.

    Returns
    -------
    Unit → ``cube`` (catalog entry or path) and, where the run was asked for them, ``sector``,
    ``camera`` and ``ccd``.
    """
    found: dict[str, dict[str, str]] = {}
    for run in database.newest_runs(["unit"], given="cube").itertuples():
        given = run.parameters or {}
        if given.get("cube"):
            found[run.unit] = {name: str(given[name]) for name in ("cube", *PLACE) if given.get(name)}
    return found


def describe(dataset: xr.Dataset) -> dict[str, str]:
    """Return where the numbers of a product come from, as markup for ``theme.readout``."""
    attrs = dataset.attrs
    identity = str(attrs.get("provenance_id", ""))
    facts = {"product": f"{attrs.get('product', '')} <code>{identity}</code>"}
    parents = {record["step"]: name for name, record in lineage(dataset).items() if name != identity}
    for product, maker in MAKERS.items():
        if maker in parents and product in ("apertures", "reference", "sky"):
            facts[product] = f"<code>{parents[maker]}</code>"
    if "raw" in parents:
        facts["raw frames"] = f"<code>{parents['raw']}</code>"
    run = run_of(store.product_unit(dataset), identity) if identity else None
    if run:
        made = pd.Timestamp(run["started"])
        facts["notebook"] = (
            f"{html.escape(str(run['notebook']))}, run {run['run']}, {made:%Y-%m-%d %H:%M} UTC"
        )
        if str(run["message"]).endswith(".ipynb"):
            facts["executed as"] = f"<code>{html.escape(str(run['message']))}</code>"
    facts["records"] = f"<code>tasoc provenance show {identity}</code>"
    return facts
