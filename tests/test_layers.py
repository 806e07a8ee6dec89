"""The house is built in one direction, and its modules stay small enough to read."""

from __future__ import annotations

import ast
import graphlib
import json
from pathlib import Path

import pytest

import tasoc_kit

PACKAGE = Path(__file__).resolve().parents[1] / "tasoc_kit"
NOTEBOOKS = sorted(PACKAGE.with_name("notebooks").glob("*.ipynb"))
LAYERS = (
    {"errors", "vocabulary", "config"},
    {"provenance"},
    {"step", "numerics", "chunks", "star_series"},
    {"store", "products", "archive", "storage", "database", "records"},
    {"sources"},
    {"catalog", "simulation", "plots"},
    {"photometry", "corrections", "seismology", "transits", "difference", "imaging", "validation"},
    {"ingest", "pipeline", "exports", "identity", "hub_users"},
    {"dashboards", "api", "cli", "commands", "doctor"},
)
SCIENCE_ROOMS = LAYERS[6]
WITHOUT_THE_STORE = SCIENCE_ROOMS | {"numerics", "step", "plots"}
ONLY_ABOVE = {"panel": {"dashboards", "plots", "pipeline"}, "fastapi": {"api"}, "typer": {"cli", "commands"}}
VAGUE = {"utils", "util", "helpers", "common", "core", "base", "misc", "tools"}
LONGEST = 500

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
TREES = {path: ast.parse((PACKAGE / path).read_text()) for path in MODULES}
NODES = [(path, node) for path in MODULES for node in ast.walk(TREES[path])]


def dotted(path: Path) -> str:
    """Return ``photometry.sky`` for photometry/sky.py, and ``photometry`` for its ``__init__``."""
    return ".".join(part for part in path.with_suffix("").parts if part != "__init__")


NAMES = {dotted(path) for path in MODULES}


def room(name: str) -> str:
    return name.split(".")[0]


def layer(name: str) -> int:
    return next(rank for rank, rooms in enumerate(LAYERS) if room(name) in rooms)


def imported(path: Path) -> set[str]:
    """Return the full names of everything a module imports, at its head or inside a function."""
    found = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    """Return the modules of the package that a module imports."""
    inside = {name.removeprefix("tasoc_kit.") for name in imported(path) if name.startswith("tasoc_kit.")}
    return {name if name in NAMES else name.rpartition(".")[0] for name in inside} - {"", dotted(path)}


ROOMED = [path for path in MODULES if dotted(path)]


@pytest.mark.parametrize("path", ROOMED, ids=dotted)
def test_a_module_imports_only_what_stands_to_its_left(path):
    assert any(room(dotted(path)) in rooms for rooms in LAYERS), f"give {path} a place in LAYERS"
    rightwards = {name for name in own_imports(path) if layer(name) > layer(dotted(path))}
    assert not rightwards


def test_science_rooms_never_import_each_other():
    science = {path: room(dotted(path)) for path in ROOMED if room(dotted(path)) in SCIENCE_ROOMS}
    other = {
        path: {room(name) for name in own_imports(path)} & SCIENCE_ROOMS - {own}
        for path, own in science.items()
    }
    assert {path: rooms for path, rooms in other.items() if rooms} == {}


def test_steps_and_numerics_never_touch_the_store():
    pure = [path for path in ROOMED if room(dotted(path)) in WITHOUT_THE_STORE]
    stored = {path: {room(name) for name in own_imports(path)} & LAYERS[3] for path in pure}
    assert {path: rooms for path, rooms in stored.items() if rooms} == {}


def test_nothing_that_a_run_is_made_of_knows_of_exports():
    """Files for people are made from the store when somebody asks: no run waits for one."""
    running = [p for p in ROOMED if layer(dotted(p)) <= layer("pipeline") and room(dotted(p)) != "exports"]
    assert "pipeline.executors" in map(dotted, running)
    knowing = {path: {n for n in own_imports(path) if room(n) == "exports"} for path in running}
    assert {path: names for path, names in knowing.items() if names} == {}
    exported = {name for name, module in tasoc_kit._PUBLIC.items() if room(module) == "exports"}
    written = ("movie", "table", "target_pixels", "tasoc_files", "validation", "vectors")
    assert exported == {"star"} | {f"write_{name}" for name in written}
    for path in NOTEBOOKS:
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        nodes = [node for cell in cells for node in ast.walk(ast.parse("".join(cell["source"])))]
        asked = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        assert asked & (exported | {"exports"}) == set(), path.name


def test_numerics_know_nothing_of_xarray_and_dask():
    users = [path for path in ROOMED if room(dotted(path)) == "numerics"]
    assert users
    assert {path for path in users if {room(name) for name in imported(path)} & {"xarray", "dask"}} == set()


@pytest.mark.parametrize("library", ONLY_ABOVE)
def test_a_library_for_people_and_programs_stays_in_its_room(library):
    users = {room(dotted(path)) for path in ROOMED if library in {room(name) for name in imported(path)}}
    assert users <= ONLY_ABOVE[library]


def test_the_package_does_not_go_through_its_own_public_list():
    known = {f"tasoc_kit.{room(name)}" for name in NAMES} | {"tasoc_kit.__version__"}
    own = {path: {name for name in imported(path) if room(name) == "tasoc_kit"} for path in ROOMED}
    through = {
        path: {name for name in names if ".".join(name.split(".")[:2]) not in known}
        for path, names in own.items()
    }
    assert {path: names for path, names in through.items() if names} == {}


def test_no_two_modules_import_each_other_in_a_circle():
    graph = {dotted(path): own_imports(path) for path in ROOMED}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(graph)


def test_no_import_is_relative():
    assert [path for path, node in NODES if isinstance(node, ast.ImportFrom) and node.level] == []


def test_module_names_say_what_is_inside():
    assert {path for path in MODULES if path.stem in VAGUE or path.parent.name in VAGUE} == set()


def test_a_module_is_short_enough_to_read():
    lengths = {str(path): len((PACKAGE / path).read_text().splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_a_module_says_what_it_is_for():
    assert [path for path in MODULES if not ast.get_docstring(TREES[path])] == []


def test_nothing_in_the_package_prints():
    calls = [(path, node) for path, node in NODES if isinstance(node, ast.Call)]
    assert [(str(path), call.lineno) for path, call in calls if getattr(call.func, "id", "") == "print"] == []


def test_an_error_of_any_kind_is_caught_only_to_raise_another():
    handlers = [(path, node) for path, node in NODES if isinstance(node, ast.ExceptHandler)]
    broad = [
        (str(path), handler.lineno)
        for path, handler in handlers
        if (handler.type is None or getattr(handler.type, "id", "") in ("Exception", "BaseException"))
        and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    ]
    assert broad == []


def step_product(function: ast.FunctionDef) -> str:
    """Return the product that ``@step(product=…)`` names, or an empty string."""
    marks = [mark for mark in function.decorator_list if isinstance(mark, ast.Call)]
    marks = [mark for mark in marks if getattr(mark.func, "id", "") == "step"]
    return next((word.value.value for mark in marks for word in mark.keywords if word.arg == "product"), "")


def test_a_step_lies_in_the_module_named_after_its_product():
    functions = [(path, node) for path, node in NODES if isinstance(node, ast.FunctionDef)]
    steps = {(path.stem, step_product(node)) for path, node in functions if step_product(node)}
    assert {stem for stem, product in steps if stem != product} == set()
