"""What the store holds, as tables for the first page: each CCD, and how far each pipeline is."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tasoc_kit.dashboards import products
from tasoc_kit.dashboards.verdicts import WHOLE_CCD
from tasoc_kit.pipeline.plan import Pipeline
from tasoc_kit.storage.units import parse_unit

__all__ = ["Progress", "as_bytes", "measure_progress", "units"]


def as_bytes(count: float) -> str:
    """Return a size for people: ``1.2 GB``."""
    if count < 1000:
        return f"{count:.0f} B"
    power = min(int(math.log10(count) // 3), 4)
    return f"{count / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def units(found: pd.DataFrame, reviews: pd.DataFrame) -> pd.DataFrame:
    """
    Return one row per CCD, the one with the newest product first.

    Parameters
    ----------
    found
        As of ``store.list_products``, the newest first.
    reviews
        As of ``database.reviews``.

    Returns
    -------
    ``unit``, ``products`` (how many), ``bytes``, ``created`` (of the newest), ``light_curves``
    (id of the newest; empty where there is none), ``reviewed`` (stars with a verdict), ``verdict``
    (the last one on the CCD as a whole; empty where there is none).
    """
    groups = found.groupby("unit")
    table = pd.DataFrame(
        {"products": groups.size(), "bytes": groups["bytes"].sum(), "created": groups["created"].max()}
    )
    curves = found[found["product"] == "light_curves"].drop_duplicates("unit").set_index("unit")["id"]
    table["light_curves"] = curves.reindex(table.index).fillna("").astype(str)
    judged = reviews[(reviews["verdict"] != "") & (reviews["star"] != WHOLE_CCD)]
    stars = judged.groupby("unit")["star"].nunique()
    table["reviewed"] = stars.reindex(table.index).fillna(0).astype(int)
    whole = reviews[reviews["star"] == WHOLE_CCD].sort_values("review")
    said = whole.drop_duplicates(["unit", "id"], keep="last").set_index(["unit", "id"])["verdict"].to_dict()
    table["verdict"] = [said.get(key, "") for key in table["light_curves"].items()]
    return table.reset_index().sort_values("created", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Progress:
    """How far a pipeline is."""

    name: str
    title: str
    products: int
    bytes: int
    begun: int
    """CCDs of which it has made something."""
    whole: int
    """CCDs of which it has made all that it makes."""
    next: str
    """What to make next, in words."""
    command: str
    """The command that makes it."""


def measure_progress(
    pipelines: Mapping[str, Pipeline], found: pd.DataFrame, cubes: Mapping[str, Mapping[str, str]]
) -> list[Progress]:
    """
    Return how far each pipeline is.

    Parameters
    ----------
    pipelines
        As of ``load_pipelines``.
    found
        As of ``store.list_products``, the newest first.
    cubes
        What the last run of each unit opened, as of ``products.cubes``.
    """
    has = {unit: set(names) for unit, names in found.groupby("unit", sort=False)["product"]}
    done: dict[str, list[str]] = {}
    told = []
    for name, pipeline in pipelines.items():
        made = [stage.name for stage in pipeline.notebooks if stage.step]
        own = found[found["product"].isin(made)]
        begun = [unit for unit, names in has.items() if names & set(made)]
        done[name] = [unit for unit in begun if set(made) <= has[unit]]
        waiting = [unit for unit in begun if unit not in set(done[name])]
        ready = [unit for unit in done.get(pipeline.after, []) if unit not in set(begun)]
        words, command = _next(pipeline, made, has, waiting, ready, cubes)
        told.append(
            Progress(
                name, pipeline.title, len(own), int(own["bytes"].sum()), len(begun), len(done[name]), words,
                command,
            )
        )  # fmt: skip
    return told


def _next(
    pipeline: Pipeline,
    made: list[str],
    has: Mapping[str, set[str]],
    waiting: list[str],
    ready: list[str],
    cubes: Mapping[str, Mapping[str, str]],
) -> tuple[str, str]:
    """Return what a pipeline is to make next, in words, and the command for it."""
    if waiting:
        lacking = next(name for name in made if name not in has[waiting[0]])
        return (
            f"Next: {lacking} of {products.name_of(waiting[0])}",
            _command(pipeline.name, waiting[0], cubes),
        )
    if ready:
        return f"Next: {products.name_of(ready[0])}", _command(pipeline.name, ready[0], cubes)
    if pipeline.after:
        return f"It starts from what {pipeline.after} makes.", f"tasoc run {pipeline.name}"
    if has:
        return (
            "Another CCD, of frames below TASOC_DATA",
            f"tasoc run {pipeline.name} --sector N --camera C --ccd D",
        )
    return "The demonstration, on a small simulated sector", f"tasoc run {pipeline.name}"


def _command(pipeline: str, unit: str, cubes: Mapping[str, Mapping[str, str]]) -> str:
    """Return the command that runs a pipeline on a CCD, from the frames that it was run on before."""
    cube = dict(cubes.get(unit, {}))
    parts = parse_unit(unit)
    place = cube if cube else {name: parts[name] for name in products.PLACE if parts.get(name)}
    return shlex.join(["tasoc", "run", pipeline, *(w for n, v in place.items() for w in (f"--{n}", str(v)))])
