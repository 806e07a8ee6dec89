"""A small simulated field about one saturated star whose variation is known, as a cube in memory."""

from __future__ import annotations

import dataclasses

import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.numerics import detector
from tasoc_kit.numerics.prf import components, radius_for, without_faint_parts
from tasoc_kit.simulation.sector import Sector
from tasoc_kit.simulation.stars import VariableStar
from tasoc_kit.simulation.variables import Kind

SIZE = 144
FIRST_COLUMN = detector.SCIENCE_COLUMNS.start


def make_star(tmag: float, curve, frames: int, **settings: object) -> Sector:
    """Return a sector with one star brighter than 7 mag, in the middle; its flux goes as ``curve(time)``."""
    sector = Sector(
        rows=SIZE, columns=SIZE, frames=frames, asteroid=False, **({"seed": 3, "sector": 5} | settings)
    )
    field = sector.stars
    faint = field.tmag > 7
    place = ((SIZE / 2 + 0.3, field.row), (FIRST_COLUMN + SIZE / 2 - 0.2, field.column), (tmag, field.tmag))
    row, column, mag = (np.concatenate([[own], values[faint]]) for own, values in place)
    flux = 10 ** (-0.4 * (mag - detector.ZERO_POINT))
    parts = components(row, column, camera=sector.settings.camera, ccd=sector.settings.ccd, width=1.0)
    stars = dataclasses.replace(
        field, row=row, column=column, tmag=mag, flux=flux, parts=without_faint_parts(flux, parts),
        radius=radius_for(flux, parts), catalogued=int((mag < 16).sum()),
    )  # fmt: skip
    kind = Kind("given", lambda *_: {}, lambda _, time: curve(time), 0.0, 0.0, 20.0)
    # Both are cached properties: what stands in their place is what the sector draws.
    sector.__dict__ |= {"stars": stars, "variables": [VariableStar(0, kind, {})]}
    return sector


def as_cube(sector: Sector) -> xr.Dataset:
    """Return the frames of a sector as a cube in memory."""
    frames = [sector.render(k) for k in range(len(sector))]
    truth = sector.truth()
    dims = ("time", "row", "column")
    return xr.Dataset(
        {
            name: (dims, da.from_array(np.stack([getattr(f, name) for f in frames]), chunks=(1, -1, -1)))
            for name in ("flux", "flux_err")
        },
        coords={
            "time": truth["time"].values,
            "cadenceno": ("time", truth["cadenceno"].values.astype(np.int32)),
            "quality": ("time", truth["quality"].values.astype(np.int32)),
            "row": np.arange(SIZE, dtype=np.int32),
            "column": np.arange(FIRST_COLUMN, FIRST_COLUMN + SIZE, dtype=np.int32),
        },
        attrs={name: getattr(sector.settings, name) for name in ("sector", "camera", "ccd")}
        | {"exposure": sector.live, "provenance_id": "0123456789ab"},
    )


def as_catalogue(sector: Sector) -> xr.Dataset:
    """Return the stars of a sector as apertures are made from."""
    truth = sector.truth()
    return truth[["tic", "ra", "dec", "tmag", "star_row", "star_column"]].drop_dims("time", errors="ignore")
