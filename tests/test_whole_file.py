"""A file is there whole or not at all, whatever happens to the one who writes it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasoc_kit.storage.whole_file import PART, whole_file


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_takes_its_name_when_its_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.fits"
    with whole_file(target) as part:
        part.write_text("half")
        assert not target.exists()
        part.write_text("whole")
    assert files(tmp_path) == {"new/a.fits": "whole"}


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [{}, {"a": "old"}])
def test_a_block_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, error: type[BaseException], before: dict[str, str]
) -> None:
    for name, text in before.items():
        (tmp_path / name).write_text(text)

    def fail() -> None:
        with whole_file(tmp_path / "a") as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert files(tmp_path) == before


def test_a_name_that_cannot_be_taken_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "below").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"), whole_file(tmp_path / "a") as part:
        part.write_text("whole")
    assert files(tmp_path) == {}


def test_a_file_grows_where_it_is_told_to(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a" / "b", beside=tmp_path / "scratch") as part:
        part.write_text("whole")
        assert part.parent == tmp_path / "scratch"
    assert files(tmp_path) == {"a/b": "whole"}


def test_threads_that_write_one_file_at_once_do_not_mix(tmp_path: Path) -> None:
    meet = threading.Barrier(4)

    def write(letter: str) -> None:
        with whole_file(tmp_path / "a") as part, part.open("w") as file:
            for _ in range(2):
                meet.wait()
                file.write(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(tmp_path) in [{"a": letter * 2} for letter in "abcd"]


def test_what_a_killed_process_leaves_is_named_as_a_part(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from tasoc_kit.storage.whole_file import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], env=os.environ, check=False)
    assert [(name.endswith(PART), text) for name, text in files(tmp_path).items()] == [(True, "half")]
