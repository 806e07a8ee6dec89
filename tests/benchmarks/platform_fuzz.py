"""
Whether any call that schemathesis makes from the OpenAPI brings an answer of 5xx.

Every route is called with the token of an admin: places that are there with valid values for the rest, valid
values, and values that break the schema. Each route must be reached: of its calls a fifth at least end well.

    python tests/benchmarks/platform_fuzz.py [CALLS [FOLDER]]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import requests
from claims import Claim, Row, print_rows, scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api_fuzz import fuzz  # noqa: E402  of the tests
from api_store import Known, fill_store, new_jobs  # noqa: E402
from running_api import make_tokens, places, running_api  # noqa: E402

CLAIMS = {
    "fuzz_5xx": Claim("calls", most=0),
    "fuzz_calls": Claim("calls", least=5000),
    "fuzz_least_2xx": Claim("calls / calls", least=0.2),
}
CALLS = 5600


def well(counts: Counter[int]) -> float:
    """Return the share of calls that ended well."""
    return sum(number for status, number in counts.items() if 200 <= status < 300) / counts.total()


def failed(counts: Counter[int]) -> int:
    """Return how many calls the server is to blame for."""
    return sum(number for status, number in counts.items() if status >= 500)


def values(
    known: Known, name: str, make_job: Callable[[], int], method: str, path: str, share: str
) -> dict[str, Any]:
    """Return what replaces the random values of one call."""
    if method == "PUT" and share == "known":
        return {"path_parameters": {"name": name}, "query": {}, "body": known.ffi}
    return known.values(method, path, share, make_job)


def fuzz_all(scratch: Path, calls: int) -> dict[str, Counter[int]]:
    """Serve a store in which every route finds something, and return the statuses of each route."""
    scratch.mkdir(exist_ok=True)
    with places(scratch) as variables:
        known, tokens = fill_store(scratch), make_tokens()
        options = ("--limit=rate=0", "--quiet")
        with running_api(scratch, *options, environment=variables, known=tokens) as api:
            name = next(scratch.glob("*.fits")).name
            sent = api.ask(f"/inject/{name}", method="PUT", data=known.ffi, scope="admin")
            known = replace(known, sha256=sent.json()["sha256"])
            routes = sum(
                map(len, requests.get(f"{api.url}/openapi.json", timeout=60).json()["paths"].values())
            )
            counts = fuzz(
                api.url,
                tokens["admin"],
                -(-calls // routes),
                partial(values, known, name, new_jobs(variables["TASOC_DATABASE"])),
            )
            if any(map(failed, counts.values())):
                print(api.log[-20_000:], file=sys.stderr)
            return counts


def rows(scratch: Path, calls: int = CALLS) -> list[Row]:
    """Return the rows of the fuzzing; each route and its statuses go to standard error."""
    counts = fuzz_all(scratch / "fuzz", calls)
    for route, found in sorted(counts.items(), key=lambda item: well(item[1])):
        print(f"{well(found):5.2f} {found.total():5d} {route} {dict(sorted(found.items()))}", file=sys.stderr)
    values = {
        "fuzz_5xx": sum(map(failed, counts.values())),
        "fuzz_calls": sum(found.total() for found in counts.values()),
        "fuzz_least_2xx": min(map(well, counts.values())),
    }
    return [Row(name, values[name], claim) for name, claim in CLAIMS.items()]


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    with scratch_folder("fuzz", Path(sys.argv[2]) if len(sys.argv) > 2 else None, 2) as folder:
        measured = rows(folder, wanted)
        print_rows("platform_fuzz", CLAIMS, set(CLAIMS), {row.name: row.value for row in measured})
