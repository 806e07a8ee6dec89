"""A process that runs notebooks: what it shares with the one that forked it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_pipeline import write_notebook

from tasoc_kit.pipeline.request import Place, Request

LARGEST = 450
"""MiB that a run takes before its notebook asks for any; with nothing shared it is twice as much."""

RUN = """
import json, os, sys
from contextlib import suppress
from pathlib import Path
from tasoc_kit.pipeline.request import Request
from tasoc_kit.pipeline.worker import Worker

def family(pid):
    kin = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                kin += family(int(child))
    return kin

def measure():
    taken = 0
    for pid in family(os.getpid()):
        with suppress(OSError, ValueError):  # it has just ended
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
            taken += int(rollup[rollup.index("Pss_Anon:") + 1])
    sizes.append(taken / 1024)

sizes = []
with Worker(fork=True) as worker:
    outcome = worker.run(Request(sys.argv[1], {}, sys.argv[2]), measure)
print(json.dumps([outcome.ok, max(sizes)]))
"""


def test_a_notebook_does_not_see_the_variables_of_the_one_before(worker: Place, tmp_path: Path) -> None:
    unset = "import os\nassert 'OF_ONE' not in os.environ"
    path = write_notebook(tmp_path / "10_a.ipynb", "n: int = 1", unset)
    first, second = (
        worker.run(Request(str(path), {}, str(tmp_path / "executed.ipynb"), environment=environment))
        for environment in ({"OF_ONE": "1"}, {})
    )
    assert (first.ok, first.error) == (False, "AssertionError")
    assert second.ok, second.message


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells what is shared")
def test_a_forked_worker_and_its_kernel_share_what_is_imported(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "10_a.ipynb", "n: int = 1", "import tasoc_kit.plots, time\ntime.sleep(1)"
    )
    command = [sys.executable, "-c", RUN, str(path), str(tmp_path / "executed.ipynb")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    ok, taken = json.loads(ended.stdout.splitlines()[-1])
    assert ok
    assert taken < LARGEST
