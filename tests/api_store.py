"""A store in which every route of the API finds something, and the values that lead there."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dashboard_data as data
from ffi_files import write_ffi
from sector import make_sector

from tasoc_kit.config import settings
from tasoc_kit.records.jobs import submit_job
from tasoc_kit.sources.ffi import open_ffi, science
from tasoc_kit.store import write_product

UNIT = "s0001-1-2"
SPAN = {"rows": 128, "columns": 128, "frames": 12, "seed": 11, "sector": 7}
JOB = {"name": "17_sky", "arguments": {"sector": 1, "camera": 1, "ccd": 2}, "held": True}


@dataclass(frozen=True)
class Known:
    """What is in the store."""

    ids: Mapping[str, str]
    """Id by product of one CCD."""
    sky: str
    """Id of a sky whose raw frames are here."""
    cadence: int
    tic: int
    giant: int
    """TIC number of a star with a spectrum."""
    place: tuple[float, float]
    """Where the star is, degrees."""
    log: str
    """Name of an executed notebook."""
    ffi: bytes
    """An FFI that is not in the store."""
    sha256: str = ""
    """Of an FFI that came in over HTTP."""

    def values(self, method: str, path: str, share: str, job: Callable[[], int]) -> dict[str, Any]:
        """Return what leads to something by this route, and lets nobody wait for long."""
        if share != "known":
            return {"query": {"seconds": 0.05}} if path.endswith("/progress") else {}
        given = {
            "product": "light_curves", "unit": UNIT, "id": self.ids["light_curves"], "key": "zarr.json",
            "name": "17_sky", "action": "release", "star": str(self.tic), "sha256": self.sha256,
        }  # fmt: skip
        if "{job}" in path:
            given["job"] = job()
        if path.startswith("/pipelines"):
            given["name"] = "photometry"
        if path.startswith("/download/runs"):
            given["name"] = self.log
        if path.startswith("/spectra"):
            given["tic"] = self.giant
        if path.startswith("/staging"):
            given["id"] = self.sky
        names = re.findall(r"{(\w+)}", path)
        values = {"path_parameters": {name: given[name] for name in names}, "query": self._query(path)}
        return values | ({"body": JOB} if (method, path) == ("POST", "/jobs") else {})

    def _query(self, path: str) -> dict[str, Any]:
        if path == "/cone":
            return {"RA": self.place[0], "DEC": self.place[1], "SR": 0.1}
        if path == "/staging/{id}/frame":
            return {"cadenceno": self.cadence, "bin": 1}
        return {"seconds": 0.05} if path.endswith("/progress") else {}


def fill_store(folder: Path) -> Known:
    """Write products, raw frames and an executed notebook to the places of the settings."""
    made = make_sector(Path(settings().data) / "frames", **SPAN)
    names = ("quality", "pointing", "reference", "stars", "apertures", "stream", "sky", "light_curves")
    for name in names:
        write_product(getattr(made, name))
    reference = data.make_reference(data.make_cube())
    apertures = data.make_apertures(reference)
    curves = data.make_light_curves(apertures)
    giants = data.make_giants()
    mine = [reference, apertures, curves, data.make_sky(), data.make_pointing()]
    for product in [*mine, *data.make_corrections(curves), *giants]:
        write_product(product)
    ids = {product.attrs["product"]: product.attrs["provenance_id"] for product in mine}
    log = Path(settings().store) / "runs" / UNIT / f"17_sky-{ids['sky']}.ipynb"
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return Known(
        ids=ids,
        sky=made.sky.attrs["provenance_id"],
        cadence=int(science(open_ffi(str(made.folder)))["cadenceno"].values[5]),
        tic=int(curves["tic"].values[0]),
        giant=int(giants[0]["tic"].values[0]),
        place=(float(curves["ra"].values[0]), float(curves["dec"].values[0])),
        log=log.name,
        ffi=write_ffi(folder).read_bytes(),
    )


def new_jobs(database: str) -> Callable[[], int]:
    """Return what makes another job that is held, each time."""
    numbers = itertools.count()
    asked = {"sector": 1, "camera": 1, "ccd": 2}

    def make() -> int:
        arguments = asked | {"white": 1 + next(numbers) / 1e6}
        return submit_job("notebook", "17_sky", arguments, held=True, submitter="fuzz", url=database)

    return make
