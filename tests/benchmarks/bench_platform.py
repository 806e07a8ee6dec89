"""
What many people at once get from the platform: answers, files, jobs, pages.

Each topic measures its own rows (``platform_<topic>.py``) with the load generator on the same machine. The
last line is one JSON object with a row for every claim.

    python tests/benchmarks/bench_platform.py [--only ROW,ROW] [--scratch DIR] [--minutes M] [--calls N]
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType

from claims import Claim, make_parser, print_rows, scratch_folder

GIGABYTES = 6


def topics() -> list[ModuleType]:
    """Return the modules that measure something, in order of their names."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("platform_*.py"))
    return [importlib.import_module(name) for name in found]


def main() -> None:
    """Measure the rows that are wanted and print them; a topic is measured whole or not at all."""
    measured_by = {name: module for module in topics() for name in module.CLAIMS}
    claims: dict[str, Claim] = {name: module.CLAIMS[name] for name, module in measured_by.items()}
    parser = make_parser(__doc__, claims, room=GIGABYTES)
    parser.add_argument("--minutes", type=float, default=10.0, help="of load on the API")
    parser.add_argument("--calls", type=int, default=5600, help="of schemathesis")
    chosen = parser.parse_args()
    values: dict[str, float] = {}
    with scratch_folder("platform", chosen.scratch, threads=2) as scratch:
        for module in {measured_by[name]: None for name in claims if name in chosen.only}:
            taken = inspect.signature(module.rows).parameters
            options = {name: vars(chosen)[name] for name in ("minutes", "calls") if name in taken}
            place = scratch / module.__name__
            place.mkdir()
            values |= {row.name: row.value for row in module.rows(place, **options)}
    print_rows("platform", claims, chosen.only, values)


if __name__ == "__main__":
    main()
