"""What every notebook needs, imported once, before kernels are forked from this process.

A page of memory that was filled before a fork is shared until one side writes to it, so a module
that is imported here costs neither time nor memory in the kernels.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import sys
import warnings
from collections.abc import Iterator

__all__ = ["compute_here", "kept_for_good", "leave_out", "preload"]

_MODULES = (
    "tasoc_kit.pipeline.executors",
    "papermill",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",
    "IPython.extensions.storemagic",
    "jupyter_client",
    "xarray",
    "dask.array",
    "zarr",
    "numba",
    "intake",
    "sqlite3",
    "alembic.command",
    "astropy.wcs",
    "scipy.interpolate",
    "scipy.ndimage",
    "scipy.optimize",
    "colorcet",
    "holoviews",
    "panel",
    "panel.entry_points",
    "tasoc_kit.store",
    "tasoc_kit.plots",
    "tasoc_kit.catalog",
    "tasoc_kit.simulation",
    "tasoc_kit.photometry.apertures",
    "tasoc_kit.photometry.psf_light_curves",
    "tasoc_kit.photometry.halo_light_curves",
    "tasoc_kit.photometry.diagnostics",
)
"""Modules that are imported before the fork; one that is absent is imported where it is missed."""

_UNUSED = ("debugpy", "boto3")
"""A debugger in every kernel, 40 MB, that nobody joins; buckets for papermill, which gets local paths."""


@contextlib.contextmanager
def leave_out(*names: str) -> Iterator[None]:
    """Let what is imported inside believe that some optional modules are not installed."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def kept_for_good() -> Iterator[None]:
    """Keep the garbage collector from what is made inside, then and later: modules are no garbage."""
    # A fifth of the time of an import would go into looking at what was imported before, again and again.
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def compute_here() -> None:
    """Let Dask compute in threads of this process, unless a notebook joins a cluster later."""
    import dask
    from dask.threaded import get

    # Named by a word, or not at all, Dask imports distributed to ask for a cluster: 60 MB.
    dask.config.set(scheduler=get)


def _use_once() -> None:
    """Compile a function and draw a figure: what the libraries build for the first of each is shared too."""
    import holoviews
    import numba
    import numpy as np
    import panel

    import tasoc_kit.plots  # noqa: F401  the backend that draws

    numba.njit(lambda number: number)(1)
    figure = holoviews.Image(np.eye(2)) * holoviews.Curve([0.0, 1.0])
    panel.pane.HoloViews(figure).get_root()  # type: ignore[no-untyped-call]


@functools.lru_cache(maxsize=1)
def preload() -> None:
    """Import what notebooks need, once, and leave it alone from then on; forked processes have it too."""
    # A collection would write to every object that it looks at, and so end the sharing.
    with kept_for_good():
        with warnings.catch_warnings(), leave_out(*_UNUSED):
            warnings.simplefilter("ignore")
            for name in _MODULES:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        _use_once()
        compute_here()
        gc.collect()
    # Python collects anew when a quarter as much again has been made: of nothing, not of all this.
    gc.collect()
