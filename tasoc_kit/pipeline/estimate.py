"""What a run would take: bytes to read, time, disk. For a dry run; nothing is opened but headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tasoc_kit import database
from tasoc_kit.pipeline.plan import Run

__all__ = ["Estimate", "estimate"]

_PIXEL_BYTES = 4
_PAST_RUNS = 200


@dataclass(frozen=True)
class Estimate:
    """What one run would take."""

    run: Run
    done: bool
    read: int
    """Bytes of pixels."""
    seconds: float
    disk: int
    """Bytes in the store."""


def estimate(plan: Sequence[Run]) -> list[Estimate]:
    """
    Return what the runs of a unit would take; nothing where a run is done.

    Times are the median of earlier runs of the same notebook on the same unit, or else follow from
    the costs in the file of the pipeline.
    """
    past = _past_seconds(plan[0].unit.name) if plan else {}
    return [_one(run, past) for run in plan]


def _one(run: Run, past: dict[str, float]) -> Estimate:
    if run.done():
        return Estimate(run, True, 0, 0.0, 0)
    sizes, cost = run.unit.cube.sizes, run.stage.cost
    frames = sizes["time"]
    area = sizes["row"] * sizes["column"] / 1e6
    read = frames if cost.frames < 0 else min(cost.frames, frames)
    seconds = cost.seconds + cost.seconds_per_megapixel * area
    seconds += cost.seconds_per_frame_megapixel * area * frames
    disk = cost.bytes_per_megapixel * area + cost.bytes_per_frame * frames
    disk += cost.bytes_per_frame_megapixel * area * frames
    known = past.get(run.stage.notebook, seconds)
    return Estimate(run, False, int(read * area * 1e6 * _PIXEL_BYTES), known, int(disk))


def _past_seconds(unit: str) -> dict[str, float]:
    """Return how long each notebook took on this unit."""
    runs = database.list_runs(unit=unit, status="done", limit=_PAST_RUNS)
    if not len(runs):
        return {}
    seconds = (pd.to_datetime(runs["finished"]) - pd.to_datetime(runs["started"])).dt.total_seconds()
    medians = seconds.groupby(runs["notebook"]).median()
    return {str(name): float(value) for name, value in medians.items()}
