"""What is missing is told, and in strict runs it is a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

CASES = """
import pytest

def test_that_runs(): pass

def test_that_wants_data(shared_data): shared_data("no/such/file.fits")

def test_that_is_allowed(): pytest.skip("allowed")

@pytest.mark.network
def test_of_the_internet(): raise AssertionError
"""


@pytest.fixture
def session(repository, tmp_path):
    """Run a session of four tests under the conftest of this folder."""
    tests = tmp_path / "checkout" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(repository / "tests" / "conftest.py", tests)
    shutil.copy(repository / "pyproject.toml", tests.parent)
    (tests / "allowed_skips.txt").write_text("# why\ntests/test_cases.py::test_that_is_allowed  # reason\n")
    (tests / "test_cases.py").write_text(CASES)

    def run(*arguments: str, strict: bool) -> str:
        environment = os.environ | {"TASOC_STRICT_SKIPS": str(int(strict))}
        environment.pop("TASOC_TEST_DATA", None)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(
            command, cwd=tests.parent, env=environment, capture_output=True, text=True
        ).stdout

    return run


def test_a_skip_prints_what_is_missing_and_the_next_action(session):
    told = session(strict=False)
    assert "1 passed, 2 skipped, 1 deselected" in told
    assert "no no/such/file.fits in" in told
    assert "set TASOC_TEST_DATA" in told


def test_in_a_strict_run_only_a_listed_skip_is_no_failure(session):
    told = session(strict=True)
    assert "1 failed, 1 passed, 1 skipped, 1 deselected" in told
    assert "Not listed in tests/allowed_skips.txt: nothing may be missing here." in told


def test_tests_of_the_internet_run_only_when_asked_for(session):
    assert "1 failed, 3 deselected" in session("-m", "network", strict=False)
