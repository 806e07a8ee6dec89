"""Each command of compose.yaml runs here as a process, on what it would find in its container."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import s3fs
import sqlalchemy
import typer
import yaml
from conftest import free_port

from tasoc_kit.doctor import find_postgres

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "tasoc-kit"}
INSTRUCTION = re.compile(r"^([A-Z]+) (.+?)(?<!\\)$", re.MULTILINE | re.DOTALL)
SECONDS = 120


def known_commands() -> set[str]:
    """Return the commands that ``tasoc`` has."""
    from tasoc_kit.cli import app

    return set(typer.main.get_command(app).commands)


def tasoc_words(command: list[str]) -> list[str]:
    """Return what follows ``tasoc`` in a command, also in one that a shell reads."""
    words = shlex.split(command[-1]) if command[:2] == ["sh", "-c"] else command
    return words[words.index("tasoc") + 1 :]


RUNNING = [name for name, service in OURS.items() if "restart" in service and service["restart"] != "no"]
THERE = [name for name in RUNNING if tasoc_words(OURS[name]["command"])[0] in known_commands()]


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with its words on one line."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, rest in (line.split(None, 1) for line in text.splitlines() if line)]


@pytest.mark.parametrize("name", [*OURS, "Dockerfile"])
def test_a_command_is_one_that_tasoc_takes(name):
    command = OURS[name]["command"] if name in OURS else yaml.safe_load(dict(dockerfile())["CMD"])
    verb, *words = tasoc_words(command)
    assert verb in {"api", "worker"} | known_commands()
    if verb in known_commands():
        from tasoc_kit.cli import app

        found = typer.main.get_command(app).commands[verb]
        while hasattr(found, "commands"):
            verb, *words = words
            found = found.commands[verb]
        found.make_context("tasoc", words)


def test_what_the_image_is_made_of_is_there_and_reaches_the_builder():
    copied = [words.split()[:-1] for word, words in dockerfile() if word == "COPY" and "--from" not in words]
    sources = {source for words in copied for source in words}
    ignore = [line for line in (ROOT / ".dockerignore").read_text().split("\n") if line[:1] not in ("#", "")]
    assert ignore[0] == "*"
    assert sources == {line[1:] for line in ignore if line.startswith("!")}
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_installs_what_the_lock_says_and_runs_as_nobody_in_particular():
    said = dockerfile()
    assert [word for word, _ in said].count("FROM") == 2
    assert any("-c requirements.lock" in words for word, words in said if word == "RUN")
    extras = set(re.findall(r"--extra (\w+)", " ".join(words for word, words in said if word == "RUN")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"postgres", "s3"} <= extras <= set(project["optional-dependencies"])
    last_stage = said[[word for word, _ in said].index("FROM", 1) :]
    assert int(dict(last_stage)["USER"]) > 0
    assert "/health" in dict(last_stage)["HEALTHCHECK"]
    assert not re.search(r"(?i)password|secret|token|api_key", (ROOT / "Dockerfile").read_text())


def test_what_may_not_be_written_when_it_runs_is_compiled_when_it_is_built():
    assert all(service["read_only"] for service in OURS.values())
    said = dockerfile()
    first_install = next(place for place, (_, words) in enumerate(said) if "uv pip install" in words)
    assert ("ENV", "UV_COMPILE_BYTECODE=1") in said[:first_install]


def test_the_database_is_asked_by_its_port_as_its_socket_answers_too_early(postgres_server, tmp_path):
    program, *words = SERVICES["database"]["healthcheck"]["test"][1:]
    no_socket = {"PGHOST": str(tmp_path), "PGPORT": str(urlsplit(postgres_server).port)}
    asked = [str(find_postgres() / program), *words]
    assert run(asked, no_socket).returncode == 0
    assert run(asked, no_socket | {"PGPORT": str(free_port())}).returncode != 0


def test_no_service_holds_a_secret_and_all_that_is_published_is_on_loopback():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        given = service.get("environment", {})
        assert not [name for name in given if re.search("PASSWORD|SECRET|ACCESS_KEY|TOKEN", name)]
        assert "@" not in str(given.get("TASOC_DATABASE", "")).split("tasoc@")[0]
        assert service.get("healthcheck")
    files = {file for service in SERVICES.values() for file in service.get("env_file", [])}
    ignored = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True)
    assert set(ignored.stdout.split()) == files == {"database.env", "objects.env"}


def test_services_wait_for_services_that_there_are_and_write_to_volumes_that_there_are():
    for service in SERVICES.values():
        for other, wanted in service.get("depends_on", {}).items():
            healthy = wanted["condition"] == "service_healthy"
            assert (SERVICES[other]["restart"] != "no") is healthy
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


@pytest.fixture(scope="module")
def environment(
    postgres_server: str, s3_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What a service finds: its own variables, and servers of this machine where it names other services."""
    one = next(iter(OURS.values()))["environment"]
    assert all(service["environment"] == one for service in OURS.values())
    named = re.fullmatch(r"postgresql\+psycopg://tasoc@(\w+):5432/(\w+)", one["TASOC_DATABASE"])
    objects = re.fullmatch(r"http://(\w+):9000", one["AWS_ENDPOINT_URL"])
    assert named is not None
    assert objects is not None
    assert {named[1], objects[1]} <= set(SERVICES)
    engine = sqlalchemy.create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {named[2]}"))
    engine.dispose()
    place = tmp_path_factory.mktemp("service")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TASOC_", "AWS_"))}
    here = {"TASOC_DATABASE": f"{postgres_server}/{named[2]}", "HOME": str(place), "PYTHONPATH": str(ROOT)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | one | s3_environment | here | {"TASOC_CACHE": str(place / "cache"), "PATH": path}


@pytest.fixture(scope="module")
def prepared(environment: dict[str, str]) -> dict[str, str]:
    """The same, after the service that the others wait for has done its work."""
    done = run(OURS["prepare"]["command"], environment)
    assert done.returncode == 0, done.stderr
    return environment


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)


