"""The frame of the repository: one list of versions, one environment, told to everyone alike."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

LOCKS = ("requirements.lock", "requirements-oracle.lock")


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder of programs, as PATH of a machine with make, git and little else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("awk", "git", "make", "rm", "sh", "touch"):
        (folder / program).symlink_to(str(shutil.which(program)))
    return folder


def make_env(repository: Path, path: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run ``make env`` in a copy of the frame that holds no environment."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(repository / name, checkout)
    places = {"PATH": str(path), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    return run("make", "env", cwd=checkout, env=places)


def fake_python(folder: Path, body: str) -> None:
    program = folder / "python3"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def pip_requirements(environment: Path) -> list[str]:
    dependencies = yaml.safe_load(environment.read_text())["dependencies"]
    return next(entry["pip"] for entry in dependencies if isinstance(entry, dict))


def test_environment_yml_has_the_bounds_of_pyproject(repository, project):
    expected = {*project["dependencies"], *project["optional-dependencies"]["s3"]}
    listed = pip_requirements(repository / "environment.yml")
    assert set(listed) == expected
    assert len(listed) == len(expected)


def test_conda_installs_python_and_pip_and_nothing_else(repository):
    content = yaml.safe_load((repository / "environment.yml").read_text())
    names = {re.split("[=<>]", entry)[0] for entry in content["dependencies"] if isinstance(entry, str)}
    assert content["channels"] == ["conda-forge"]
    assert names == {"python", "pip"}


def test_binder_has_a_true_copy_of_environment_yml(repository):
    copy = repository / "binder" / "environment.yml"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (repository / "environment.yml").read_bytes()


def test_binder_scripts_can_be_executed_and_start_hands_over(repository):
    for name in ("postBuild", "start"):
        script = repository / "binder" / name
        assert os.access(script, os.X_OK), name
        assert run("bash", "-n", script).returncode == 0, name
    start = repository / "binder" / "start"
    handed = run(start, "sh", "-c", "echo $PANEL_INLINE $0 $1", "a b", "c")
    assert handed.stdout == "true a b c\n"


def test_jupyterlab_on_binder_asks_nobody_for_news_and_opens_the_readme(repository):
    from jupyter_core.paths import jupyter_config_path
    from jupyterlab.labapp import LabApp

    start = repository / "binder" / "start"
    told = run(start, "sh", "-c", "echo $JUPYTER_CONFIG_PATH").stdout.strip()
    overrides = json.loads((Path(told) / "labconfig" / "default_setting_overrides.json").read_text())
    notification = overrides["@jupyterlab/apputils-extension:notification"]
    assert notification == {"checkForUpdates": False, "fetchNews": "false"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_CONFIG_PATH", told)
        assert jupyter_config_path()[0] == told
        lab = LabApp()
        lab.load_config_file()
    landing = lab.default_url.removeprefix("/lab/tree/")
    assert (repository / landing).is_file()
    assert landing == "notebooks/how_to/00_tour.ipynb"


def test_the_commands_that_build_the_binder_are_there(repository):
    import typer

    from tasoc_kit.cli import app

    written = (repository / "binder" / "postBuild").read_text()
    commands = [line for line in written.splitlines() if line and not line.startswith(("#", "set "))]
    lines = [shlex.split(line) for line in commands]
    assert [words[0] for words in lines] == ["python", "tasoc", "tasoc"]
    for _, verb, *words in lines[1:]:
        typer.main.get_command(app).commands[verb].make_context("tasoc", words)
    (asked,) = [word for word in lines[0] if word.startswith(".[")]
    extras = set(asked.removeprefix(".[").removesuffix("]").split(","))
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert extras <= set(project["optional-dependencies"])


def test_repo2docker_understands_the_binder_folder(repository, tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copytree(repository / "binder", checkout / "binder")
    program = Path(sys.executable).parent / "jupyter-repo2docker"
    told = run(program, "--no-build", "--debug", ".", cwd=checkout)
    described = told.stdout + told.stderr
    assert told.returncode == 0, described[-2000:]
    assert "RUN ./binder/postBuild" in described
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in described
    assert "binder/environment.yml" in described


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host(repository, lock):
    text = (repository / lock).read_text()
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_one_version_and_its_hashes(repository, lock):
    blocks = re.split(r"\n(?=\S)", (repository / lock).read_text().strip())
    names = [block.split("==")[0].split("[")[0] for block in blocks]
    assert len(names) == len(set(names))
    assert all("--hash=sha256:" in block for block in blocks)


def test_every_direct_dependency_is_locked_and_has_a_lower_bound(repository, project):
    extras = project["optional-dependencies"]
    asked = sum((extras[name] for name in extras if name != "oracle"), project["dependencies"])
    direct = [requirement for requirement in asked if not requirement.startswith("tasoc-kit[")]
    assert all(">=" in requirement for requirement in direct)
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)", (repository / "requirements.lock").read_text(), re.M))
    names = {re.split(r"[\[>=]", requirement)[0].lower() for requirement in direct}
    assert names <= locked


def test_the_test_extra_asks_for_every_other_extra_but_the_oracle(project):
    extras = project["optional-dependencies"]
    own = next(requirement for requirement in extras["test"] if requirement.startswith("tasoc-kit["))
    assert set(own.removeprefix("tasoc-kit[").removesuffix("]").split(",")) == set(extras) - {
        "test",
        "oracle",
    }


def test_the_oracle_lock_adds_lightkurve_and_the_default_lock_has_it_not(repository):
    assert "\nlightkurve==" in (repository / "requirements-oracle.lock").read_text()
    assert "\nlightkurve==" not in (repository / "requirements.lock").read_text()


def test_make_alone_lists_every_target(repository):
    listed = run("make", "-C", repository, "-s").stdout
    for target in ("help", "env", "demo", "test", "lint", "types", "bench", "dashboard"):
        assert re.search(rf"^make {target} +\S", listed, re.M), target


def test_make_env_says_in_one_line_that_git_is_missing(repository, bare_path, tmp_path):
    (bare_path / "git").unlink()
    told = make_env(repository, bare_path, tmp_path)
    assert told.returncode != 0
    assert told.stderr.splitlines()[0] == "make env: git is missing. Install it."


@pytest.mark.parametrize("python", [None, "exit 1"], ids=["missing", "too old"])
def test_make_env_says_in_one_line_which_python_it_wants(repository, bare_path, tmp_path, python):
    if python:
        fake_python(bare_path, python)
    told = make_env(repository, bare_path, tmp_path)
    assert told.returncode != 0
    assert told.stderr.startswith("make env: python3 is missing or older than 3.11.")


def test_make_env_says_in_one_line_that_python_has_neither_pip_nor_venv(repository, bare_path, tmp_path):
    fake_python(bare_path, '[ "$1" = -c ]')
    told = make_env(repository, bare_path, tmp_path)
    assert told.returncode != 0
    assert told.stderr.startswith("make env: uv could not be installed. python3 needs pip or venv")
    assert not (tmp_path / "checkout" / ".uv").exists()


def test_hooks_run_only_the_tools_of_the_environment(repository):
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    assert [entry["repo"] for entry in hooks] == ["local"]
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks[0]["hooks"])
    checker = Path(sys.executable).parent / "pre-commit"
    assert run(checker, "validate-config", ".pre-commit-config.yaml", cwd=repository).returncode == 0


@pytest.mark.parametrize("workflow", ["ci.yml", "binder.yml"])
def test_workflows_run_only_targets_that_exist(repository, workflow):
    jobs = yaml.safe_load((repository / ".github" / "workflows" / workflow).read_text())["jobs"]
    commands = "\n".join(step["run"] for job in jobs.values() for step in job["steps"] if "run" in step)
    targets = set(re.findall(r"^([a-z]+):", (repository / "Makefile").read_text(), re.M))
    used = {word for line in re.findall(r"^make (.+)$", commands, re.M) for word in line.split()}
    assert used
    assert used <= targets


def tracked_text(repository: Path) -> dict[str, str]:
    listed = run("git", "ls-files", cwd=repository, check=True)
    binary = (".lock", ".png", ".npz")
    paths = [repository / name for name in listed.stdout.splitlines() if not name.endswith(binary)]
    return {str(path.relative_to(repository)): path.read_text() for path in paths if path.is_file()}


def test_no_file_names_a_place_of_one_machine(repository):
    place = re.compile(r"(?<![A-Za-z0-9_.])/(?:home|Users|root|work)/\w")
    named = {
        name: place.findall(text) for name, text in tracked_text(repository).items() if place.search(text)
    }
    assert not named


def test_no_tracked_file_is_larger_than_a_megabyte(repository):
    names = run("git", "ls-files", cwd=repository, check=True).stdout.splitlines()
    there = [name for name in names if (repository / name).is_file() and not name.endswith(".lock")]
    sizes = {name: (repository / name).stat().st_size for name in there}
    assert {name: size for name, size in sizes.items() if size > 1_000_000} == {}


def test_continuous_integration_is_a_script_that_bash_can_read(repository):
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert run("bash", "-n", script).returncode == 0
