"""A store with products of two sectors, and the API that serves it on loopback."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dashboard_data as data
import numpy as np
import requests
import uvicorn
import xarray as xr
from sector import make_sector

from tasoc_kit import store
from tasoc_kit.api.app import make_app
from tasoc_kit.config import settings
from tasoc_kit.provenance import Record, stamp

START_SECONDS = 30
SPAN = {"rows": 128, "columns": 128, "frames": 12, "seed": 11, "sector": 7}


@dataclass
class Served:
    """What is in the store, and where it is served."""

    folder: Path
    made: Any
    """The simulated sector 1, as ``sector.make_sector`` gives it."""
    other: xr.Dataset
    """Light curves of another sector, with corrections."""
    url: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead to it."""
        return {"TASOC_STORE": str(self.folder / "store"), "TASOC_DATA": str(self.made.folder)}

    def get(self, path: str, status: int = 200, **parameters: Any) -> requests.Response:
        """Ask for something, and hold the answer to a status."""
        found = self.session.get(self.url + path, params=parameters, timeout=60)
        assert found.status_code == status, found.text[:500]
        return found


def _write(folder: Path) -> Served:
    made = make_sector(folder / "frames", **SPAN)
    for name in ("quality", "reference", "stars", "apertures", "stream", "sky", "light_curves"):
        store.write_product(getattr(made, name))
    cube = data.make_cube()
    apertures = data.make_apertures(data.make_reference(cube))
    curves = data.make_light_curves(apertures)
    other = [curves, *data.make_corrections(curves)]
    for product in other:
        store.write_product(product)
    for product in data.make_giants():
        store.write_product(product)
    return Served(folder, made, curves)


@contextmanager
def _serving(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        for _ in range(100 * START_SECONDS):
            if server.started or not thread.is_alive():
                break
            thread.join(0.01)
        assert server.started
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


@contextmanager
def served_store(folder: Path) -> Iterator[Served]:
    """Write the products and serve them; the settings of this process must lead there when it is asked."""
    before = {name: os.environ.get(name) for name in ("TASOC_STORE", "TASOC_DATA", "TASOC_CACHE")}
    os.environ |= {"TASOC_STORE": str(folder / "store"), "TASOC_CACHE": str(folder / "cache")}
    settings.cache_clear()
    try:
        served = _write(folder)
    finally:
        os.environ |= {name: value for name, value in before.items() if value is not None}
        settings.cache_clear()
    with _serving(make_app()) as url:
        served.url = url
        yield served


def newer(curves: xr.Dataset, factor: float) -> xr.Dataset:
    """Return light curves of the same stars, made otherwise: their flux times a factor."""
    scaled = curves.assign(flux=(curves["flux"] * factor).astype(np.float32))
    return stamp(scaled, Record("make_light_curves", 1, {"factor": factor}, []), [])