@contextmanager
def started(
    name: str, environment: dict[str, str], port: str, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command of a service on loopback and a free port, as long as the context lasts."""
    (published,) = [line.split(":")[-1] for line in OURS[name].get("ports", ["0"])]
    words = [word.replace("0.0.0.0", "127.0.0.1").replace(published, port) for word in OURS[name]["command"]]
    with log.open("wb") as lines:
        process = subprocess.Popen(words, stdout=lines, stderr=lines, env=environment, cwd=log.parent)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)


def test_tables_and_bucket_are_prepared(prepared, s3_environment, monkeypatch):
    engine = sqlalchemy.create_engine(prepared["TASOC_DATABASE"])
    assert {"jobs", "products", "reviews"} <= set(sqlalchemy.inspect(engine).get_table_names())
    engine.dispose()
    for variable, value in s3_environment.items():
        monkeypatch.setenv(variable, value)
    s3fs.S3FileSystem.clear_instance_cache()
    assert s3fs.S3FileSystem().exists(prepared["TASOC_STORE"].rpartition("/")[0])
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("name", THERE)
def test_a_service_runs_becomes_healthy_and_ends_when_it_is_told(name, prepared, tmp_path):
    port, log = str(free_port()), tmp_path / "log"
    with started(name, prepared, port, log) as process:
        check = OURS[name]["healthcheck"]
        if not check.get("disable"):
            (published,) = [line.split(":")[-1] for line in OURS[name]["ports"]]
            asked = [word.replace(published, port) for word in check["test"][1:]]
            deadline = time.monotonic() + SECONDS
            while (answer := run(asked, prepared)).returncode and time.monotonic() < deadline:
                assert process.poll() is None, log.read_text()
                time.sleep(1)
            assert answer.returncode == 0, answer.stderr
        else:
            deadline = time.monotonic() + SECONDS
            while "takes jobs" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
        assert process.poll() is None, log.read_text()
    assert process.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text()
