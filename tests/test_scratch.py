"""Temporary folders go with the run that made them, whether it ended, was told to, or was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_pipeline import write_notebook

from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.notebook import run_notebook
from tasoc_kit.pipeline.request import Place, Request
from tasoc_kit.pipeline.scratch import scratch_folder
from tasoc_kit.storage.folders import Folder

LONG_AGO = 1e9


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that this test and what it starts take for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed_holder(temporary: Path) -> Path:
    """Return the folder that a process left which was killed while it worked in it."""
    code = (
        "import os, signal\nfrom tasoc_kit.pipeline.scratch import scratch_folder\n"
        "with scratch_folder() as folder:\n"
        "    (folder / 'half').write_text('x')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    (folder,) = temporary.iterdir()
    return folder


def test_a_folder_goes_with_its_block(temporary: Path) -> None:
    with scratch_folder() as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").write_text("x")
        assert folder.parent == temporary
    assert left(temporary) == []


def test_a_disk_without_room_is_told(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temporary / "absent"))
    with pytest.raises(NotebookError, match=r"^temporary files: .*absent.*set TMPDIR"), scratch_folder():
        pass


def test_what_a_killed_process_left_goes_and_what_lives_or_is_young_stays(temporary: Path) -> None:
    dead = killed_holder(temporary)
    (temporary / "tasoc-run-of-nobody").symlink_to(temporary.parent)
    (temporary / "somebody-elses").mkdir()
    with scratch_folder() as mine:
        os.utime(mine, (LONG_AGO, LONG_AGO))
        with scratch_folder():
            assert {mine.name, dead.name} <= set(left(temporary))
        os.utime(dead, (LONG_AGO, LONG_AGO))
        with scratch_folder():
            pass
        assert left(temporary) == sorted(["somebody-elses", "tasoc-run-of-nobody", mine.name])


@pytest.mark.parametrize(
    ("cell", "ends"),
    [
        ("import os\nos.kill(os.getpid(), 9)", "the kernel died"),
        ("import tempfile\nopen(tempfile.mkdtemp() + '/x', 'w').write('x')\n1 / 0", "ZeroDivisionError"),
    ],
)
def test_nothing_is_left_of_a_notebook_that_failed(
    temporary: Path, worker: Place, tmp_path: Path, cell: str, ends: str
) -> None:
    path = write_notebook(tmp_path / "10_a.ipynb", "n: int = 1", cell)
    with pytest.raises(NotebookError, match=ends):
        run_notebook(path, {}, place=worker, folder=Folder(str(tmp_path / "store")), log="runs/a")
    assert left(temporary) == []


def test_a_disk_that_takes_no_executed_notebook_is_told(
    temporary: Path, worker: Place, tmp_path: Path
) -> None:
    path = write_notebook(tmp_path / "10_a.ipynb", "n: int = 1", "n")
    outcome = worker.run(Request(str(path), {"n": 1}, str(tmp_path / "absent" / "out.ipynb")))
    assert (outcome.ok, outcome.cell) == (False, 0)
    assert "absent" in outcome.message


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_told_to_end_leaves_nothing_and_says_so(
    temporary: Path, number: int, code: int
) -> None:
    words = ["run", "photometry", "--cube", "simulation.tiny", "--until", "reference"]
    run = subprocess.Popen(
        [sys.executable, "-m", "tasoc_kit.cli", *words],
        env=os.environ, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(temporary.glob("tasoc-run-*/*.json")):
        assert run.poll() is None, run.stderr and run.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(number)
    _, told = run.communicate(timeout=60)
    assert (run.returncode, told.strip().splitlines()[-1]) == (
        code,
        "Stopped. What was done is kept; the same command goes on from there.",
    )
    assert "Traceback" not in told
    assert left(temporary) == []
