"""
Kill a photometry run again and again: the products must be those of a run that nobody killed.

Each round kills ``tasoc run photometry`` with SIGKILL at a random moment, or while a product is
being written, sees that everything it started dies with it, compares every product that is complete
with the one of the untouched run, and starts the run again. The last line is one JSON object.

    python tests/benchmarks/kill_and_resume.py [--kills 20] [--in-write 6] [--seed 1]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RUN = ("run", "photometry", "--cube", "simulation.tiny")
IN_BLOCKS = ("--set", "stream.block=8")
PRODUCTS = ("quality", "pointing", "stars", "reference", "apertures", "stream", "sky", "light_curves")
MARK = "TASOC_KILL_MARK"
LONGEST = 30.0
"""Seconds after its start at which a run is killed at the latest, where no whole run was timed."""
PATIENCE = 300.0
"""Seconds after which a run that says nothing has failed."""


@dataclass
class Tally:
    """What a series of kills came to."""

    kills: int = 0
    in_write: int = 0
    equal: int = 0
    moments: list[str] = field(default_factory=list)


def start(store: Path, cache: Path, options: Sequence[str], mark: str = "") -> subprocess.Popen[bytes]:
    """Start the run as a person would, in a process group of its own."""
    environment = dict(os.environ) | {
        "TASOC_STORE": str(store),
        "TASOC_CACHE": str(cache),
        "TASOC_DATABASE": "",
        "OPENBLAS_NUM_THREADS": "1",
        MARK: mark,
    }
    command = [sys.executable, "-m", "tasoc_kit.cli", *RUN, *options]
    with open(store.parent / f"{store.name}.log", "ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def finish(store: Path, cache: Path, options: Sequence[str]) -> None:
    """Run to the end; raise RuntimeError with what was printed where that does not work."""
    code = start(store, cache, options).wait(timeout=PATIENCE)
    if code:
        raise RuntimeError((store.parent / f"{store.name}.log").read_text()[-3000:])


def digest(product: Path) -> str:
    """Return a hash of the names and bytes of all files of a product."""
    content = hashlib.sha256()
    for path in sorted(p for p in product.rglob("*") if p.is_file()):
        content.update(str(path.relative_to(product)).encode() + b"\0" + path.read_bytes())
    return content.hexdigest()


def complete(store: Path) -> dict[str, str]:
    """Return the hash of every complete product of a store."""
    markers = [m for name in PRODUCTS for m in store.glob(f"{name}/*/*/complete.json")]
    return {str(marker.parent.relative_to(store)): digest(marker.parent) for marker in markers}


def newest(folder: Path) -> float:
    """Return when anything below a folder was last written."""
    times = [0.0]
    for place, _, names in os.walk(folder):
        for path in [place, *(os.path.join(place, name) for name in names)]:
            with contextlib.suppress(FileNotFoundError):
                times.append(os.stat(path).st_mtime)
    return max(times)


def being_written(store: Path, since: float) -> list[str]:
    """Return the products that are there in part, and of which something was written since then."""
    folders = [folder for name in PRODUCTS for folder in store.glob(f"{name}/*/*")]
    partial = [folder for folder in folders if not (folder / "complete.json").exists()]
    return [str(folder.relative_to(store)) for folder in partial if newest(folder) > since]


def marked(mark: str) -> list[int]:
    """Return the processes, dead ones aside, that descend from the run with this mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            state = (path.parent / "stat").read_text().rsplit(")", 1)[1].split()[0]
            if state != "Z" and f"{MARK}={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def left_after(mark: str, patience: float = 3.0) -> int:
    """Return how many processes of a killed run are still there after a moment."""
    deadline = time.monotonic() + patience
    while (left := len(marked(mark))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def wait_for(run: subprocess.Popen[bytes], ready: Callable[[], bool], pause: float) -> bool:
    """Wait until something is so; return False when the run ended before."""
    deadline = time.monotonic() + PATIENCE
    while run.poll() is None:
        if ready():
            return True
        if time.monotonic() > deadline:
            raise RuntimeError(f"the run with process {run.pid} did not get on in {PATIENCE:.0f} s")
        time.sleep(pause)
    return False


def strike(
    store: Path, cache: Path, options: Sequence[str], chance: random.Random, moment: float | None
) -> str | None:
    """
    Start a run and kill it.

    Returns the product that was there in part when the run died, ``""`` where none was, and None
    where the run ended before it could be killed. Without a moment (seconds from the start) the
    run is killed while one of the products that are still missing is being written.
    """
    mark = uuid.uuid4().hex
    missing = sorted(set(PRODUCTS) - {key.split("/")[0] for key in complete(store)})
    target = chance.choice(missing) if missing else ""
    began = time.time()
    run = start(store, cache, options, mark)
    if moment is None:
        wait_for(run, lambda: any(key.startswith(f"{target}/") for key in being_written(store, began)), 0.001)
        time.sleep(chance.uniform(0.0, 0.02))
    else:
        deadline = time.monotonic() + moment
        wait_for(run, lambda: time.monotonic() >= deadline, 0.01)
    if run.poll() is None:
        os.kill(run.pid, signal.SIGKILL)
    if run.wait() != -signal.SIGKILL:
        return None
    left = left_after(mark)
    if left:
        raise RuntimeError(f"{left} processes outlived the run that was killed")
    return next(iter(being_written(store, began)), "")


def agree(store: Path, whole: Mapping[str, str]) -> bool:
    """Tell whether a store is as complete as the untouched one; raise where a product differs."""
    found = complete(store)
    different = sorted(key for key, value in found.items() if whole.get(key) != value)
    if different:
        raise RuntimeError(
            f"products differ from those of a run that nobody killed: {different}, not {sorted(whole)}"
        )
    return len(found) == len(whole)


def kill_and_compare(
    folder: Path,
    cache: Path,
    *,
    kills: int = 20,
    in_write: int = 6,
    seed: int = 1,
    options: Sequence[str] = IN_BLOCKS,
    whole: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Tally:
    """
    Kill runs and count those after which the products were those of an untouched run.

    Parameters
    ----------
    folder
        Where the stores go.
    cache
        Where the simulated sector goes.
    kills, in_write
        Kills in all, and how many of them at least while a product is there in part; as writes are short and
        may be missed, up to three times as many are tried.
    seed
        Of the moments.
    options
        Options of the run; by default the stream is written in several blocks.
    whole
        Hashes of the products of an untouched run with these options, where one was made before.
    say
        Called with a line after each kill.

    Raises
    ------
    RuntimeError
        If a process outlives the run that started it, a resumed run does not end well, or a
        product differs.
    """
    chance, tally, longest = random.Random(seed), Tally(), LONGEST
    if whole is None:
        began = time.monotonic()
        finish(folder / "whole", cache, options)
        whole, longest = complete(folder / "whole"), time.monotonic() - began
    pending, store = 0, folder / "killed-0"
    while tally.kills < kills or tally.in_write < in_write and tally.kills < 3 * kills:
        aimed = in_write - tally.in_write >= kills - tally.kills or chance.random() < 0.5
        half = strike(store, cache, options, chance, None if aimed else chance.uniform(0.5, longest))
        if half is not None:
            tally.kills, pending = tally.kills + 1, pending + 1
            tally.in_write += bool(half)
            tally.moments.append(half.split("/")[0])
            say(f"kill {tally.kills}: {'while ' + half + ' was written' if half else 'between writes'}")
        if agree(store, whole):
            tally.equal, pending, store = tally.equal + pending, 0, folder / f"killed-{tally.kills}"
    if pending:
        finish(store, cache, options)
        tally.equal += pending if agree(store, whole) else 0
    return tally


def main() -> None:
    """Print one line per kill, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--in-write", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tasoc-resume-") as folder:
        place = Path(folder)
        tally = kill_and_compare(
            place, place / "cache", kills=given.kills, in_write=given.in_write, seed=given.seed, say=print
        )
    ok = tally.equal >= given.kills and tally.in_write >= min(5, given.in_write)
    row = {
        "name": "kills_bit_equal",
        "value": tally.equal,
        "unit": "kills",
        "goal": f">= {given.kills}, of them >= 5 inside a store write",
        "inside_a_write": tally.in_write,
        "moments": tally.moments,
        "ok": ok,
    }
    print(json.dumps({"bench": "resume", "rows": [row]}))
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
