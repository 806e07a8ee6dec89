"""The wheel carries catalogs, notebooks and migrations, and works where there is no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

TOOLS = Path(sys.executable).parent


def run(*command: str | Path, **options) -> str:
    """Return what a command printed; fail with both its streams."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=repository)
    return next(folder.glob("tasoc_kit-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Run ``tasoc`` of an environment that holds the wheel and, behind it, our dependencies."""
    place = tmp_path_factory.mktemp("elsewhere")
    environment = place / "environment"
    run(TOOLS / "uv", "venv", "--offline", "--python", sys.executable, environment)
    run(TOOLS / "uv", "pip", "install", "--offline", "--no-deps", "--python", environment, wheel)
    own = next(environment.glob("lib/python*/site-packages"))
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    clean = {"PATH": os.environ["PATH"], "HOME": str(place), "OPENBLAS_NUM_THREADS": "1"}

    def tasoc(*words: str) -> str:
        return run(environment / "bin" / "tasoc", *words, cwd=place, env=clean)

    def python(code: str) -> str:
        return run(environment / "bin" / "python", "-c", code, cwd=place, env=clean).strip()

    tasoc.python, tasoc.place = python, place
    return tasoc


def test_the_wheel_holds_what_a_user_opens_and_no_tests(wheel, repository):
    names = set(zipfile.ZipFile(wheel).namelist())
    catalogs = {f"tasoc_kit/share/catalogs/{path.name}" for path in repository.glob("catalogs/*.yaml")}
    paths = [path.relative_to(repository) for path in repository.glob("notebooks/**/*.ipynb")]
    notebooks = {f"tasoc_kit/share/{path}" for path in paths if ".ipynb_checkpoints" not in path.parts}
    pipelines = {f"tasoc_kit/share/notebooks/pipelines/{name}.yaml" for name in ("photometry", "seismology")}
    assert catalogs | notebooks | pipelines <= names
    assert "tasoc_kit/seismology/variability_forest.npz" in names
    assert any(name.startswith("tasoc_kit/records/migrations/versions/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not {name for name in names if name.startswith(("tests/", "binder/")) or name.endswith(".pyc")}


def test_the_package_is_that_of_the_wheel(installed):
    where = installed.python("import tasoc_kit; print(tasoc_kit.__file__)")
    assert Path(where).is_relative_to(installed.place)


def test_help_names_the_commands(installed):
    told = installed("--help")
    for command in ("run", "status", "catalog", "doctor", "dashboard", "products", "where"):
        assert command in told


def test_the_catalogs_are_the_shipped_ones(installed):
    told = installed("catalog", "list")
    assert "simulation.tiny" in told
    assert "ffi.tess" in told


def test_doctor_finds_nothing_required_missing(installed):
    told = installed("doctor")
    assert "Everything that is needed is there." in told
    assert re.search(r"^ *catalogs +ok ", told, re.MULTILINE)


def test_the_parameters_of_the_pipeline_come_from_the_shipped_notebooks(installed):
    assert "threshold" in installed("parameters", "photometry")


def test_asking_leaves_no_file_behind(installed):
    installed("catalog", "list")
    installed("doctor")
    assert {path.name for path in installed.place.iterdir()} <= {"environment", ".cache", ".numba_cache"}
