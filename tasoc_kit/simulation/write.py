"""Write a simulated sector as a folder of FFIs with its star catalogue and its truth.

The frames are made in a hidden folder beside the goal, which takes its name only when all is
there: nobody ever sees half a sector. A run that was killed leaves its whole frames behind, and
the next one with the same settings goes on from them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.config import settings as place_settings
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import utc_from_btjd
from tasoc_kit.simulation import ffi_file
from tasoc_kit.simulation.ffi_cards import FrameFacts, image_cards, primary_cards, stored_shape
from tasoc_kit.simulation.field import moved
from tasoc_kit.simulation.pointing import Pose
from tasoc_kit.simulation.schedule import COARSE_POINT
from tasoc_kit.simulation.sector import Sector
from tasoc_kit.simulation.settings import VERSION, SectorSettings
from tasoc_kit.sources.header_text import header_block
from tasoc_kit.storage.whole_file import PART, whole_file

__all__ = ["file_names", "open_truth", "read_sector", "write_sector"]

SETTINGS_FILE, TRUTH_FILE, STARS_FILE = "settings.json", "truth.zarr", "stars.parquet"
Progress = Callable[[int, int], None]


def write_sector(
    folder: str | Path, *, threads: int | None = None, progress: Progress | None = None, **settings: Any
) -> xr.Dataset:
    """
    Simulate a sector into a folder and return its truth.

    Parameters
    ----------
    folder
        Where the FITS files, ``stars.parquet`` and ``truth.zarr`` go. A folder that already
        holds this very sector is left as it is.
    threads
        Frames made at once; the pixels do not depend on it.
    progress
        Called with (frames done, frames in all).
    **settings
        Any field of :class:`~tasoc_kit.simulation.settings.SectorSettings`.

    Raises
    ------
    SourceError
        For an unknown or impossible setting, a folder that holds something else, or one that
        cannot be written.
    """
    sector = Sector(SectorSettings.validated(**settings))
    goal = Path(folder).absolute()
    text = json.dumps({"version": VERSION, **sector.settings.model_dump(mode="json")}, indent=1)
    work = goal.with_name(f".{goal.name}.{sector.settings.digest}.partial")
    if _holds(goal, text):
        return open_truth(goal)
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        with open(goal.with_name(f".{goal.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _holds(goal, text):
                return open_truth(goal)
            work.mkdir(exist_ok=True)
            for left in work.glob(f"*{PART}"):
                left.unlink()
            _write_frames(sector, work, threads or place_settings().threads, progress)
            _write_truth(sector, work)
            (work / SETTINGS_FILE).write_text(text)
            os.rename(work, goal)
    except OSError as error:
        raise SourceError(
            f"simulation: cannot write {goal}: {error.strerror or error}. "
            "Give a folder that can be written, with room for the frames; what is done is kept."
        ) from error
    return open_truth(goal)


def open_truth(folder: str | Path) -> xr.Dataset:
    """Return the truth of the simulated sector in a folder."""
    path = Path(folder) / TRUTH_FILE
    if not path.exists():
        raise SourceError(
            f"simulation: no {TRUTH_FILE} in {folder}; expected a folder that write_sector made. "
            "Run tasoc_kit.simulation.write_sector first."
        )
    return xr.open_zarr(path, consolidated=False).load()


def read_sector(folder: str | Path) -> Sector:
    """Return the simulated sector in a folder, to render its frames or the sky of one again."""
    settings = json.loads(open_truth(folder).attrs["settings"])
    return Sector(SectorSettings.validated(**settings))


def _holds(goal: Path, text: str) -> bool:
    """Return True if the folder holds this sector, False if there is none yet."""
    if not goal.exists() or (goal.is_dir() and not any(goal.iterdir())):
        return False
    written = goal / SETTINGS_FILE
    if written.is_file() and written.read_text() == text:
        return True
    raise SourceError(
        f"simulation: {goal} exists and holds something else than this sector. "
        "Remove it, or give another folder."
    )


def file_names(sector: Sector) -> list[str]:
    """Return the mission's file name of every frame: the UTC start of the exposure."""
    if not len(sector):
        return []
    s = sector.settings
    dates = pd.to_datetime(utc_from_btjd(sector.schedule.start[sector.places]))
    return [
        f"tess{stamp}-s{s.sector:04d}-{s.camera}-{s.ccd}-0120-s_ffic.fits"
        for stamp in dates.strftime("%Y%j%H%M%S")
    ]


