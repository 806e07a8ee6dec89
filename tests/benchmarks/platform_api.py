"""
What the API takes: its memory under load, and how soon the package and the command are there.

For ten minutes some clients ask for lists, products, light curves, cones, metrics and jobs; the resident
memory of the server at the end is divided by that after the first minute, when all that is kept for good was
used once. CPU times are medians of fresh processes whose files were read before.

    python tests/benchmarks/platform_api.py [MINUTES [FOLDER]]
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import requests
from claims import Claim, Row, print_rows, scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api_store import JOB, Known, fill_store  # noqa: E402  of the tests
from running_api import Api, make_tokens, places, running_api  # noqa: E402

CLAIMS = {
    "api_rss_growth": Claim("MB / MB", most=1.1),
    "import_cpu_s": Claim("CPU s", most=0.5),
    "help_cpu_s": Claim("CPU s", most=0.4),
}
MINUTES = 10.0
CLIENTS = 8
TURNS = 7


def cpu_seconds(*words: str) -> float:
    """Return the CPU seconds of a fresh Python, median of several after one that warms the disk."""
    spent = []
    for _ in range(TURNS + 1):
        before = os.times()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        spent.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return statistics.median(spent[1:])


def questions(known: Known) -> list[str]:
    """Return what the clients ask for in turns."""
    ra, dec = known.place
    light_curves = known.ids["light_curves"]
    return [
        "/products?limit=20",
        "/products/light_curves/s0001-1-2/current",
        f"/provenance/{light_curves}",
        f"/curated/objects?ra={ra}&dec={dec}&radius=1&limit=50",
        f"/curated/light_curves/{known.tic}?sector=1&format=parquet",
        f"/curated/apertures/{known.tic}?sector=1",
        f"/cone?RA={ra}&DEC={dec}&SR=0.5",
        f"/spectra/{known.giant}",
        f"/staging/{known.sky}/frame?cadenceno={known.cadence}&format=png",
        f"/download/products/light_curves/s0001-1-2/{light_curves}.tar",
        "/raw?limit=10",
        "/stats",
        "/health",
        "/metrics",
        "/jobs?limit=10",
        "/nothing",
    ]


def load(api: Api, known: Known, seconds: float, statuses: Counter[int]) -> None:
    """Let clients ask for some time."""
    ends = time.monotonic() + seconds

    def ask(first: int) -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {api.tokens['write']}"
            for number, path in enumerate(itertools.cycle(questions(known)), first):
                if time.monotonic() > ends:
                    return
                statuses[session.get(api.url + path, timeout=120).status_code] += 1
                if number % 50 == 0:
                    job = {**JOB, "arguments": {**JOB["arguments"], "white": 1 + (number % 500) / 1e4}}
                    statuses[session.post(f"{api.url}/jobs", json=job, timeout=120).status_code] += 1

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def rss_growth(scratch: Path, minutes: float) -> float:
    """Return the memory of the server after the load over that after its first tenth."""
    scratch.mkdir(exist_ok=True)
    statuses: Counter[int] = Counter()
    with places(scratch) as variables:
        known, tokens = fill_store(scratch), make_tokens()
        with running_api(scratch, "--limit=rate=0", "--quiet", environment=variables, known=tokens) as api:
            server = psutil.Process(api.process.pid)
            load(api, known, 6 * minutes, statuses)
            first = server.memory_info().rss
            load(api, known, 54 * minutes, statuses)
            last = server.memory_info().rss
    print(
        f"rss {first / 1e6:.1f} -> {last / 1e6:.1f} MB, {statuses.total()} requests {dict(statuses)}",
        file=sys.stderr,
    )
    return last / first


def rows(scratch: Path, minutes: float = MINUTES) -> list[Row]:
    """Return the rows of the server and of the start of the package."""
    values = {
        "api_rss_growth": rss_growth(scratch / "load", minutes),
        "import_cpu_s": cpu_seconds("-c", "import tasoc_kit"),
        "help_cpu_s": cpu_seconds("-m", "tasoc_kit.cli", "--help"),
    }
    return [Row(name, values[name], claim) for name, claim in CLAIMS.items()]


if __name__ == "__main__":
    asked = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with scratch_folder("api", Path(sys.argv[2]) if len(sys.argv) > 2 else None, 2) as folder:
        measured = rows(folder, asked)
        print_rows("platform_api", CLAIMS, set(CLAIMS), {row.name: row.value for row in measured})
