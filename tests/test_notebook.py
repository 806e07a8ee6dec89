"""One notebook, run strictly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from tiny_pipeline import make_doubled, write_notebook
from worker_forge import alive, wait_until

from tasoc_kit.errors import NotebookError, StepParameterError
from tasoc_kit.pipeline.notebook import check_notebook, run_notebook
from tasoc_kit.pipeline.parameters import read_parameters
from tasoc_kit.pipeline.request import Outcome, Place, Request
from tasoc_kit.storage.folders import Folder

DECLARE = (
    "from tasoc_kit.pipeline.report import Report\nReport('tiny', 's0001-1-2', '0123456789ab', {'stars': 3})"
)


class NoPlace:
    """A place that fails the test when anything is run in it."""

    def run(self, request: Request, tick: object = None) -> Outcome:
        raise AssertionError("a kernel was about to start")

    def close(self) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "logs"))


def names(folder: Folder) -> list[str]:
    return [name for name in folder.names("runs") if not name.startswith(".")]


def test_types_defaults_and_comments_of_a_parameters_cell_are_read(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "10_a.ipynb",
        "sector: int | None = None  # TESS sector, '#' and all\n"
        "mode: 'Literal[\"k2p2\", \"tile\"]' = 'tile'\n"
        "sizes: list[float] = [1, 2.5]  # pixel",
    )
    found = {p.name: (p.default, p.comment) for p in read_parameters(path)}
    assert found == {
        "sector": (None, "TESS sector, '#' and all"),
        "mode": ("tile", ""),
        "sizes": ([1, 2.5], "pixel"),
    }
    assert check_notebook(path, {"sector": 14, "mode": "k2p2"})["sector"] == 14


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"treshold": 1.0}, "unknown parameter 'treshold'; did you mean 'threshold'"),
        ({"threshold": "1.0"}, "threshold='1.0'.*expected float"),
        ({"threshold": None}, "threshold=None.*expected float"),
        ({"mode": "k2p3"}, "mode='k2p3'"),
    ],
)
def test_a_mistyped_parameter_is_refused_before_the_kernel_starts(
    tmp_path: Path, folder: Folder, given: dict[str, object], message: str
) -> None:
    cell = "threshold: float = 0.8  # sigma\nmode: Literal['k2p2', 'tile'] = 'k2p2'"
    path = write_notebook(tmp_path / "14_apertures.ipynb", cell, DECLARE)
    with pytest.raises(NotebookError, match=message):
        run_notebook(path, given, place=NoPlace(), folder=folder, log="runs/a")
    assert names(folder) == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("threshold = 0.8", "expected 'name: type = value'"),
        ("threshold: float = 2 * 4", "expected a literal"),
        ("threshold: np.ndarray = 1", "expected one made of"),
        ("threshold: __import__('os').system('true') = 1", "expected one made of"),
    ],
)
def test_a_parameters_cell_that_is_more_than_a_list_is_refused(
    tmp_path: Path, cell: str, message: str
) -> None:
    with pytest.raises(NotebookError, match=message):
        read_parameters(write_notebook(tmp_path / "10_a.ipynb", cell))


def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "10_a.ipynb").write_text("SIMPLE  =                    T")
    with pytest.raises(NotebookError, match="is not a notebook"):
        read_parameters(tmp_path / "10_a.ipynb")
    with pytest.raises(NotebookError, match="did you mean '10_a'"):
        read_parameters(tmp_path / "10_b.ipynb")


def test_a_notebook_must_declare_the_settings_of_its_step(tmp_path: Path) -> None:
    less = write_notebook(tmp_path / "10_doubled.ipynb", "cube: str = ''")
    with pytest.raises(NotebookError, match=r"lacks \['factor'\]"):
        check_notebook(less, {}, make_doubled)
    other = write_notebook(tmp_path / "10_doubled.ipynb", "factor: float = 3.0")
    with pytest.raises(NotebookError, match=r"defaults differ .*\(3.0, 2.0\)"):
        check_notebook(other, {}, make_doubled)
    same = write_notebook(tmp_path / "10_doubled.ipynb", "factor: float = 2.0")
    with pytest.raises(StepParameterError, match="factor=-1.0"):
        check_notebook(same, {"factor": -1.0}, make_doubled)


def test_the_record_that_a_notebook_declares_is_read_wherever_it_stands(
    tmp_path: Path, folder: Folder, worker: Place
) -> None:
    path = write_notebook(tmp_path / "10_a.ipynb", "n: int = 1", DECLARE, "n")
    made = run_notebook(path, {"n": 3}, place=worker, folder=folder, log="runs/a")
    assert (made.product, made.unit, made.id) == ("tiny", "s0001-1-2", "0123456789ab")
    assert made.summary == {"stars": 3}
    executed = nbformat.reads(folder.get("runs/a.ipynb").decode(), as_version=4)
    assert executed.cells[-1].outputs[0].data["text/plain"] == "3"


def test_a_notebook_without_a_record_or_with_another_id_is_no_success(
    tmp_path: Path, folder: Folder, worker: Place
) -> None:
    silent = write_notebook(tmp_path / "10_a.ipynb", "n: int = 1", "n")
    with pytest.raises(NotebookError, match="0 result records"):
        run_notebook(silent, {}, place=worker, folder=folder, log="runs/a")
    other = write_notebook(tmp_path / "10_b.ipynb", "n: int = 1", DECLARE)
    with pytest.raises(NotebookError, match="expected ffffffffffff"):
        run_notebook(other, {}, place=worker, folder=folder, log="runs/b", expected="ffffffffffff")
    assert names(folder) == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 / 0", "10_a, cell 2: ZeroDivisionError: division by zero"),
        ("import os\nos.kill(os.getpid(), 9)", "10_a, cell 2: the kernel died"),
        ("import time\ntime.sleep(60)", "10_a, cell 2: no end after 2 s"),
        (
            "from tasoc_kit.errors import StoreError\nraise StoreError('store: it is full. Free space.')",
            r"^store: it is full. Free space. \(10_a, cell 2; log",
        ),
        ("raise ValueError('x' * 10**5)", r"cell 2: ValueError: x{2000} … \(100000 characters\); expected"),
    ],
    ids=["an error", "a dying kernel", "no end", "one of our errors", "a long error"],
)
def test_a_failing_cell_is_named_and_its_log_is_kept(
    tmp_path: Path, folder: Folder, worker: Place, cell: str, message: str
) -> None:
    path = write_notebook(tmp_path / "10_a.ipynb", "n: int = 1", cell, DECLARE)
    with pytest.raises(NotebookError, match=message):
        run_notebook(path, {"n": 2}, place=worker, folder=folder, log="runs/a", timeout=2.0)
    assert names(folder) == ["a-failed.ipynb"]


def test_a_success_takes_the_log_of_an_earlier_failure_away(
    tmp_path: Path, folder: Folder, worker: Place
) -> None:
    path = write_notebook(tmp_path / "10_a.ipynb", "n: int = 0", "1 / n", DECLARE)
    with pytest.raises(NotebookError):
        run_notebook(path, {}, place=worker, folder=folder, log="runs/a")
    run_notebook(path, {"n": 1}, place=worker, folder=folder, log="runs/a")
    assert names(folder) == ["a.ipynb"]


def test_jupyter_trusts_what_was_run_here(tmp_path: Path, folder: Folder, worker: Place) -> None:
    path = write_notebook(tmp_path / "10_a.ipynb", "n: int = 1", DECLARE)
    run_notebook(path, {}, place=worker, folder=folder, log="runs/a")
    executed = nbformat.reads(folder.get("runs/a.ipynb").decode(), as_version=4)
    assert NotebookNotary().check_signature(executed)
    executed.cells[-1].outputs[0].data["text/html"] = "<script>another()</script>"
    assert not NotebookNotary().check_signature(executed)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("start", ["Worker()", "Worker(fork=True)"])
def test_no_process_outlives_a_killed_run(tmp_path: Path, start: str) -> None:
    told = tmp_path / "pids"
    path = write_notebook(
        tmp_path / "10_a.ipynb",
        "n: int = 1",
        f"import os, pathlib, time\ntold = pathlib.Path({str(told)!r})\n"
        "told.write_text(f'{os.getpid()} {os.getppid()}')\ntime.sleep(60)",
    )
    code = (
        "from tasoc_kit.pipeline.request import Request\nfrom tasoc_kit.pipeline.worker import Worker\n"
        f"{start}.run(Request({str(path)!r}, {{}}, {str(tmp_path / 'out.ipynb')!r}))"
    )
    run = subprocess.Popen([sys.executable, "-c", code])
    while not told.exists() or not told.read_text().count(" "):
        assert run.poll() is None
        time.sleep(0.05)
    kernel, worker = map(int, told.read_text().split())
    assert alive(kernel)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(lambda: not alive(kernel) and not alive(worker), "the end of kernel and worker")