def _write_frames(sector: Sector, work: Path, threads: int, progress: Progress | None) -> None:
    names = file_names(sector)
    wanted = [k for k, name in enumerate(names) if not (work / name).exists()]
    done = len(names) - len(wanted)
    if progress:
        progress(done, len(names))
    if wanted:
        sector.prepare()
    facts = frame_facts(sector)
    buffers = threading.local()
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        running = [pool.submit(_write_frame, sector, k, facts[k], work / names[k], buffers) for k in wanted]
        try:
            for future in as_completed(running):
                future.result()
                done += 1
                if progress:
                    progress(done, len(names))
        finally:
            for future in running:
                future.cancel()


def frame_facts(sector: Sector) -> list[FrameFacts]:
    """Return what the headers of all frames say."""
    schedule, places = sector.schedule, sector.places
    start, stop = schedule.start[places], schedule.stop[places]
    dates = np.array(
        [utc_from_btjd(t) for t in (start, stop, start + sector.timecorr, stop + sector.timecorr)]
    )
    return [
        _facts_of_frame(sector, k, tuple(f"{date[:23]}Z" for date in dates[:, k])) for k in range(len(sector))
    ]


def _facts_of_frame(sector: Sector, index: int, utc: tuple[str, ...]) -> FrameFacts:
    """A dump has no plate solution; the length of the other headers varies."""
    schedule, place = sector.schedule, int(sector.places[index])
    random = np.random.default_rng((sector.settings.seed, 9, int(schedule.cadenceno[place])))
    pose = sector.pose(index)
    stated = Pose(pose.shift + sector.settings.wcs_noise * random.standard_normal(2), pose.matrix)
    lost = bool(schedule.quality[place] & COARSE_POINT)
    return FrameFacts(
        cadenceno=int(schedule.cadenceno[place]),
        quality=int(schedule.quality[place]),
        start=float(schedule.start[place]),
        stop=float(schedule.stop[place]),
        barycorr=float(sector.timecorr[index]),
        utc=utc,  # type: ignore[arg-type]
        solution=None if lost else moved(sector.field, stated),
        extra_cards=int(random.choice([0, 0, 0, 36, 72, 144])),
    )


def _write_frame(sector: Sector, index: int, facts: FrameFacts, path: Path, buffers: threading.local) -> None:
    shape = stored_shape(sector.settings)
    words = ffi_file.blocks_for(shape[0] * shape[1])
    if getattr(buffers, "words", None) is None or buffers.words.size != words:
        buffers.words = np.zeros(words, np.uint32)
    frame = sector.render(index)
    with whole_file(path) as part, part.open("wb") as file:
        file.write(header_block(primary_cards(sector.settings, facts), 0))
        for kind, image in zip(("cal", "uncert"), frame.stored, strict=True):
            total = ffi_file.encode(image, buffers.words)
            cards = image_cards(sector.settings, facts, shape, kind, sector.live)
            file.write(header_block(cards, total))
            file.write(memoryview(buffers.words).cast("B"))


def _write_truth(sector: Sector, work: Path) -> None:
    truth = sector.truth()
    shutil.rmtree(work / TRUTH_FILE, ignore_errors=True)
    truth.to_zarr(work / TRUTH_FILE, mode="w", consolidated=False)
    names = ["tic", "ra", "dec", "tmag"]
    pd.DataFrame({name: truth[name].values for name in names}).to_parquet(work / STARS_FILE, index=False)
