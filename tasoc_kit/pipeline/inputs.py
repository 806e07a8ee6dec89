"""What a notebook starts from: its cube, and the products of the stages before it.

The runner names every input by its id. A person who opens a notebook names none: then the
inputs are those made with the default settings, and the ones that are not there yet are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import xarray as xr

from tasoc_kit import catalog, store
from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.pipeline.plan import Run, Unit, find_pipeline, make_plan
from tasoc_kit.pipeline.progress import progress
from tasoc_kit.provenance import with_content_id
from tasoc_kit.sources.ffi import science
from tasoc_kit.sources.footprint import Footprint, frame_footprint
from tasoc_kit.sources.star_catalog import at_epoch, beside_frames, read_stars
from tasoc_kit.sources.star_server import CATALOGUES
from tasoc_kit.sources.targets import missing_pixels, open_targets

__all__ = ["make_products", "open_catalogue", "open_inputs", "open_unit"]


_ENTRY = "targets."
"""How a catalogue of the whole sky is named, as the entry that opens it: ``targets.tic``."""


def open_catalogue(catalogue: str | None, cube: xr.Dataset) -> xr.Dataset | None:
    """
    Return the star catalogue that was named, else the one that serves the frames, if there is one.

    Its id is that of its content, so a copy elsewhere, or in another format, is the same input.

    Parameters
    ----------
    catalogue
        Path or URL of a table of stars; ``targets.tic`` or ``targets.gaia`` for stars that were fetched.
    cube
        The frames. Where no catalogue was named they are served by ``stars.parquet`` in their folder, else by
        the TIC if all of it that they see is on this machine. Proper motions carry the stars to their date.
    """
    place = catalogue or _find_catalogue(cube)
    if place is None:
        return None
    date = float(cube["time"].mean()) if cube.sizes["time"] else None
    stars: xr.Dataset = _open_sky(place, cube, date) if place.startswith(_ENTRY) else read_stars(place, date)
    return with_content_id(stars, "stars")


def _open_sky(place: str, cube: xr.Dataset, date: float | None) -> xr.Dataset:
    name = place.removeprefix(_ENTRY)
    if name not in CATALOGUES:
        known = [_ENTRY + one for one in sorted(CATALOGUES)]
        raise SourceError(
            f"catalogue: {place!r} is none; expected a file or one of {known}. Correct the name."
        )
    footprint = _footprint(cube)
    if footprint is None:
        raise SourceError(
            f"catalogue: {place}: the frames have no plate solution, so nobody knows their place on the sky; "
            "expected WCS cards in one of them. Name a file, or leave the catalogue out."
        )
    stars: xr.Dataset = open_targets(name, footprint)
    return stars if date is None else at_epoch(stars, date)


def _find_catalogue(cube: xr.Dataset) -> str | None:
    """Return the place of the catalogue that serves the frames where none was named."""
    beside = beside_frames(cube)
    if beside is not None:
        return beside
    # Without a single star on this machine there is no reason to look at the sky.
    if not any((root / "targets" / "tic").is_dir() for root in (settings().cache, *settings().shared_caches)):
        return None
    footprint = _footprint(cube)
    whole = footprint is not None and not missing_pixels("tic", footprint, 0.0)
    return f"{_ENTRY}tic" if whole else None


def _footprint(cube: xr.Dataset) -> Footprint | None:
    """Return the piece of sky that the frames see; None where no plate solution says which."""
    solutions = [str(wcs) for wcs in cube["wcs"].values if wcs] if "wcs" in cube.variables else []
    if not solutions:
        return None
    sector, camera, ccd = (int(cube.attrs.get(name) or 0) for name in ("sector", "camera", "ccd"))
    middle = solutions[len(solutions) // 2]
    return frame_footprint(middle, cube["row"].values, cube["column"].values, (sector, camera, ccd))


def open_unit(
    source: str,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    catalogue: str | None = None,
) -> Unit:
    """Open the cube of one unit lazily, and its star catalogue where there is one."""
    cube = _open_cube(source, sector, camera, ccd)
    stars = open_catalogue(catalogue, cube)
    identity = "" if stars is None else str(stars.attrs["provenance_id"])
    return Unit(source, cube, catalogue or _find_catalogue(cube), identity)


def _open_cube(source: str, sector: int | None, camera: int | None, ccd: int | None) -> xr.Dataset:
    place = {"sector": sector, "camera": camera, "ccd": ccd}
    given = {name: value for name, value in place.items() if value is not None}
    cube: xr.Dataset = catalog.open_cube(source, **given)
    # The columns and rows off the sky would be measured as a very dark sky.
    return science(cube) if cube.attrs.get("mission") == "TESS" else cube


def open_inputs(
    stage: str,
    *,
    cube: str,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    catalogue: str | None = None,
    ids: Mapping[str, str] | None = None,
    pipeline: str = "photometry",
    **side_tables: Any,
) -> SimpleNamespace:
    """
    Open what a stage of a pipeline takes: the cube, products, the star catalogue, side tables.

    Parameters
    ----------
    stage
        Name of the stage, as ``apertures``.
    cube
        Catalog entry, folder, file or URL of the frames.
    sector, camera, ccd
        Which unit, where the source holds several.
    catalogue
        Star catalogue, as :func:`open_catalogue` takes it.
    ids
        Ids of the input products. Without them the inputs are those made with the defaults; what
        is missing of them is made first.
    pipeline
        Name of the pipeline.
    **side_tables
        Place of each further table that the stage takes, as ``ephemeris="tess.csv"``; None for none.
    """
    found = find_pipeline(pipeline)
    wanted = found.stage(stage)
    opened: dict[str, Any] = {}
    if not ids and wanted.products:
        unit = open_unit(cube, sector=sector, camera=camera, ccd=ccd, catalogue=catalogue)
        *before, run = make_plan(found, unit, last=stage, whole=True)
        opened["cube"], ids = unit.cube, run.ids
        _make(before)
    else:
        opened["cube"] = _open_cube(cube, sector, camera, ccd)
    for name in wanted.products:
        opened[name] = store.open_product(name, id=(ids or {})[name])
    if "catalogue?" in wanted.inputs:
        opened["catalogue"] = open_catalogue(catalogue, opened["cube"])
    for name in wanted.side_tables:
        opened[name] = wanted.read_table(name, side_tables.get(name), store.product_unit(opened["cube"]))
    return SimpleNamespace(**opened)


def make_products(
    cube: str,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    catalogue: str | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    last: str | None = None,
    pipeline: str = "photometry",
) -> SimpleNamespace:
    """
    Make the products of a pipeline in this process, without its notebooks, and open them.

    Ids and bytes are those that the notebooks give, so what the store has already is not made again. There
    are no figures and no logs.

    Parameters
    ----------
    cube, sector, camera, ccd, catalogue
        As :func:`open_inputs` takes them.
    changes
        Settings by stage that differ from the defaults, as ``{"apertures": {"mode": "tile"}}``.
    last
        The last stage that is wanted; by default all.
    pipeline
        Name of the pipeline.

    Returns
    -------
    ``cube``, and each product by its name, lazy.

    Raises
    ------
    NotebookError, StepParameterError
        If a stage or a setting does not exist or does not fit, before anything is made.

    Examples
    --------
    >>> made = make_products("simulation.tiny", last="light_curves")  # doctest: +SKIP
    >>> made.light_curves.flux  # doctest: +SKIP
    """
    unit = open_unit(cube, sector=sector, camera=camera, ccd=ccd, catalogue=catalogue)
    return _make(make_plan(find_pipeline(pipeline), unit, changes, last=last, whole=True))


def _make(plan: Sequence[Run]) -> SimpleNamespace:
    """Make what the store lacks of a plan, and open all of it; pages are left out."""
    made: dict[str, xr.Dataset] = {"cube": plan[0].unit.cube} if plan else {}
    steps = [(run, step) for run in plan if (step := run.stage.load_step()) is not None]
    tell, works = progress("products"), False
    for number, (run, step) in enumerate(steps, start=1):
        name = run.stage.name
        if not run.done():
            settings_of = {info.name: run.parameters[info.name] for info in step.schema()}
            inputs = [_open_input(run, given, made) for given in run.stage.inputs]
            store.write_product(step(*inputs, **settings_of))
            works = True
        if works:
            tell(number, len(steps))
        made[name] = store.open_product(name, id=run.id)
    return SimpleNamespace(**made)


def _open_input(run: Run, name: str, made: Mapping[str, xr.Dataset]) -> xr.Dataset | None:
    """Return what a step takes under a name of the file of its pipeline."""
    if name == "catalogue?":
        return open_catalogue(run.unit.catalogue, run.unit.cube)
    if name.endswith("?"):
        return run.stage.read_table(name[:-1], run.parameters.get(name[:-1]), run.unit.name)
    return made[name]
