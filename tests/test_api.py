"""The API as programs meet it: a server on loopback, asked with and without tokens, well and badly."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from api_fuzz import fuzz
from api_store import new_jobs
from running_api import Api, make_tokens, places, running_api, write_products

from tasoc_kit import vocabulary
from tasoc_kit.api import formats, votable
from tasoc_kit.records import tokens
from tasoc_kit.records.engine import connect

UNIT = "s0001-1-2"
JOB = {"name": "17_sky", "arguments": {"sector": 1, "camera": 1, "ccd": 2}, "held": True}
QUICK = ["--limit=rate=0", "--limit=header_seconds=1.5", "--limit=body_pause=1.5"]
PART = '''
from fastapi import APIRouter
from tasoc_kit.api.access import Writes
from tasoc_kit.api.problems import Problem

router = APIRouter()


@router.get("/periods/{tic}")
def period(tic: int, who: Writes) -> dict[str, float]:
    """Tell the period of a star."""
    if tic > 9:
        raise Problem(404, f"periods: TIC {tic} has none; expected one. Ask for another.")
    return {"period": tic / 2}
'''
NASTY = [
    "' OR 1=1; DROP TABLE jobs; --",
    "../../../etc/passwd",
    "{{7*7}}${7*7}<script>",
    "ʻ\N{COMBINING ACUTE ACCENT}\N{RIGHT-TO-LEFT OVERRIDE}\N{PILE OF POO}",
    "NaN",
    "-1e400",
    "99999999999999999999999999",
    "%",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str], dict[str, str]]]:
    """A store of five products beside a database with three tokens: folder, variables, id by product."""
    folder = tmp_path_factory.mktemp("served")
    with places(folder) as variables:
        yield folder, variables, write_products()


@pytest.fixture(scope="module")
def api(served: Any) -> Iterator[Api]:
    """The API on loopback, with short times for slow clients."""
    folder, variables, _ = served
    with places(folder):
        known = make_tokens()
    environment = variables | {"PYTHONPATH": str(other_package(folder / "other"))}
    with running_api(folder, *QUICK, environment=environment, known=known) as running:
        yield running


def other_package(folder: Path) -> Path:
    """Write a package that brings a part by its entry point, and return where it is."""
    described = folder / "my_part-1.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: my-part\nVersion: 1\n")
    (described / "entry_points.txt").write_text("[tasoc_kit.routes]\nperiods = my_part:router\n")
    (folder / "my_part.py").write_text(PART)
    return folder


@pytest.fixture
def here(served: Any) -> Iterator[Path]:
    """The places of the server, for a test that looks at them itself."""
    with places(served[0]):
        yield served[0]


def problem(answer: Any, status: int) -> dict[str, str]:
    """Return an error of this status, which has the form of all."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert set(told) == {"error", "next"}
    assert told["error"]
    return told


def test_without_a_token_loopback_reads_and_writes_nothing(api):
    assert api.ask("/products").status_code == 200
    problem(api.ask("/jobs", method="POST", json=JOB), 401)


def test_a_scope_allows_itself_and_what_is_below(api):
    told = problem(api.ask("/jobs", method="POST", json=JOB, scope="read"), 403)
    assert "needs the scope write; a-read has read" in told["error"]
    made = api.ask("/jobs", method="POST", json=JOB, scope="write")
    assert made.status_code == 202
    job = made.json()["job"]
    assert made.json()["submitter"] == "a-write"
    other = {**JOB, "name": "18_light_curves"}
    foreign = api.ask("/jobs", method="POST", json=other, scope="admin").json()["job"]
    assert (
        "not a-write's"
        in problem(api.ask(f"/jobs/{foreign}/cancel", method="POST", scope="write"), 403)["error"]
    )
    assert api.ask(f"/jobs/{job}/cancel", method="POST", scope="admin").json()["state"] == "cancelled"
    assert api.ask(f"/jobs/{foreign}/cancel", method="POST", scope="admin").status_code == 200


@pytest.mark.parametrize("given", ["Bearer tasoc_" + "x" * 43, "Bearer", "Basic YTpi", "Bearer " + "é" * 30])
def test_a_wrong_token_lets_nobody_in(api, given):
    told = problem(api.ask("/products", headers={"Authorization": given.encode()}), 401)
    assert told["next"] == "Make one with 'tasoc token create'."


def test_a_token_that_is_revoked_or_over_is_good_no_more(api, here):
    short = tokens.make_token("short", days=1e-8)
    long = tokens.make_token("long")
    assert api.ask("/products", headers={"Authorization": f"Bearer {long}"}).status_code == 200
    listed = tokens.list_tokens()
    assert listed.loc[listed["name"] == "long", "used"].notna().all()
    tokens.revoke_token(int(listed.loc[listed["name"] == "long", "token"].iloc[0]))
    for over in (short, long):
        problem(api.ask("/products", headers={"Authorization": f"Bearer {over}"}), 401)


def test_a_browser_shows_its_token_once_and_its_cookie_only_reads(api, here):
    token = tokens.make_token("browser", "write")
    came = api.ask("/login", params={"token": token, "next": "//elsewhere.example/"})
    assert (came.status_code, came.headers["location"]) == (303, "/docs")
    cookie = came.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    session = {"Cookie": cookie.split(";")[0]}
    assert api.ask("/products", headers=session).status_code == 200
    problem(api.ask("/jobs", method="POST", json=JOB, headers=session), 401)
    problem(api.ask("/login", params={"token": "tasoc_wrong"}), 401)
    assert problem(api.ask("/login"), 401)["next"] == "Make one with 'tasoc token create NAME'."
    problem(api.ask("/oauth_callback", params={"code": "x", "state": "-"}), 401)
    https = {"X-Forwarded-Proto": "https,http"}
    assert "Secure" in api.ask("/login", params={"token": token}, headers=https).headers["set-cookie"]


def test_who_follows_a_job_is_left_when_the_token_is_revoked(api, here):
    job = api.ask("/jobs", method="POST", json={**JOB, "queue": "followed"}, scope="write").json()["job"]
    token = tokens.make_token("follower")
    follow = {"headers": {"Authorization": f"Bearer {token}"}, "stream": True}
    with api.ask(f"/jobs/{job}/progress", **follow) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b"event: progress"
        listed = tokens.list_tokens()
        tokens.revoke_token(int(listed.loc[listed["name"] == "follower", "token"].iloc[0]))
        assert b"event: end" not in list(lines)


def test_a_page_of_the_web_that_calls_this_machine_by_its_own_name_reads_nothing(api):
    problem(api.ask("/products", headers={"Host": "evil.example:80"}), 401)
    assert api.ask("/products", headers={"Host": "evil.example:80"}, scope="read").status_code == 200


def test_products_are_listed_in_pages_by_name_and_place(api, served):
    ids = served[2]
    found, cursor = [], {}
    while cursor is not None:
        page = api.ask("/products", params={"limit": 2, "sector": 1} | cursor).json()
        found += page["products"]
        cursor = {"cursor": page["next"]} if page["next"] else None
    assert {row["product"]: row["id"] for row in found} == ids
    assert all(row["bytes"] > 1000 for row in found)
    chosen = api.ask("/products", params={"product": "sky", "camera": 1, "ccd": 2}).json()["products"]
    assert [(row["unit"], row["sector"], row["camera"], row["ccd"]) for row in chosen] == [(UNIT, 1, 1, 2)]
    for nothing in ({"sector": 2}, {"ccd": 3}, {"tag": "paper"}, {"id": "0" * 12}, {"unit": "s0001-1-3"}):
        assert api.ask("/products", params=nothing).json() == {"products": [], "next": None}


def test_a_product_tells_its_variables_and_what_made_it(api, served):
    ids = served[2]
    told = api.ask(f"/products/light_curves/{UNIT}/current").json()
    assert told["id"] == ids["light_curves"]
    flux = next(one for one in told["variables"] if one["name"] == "flux")
    assert (flux["dims"], flux["shape"], flux["dtype"]) == (["star", "time"], [12, 96], "float32")
    made = api.ask(told["provenance"]).json()
    assert [record["step"] for record in made["lineage"]] == ["make_apertures", "make_reference", "make_cube"]
    assert made["products"] == [f"light_curves/{UNIT}/{ids['light_curves']}"]
    above = api.ask(f"/provenance/{ids['reference']}").json()
    assert above["children"] == [{"id": ids["apertures"], "step": "make_apertures"}]


@pytest.mark.parametrize(
    "path",
    [
        "/products/nothing/s0001-1-2/current",
        "/products/sky/s0002-1-2/current",
        "/products/sky/s0001-1-2/000000000000",
        "/provenance/000000000000",
        "/jobs/999999",
        "/jobs/999999/events",
        "/jobs/999999/progress",
        "/notebooks/nothing/schema",
        "/pipelines/nothing/schema",
        "/nothing",
    ],
)
def test_what_is_not_there_is_404(api, path):
    problem(api.ask(path), 404)


@pytest.mark.parametrize(
    "path",
    [
        "/products/sky/s0001-1-2/../../../../etc/passwd",
        "/products/sky/..%2f..%2f..%2fetc/passwd",
        "/download/products/sky/s0001-1-2/%2e%2e/%2e%2e/tasoc.sqlite",
        "/notebooks/..%2F..%2Fpyproject/schema",
        "//etc/passwd",
        "/products/%2e%2e%5c%2e%2e/s0001-1-2/current",
        "/products/sky%00/s0001-1-2/current",
    ],
)
def test_no_path_leads_out_of_the_store(api, path):
    answer = api.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    status = int(answer.split()[1])
    assert status in (404, 422), answer
    assert b"root:" not in answer


def test_every_parameter_takes_text_that_means_harm(api):
    schema = api.ask("/openapi.json").json()
    usual = {"product": "sky", "unit": UNIT, "id": "current", "job": "1", "name": "17_sky", "action": "hold"}
    asked = 0
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            for given in route.get("parameters", []):
                for harm in NASTY[asked % 4 :: 4]:
                    query = {given["name"]: harm} if given["in"] == "query" else {}
                    values = {given["name"]: harm} if given["in"] == "path" else {}
                    places = {name: quote(value, safe="") for name, value in (usual | values).items()}
                    place = path.format_map(defaultdict(lambda: "x", places))
                    if path.endswith("/progress"):
                        query = {"seconds": "0.05"} | query
                    answer = api.ask(place, method=method.upper(), params=query, scope="admin")
                    assert answer.status_code < 500, (place, query, answer.text)
                    asked += 1
    assert asked > 40
    assert api.ask("/jobs").status_code == 200


def test_no_call_that_the_schema_allows_or_forbids_fails_the_server(api, served):
    make_job = new_jobs(served[1]["TASOC_DATABASE"])
    here = {"product": "sky", "unit": UNIT, "id": served[2]["sky"], "key": "zarr.json", "name": "17_sky"}

    def known(method: str, path: str, share: str) -> dict[str, Any]:
        query = {"seconds": 0.05} if path.endswith("/progress") else {}
        if share != "known":
            return {"query": query}
        names = re.findall(r"{(\w+)}", path)
        values = {name: here[name] for name in names if name in here}
        return {
            "path_parameters": values | ({"job": make_job()} if "job" in names else {}),
            "query": query,
        }

    counts = fuzz(api.url, api.tokens["admin"], 6, known)
    assert {route: found for route, found in counts.items() if max(found) >= 500} == {}
    assert sum(found.total() for found in counts.values()) > 100
    reached = {route for route, found in counts.items() if min(found) < 300}
    assert {"GET /products/{product}/{unit}/{id}", "POST /jobs/{job}/{action}", "GET /health"} <= reached


def test_values_that_no_json_holds_are_refused(api):
    for text in (
        '{"name": "17_sky", "arguments": {"white": NaN}}',
        '{"name": "17_sky", "arguments": {"white": 1e999}}',
        '{"name": "17_sky", "most_seconds": NaN}',
        '{"name": "17_sky", "arguments": {"cube": "\\ud800"}}',
        '{"name": "17_sky", "arguments": {"cube": "a\\u0000b"}}',
        "not json",
        "[]",
        '{"name": "17_sky", "unknown": 1}',
        '{"name": "../17_sky"}',
        '{"name": "17_sky", "arguments": {"white": "no number"}}',
        '{"name": "17_sky", "arguments": {"no_such": 1}}',
    ):
        headers = {"Content-Type": "application/json"}
        problem(api.ask("/jobs", method="POST", data=text, headers=headers, scope="write"), 422)


def test_a_body_that_is_too_deep_to_read_is_refused(api):
    text = '{"name": "17_sky", "arguments": ' + "[" * 5000 + "]" * 5000 + "}"
    headers = {"Content-Type": "application/json"}
    problem(api.ask("/jobs", method="POST", data=text, headers=headers, scope="write"), 400)


def test_a_job_goes_its_way_and_the_same_request_is_one_job(api):
    asked = {**JOB, "arguments": {**JOB["arguments"], "white": 1.5}}
    made = [api.ask("/jobs", method="POST", json=asked, scope="write").json() for _ in range(2)]
    assert made[0] == made[1]
    job = made[0]["job"]
    assert made[0]["unit"] == UNIT
    for action, state in (
        ("release", "ready"),
        ("hold", "held"),
        ("cancel", "cancelled"),
        ("retry", "ready"),
    ):
        assert api.ask(f"/jobs/{job}/{action}", method="POST", scope="write").json()["state"] == state
    assert (
        "cannot be released"
        in problem(api.ask(f"/jobs/{job}/release", method="POST", scope="write"), 409)["error"]
    )
    followed = api.ask(f"/jobs/{job}/progress", params={"seconds": 0.2})
    assert followed.headers["content-type"].startswith("text/event-stream")
    assert (
        json.loads(
            re.search("event: progress\ndata: (.*)|data: (.*)\n", followed.text)[0].split("data: ")[1]
        )["state"]
        == "ready"
    )
    api.ask(f"/jobs/{job}/cancel", method="POST", scope="write")
    assert "event: end" in api.ask(f"/jobs/{job}/progress").text
    assert api.ask(f"/jobs/{job}/remove", method="POST", scope="write").json()["state"] == "removed"
    assert job not in [row["job"] for row in api.ask("/jobs").json()["jobs"]]
    states = [event["after"] for event in api.ask(f"/jobs/{job}/events").json()]
    assert states == ["held", "ready", "held", "cancelled", "ready", "cancelled", "removed"]
    assert [event["actor"] for event in api.ask(f"/jobs/{job}/events").json()] == ["a-write"] * 7


def test_another_package_brings_a_part_by_its_entry_point(api):
    assert api.ask("/periods/3", scope="write").json() == {"period": 1.5}
    problem(api.ask("/periods/3"), 401)
    problem(api.ask("/periods/x", scope="write"), 422)
    assert problem(api.ask("/periods/10", scope="write"), 404)["next"] == "Ask for another."


def test_schemas_of_notebooks_are_those_that_jobs_are_held_against(api):
    schema = api.ask("/notebooks/17_sky/schema").json()
    assert schema["properties"]["white"]["type"] == "number"
    listed = api.ask("/notebooks").json()
    assert {"kind": "pipeline", "name": "photometry", "schema_at": "/pipelines/photometry/schema"} in listed
    assert api.ask("/pipelines/photometry/schema").json()["title"] == "photometry"


def test_a_request_that_is_too_large_is_refused(api):
    large = {"Content-Type": "application/json"}
    problem(api.ask("/products", headers={"X-Large": "x" * 40_000}), 431)
    problem(api.ask("/products", headers={f"X-{n}": "x" for n in range(120)}), 431)
    problem(api.ask("/products?" + "x" * 40_000), 431)
    assert b" 431 " in api.raw(b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * 100_000)
    body = b'{"name": "' + b"x" * 1_100_000 + b'"}'
    problem(api.ask("/jobs", method="POST", data=body, headers=large, scope="write"), 413)
    parts = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    problem(api.ask("/jobs", method="POST", data=parts, headers=large, scope="write"), 413)
    assert b" 400 " in api.raw(b"this is no HTTP\r\n\r\n")


def test_whoever_is_slow_is_left(api):
    assert api.raw(b"") == b""
    assert b" 408 " in api.raw(b"GET / HTTP/1.1\r\nHost: x\r\n")
    token = api.tokens["write"]
    head = f"POST /jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    assert b" 408 " in api.raw(head.encode())


def test_answers_carry_what_keeps_browsers_safe_and_their_number(api):
    answer = api.ask("/health", headers={"X-Request-ID": "my-number-1"})
    assert answer.headers["x-request-id"] == "my-number-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert re.fullmatch(
        "[0-9a-f]{16}", api.ask("/health", headers={"X-Request-ID": "a b"}).headers["x-request-id"]
    )
    problem(api.ask("/health", method="DELETE"), 405)


def test_the_reference_shows_every_route_and_asks_nothing_elsewhere(api):
    page = api.ask("/docs")
    assert api.ask("/").headers["location"] == "/docs"
    addresses = set(re.findall(r"(?:src|href)=\"?([^\"> ]+)", page.text)) - {f"{api.url}/openapi.json"}
    assert all(address.startswith("#") for address in addresses)
    assert "<script" not in page.text
    for path, methods in api.ask("/openapi.json").json()["paths"].items():
        for method, route in methods.items():
            assert f"{method.upper()} {path}" in page.text
            assert route.get("description"), path
            given = [answer for status, answer in route["responses"].items() if "20" <= status < "30"]
            assert given, path
            contents = [content for answer in given for content in answer.get("content", {}).values()]
            # How a stream is made of items can be told in OpenAPI 3.2 alone; this is 3.1.
            assert contents, path
            assert all(content.keys() == {"schema"} and content["schema"] for content in contents), path
            for parameter in route.get("parameters", []) if "/periods" not in path else ():
                assert parameter.get("description") or parameter["schema"].get("description"), (
                    path,
                    parameter,
                )


def test_health_names_each_part_and_metrics_count(api):
    told = api.ask("/health").json()
    assert told["ok"]
    assert set(told["parts"]) == {"database", "store", "scheduler", "disk"}
    assert all(part["ms"] >= 0 for part in told["parts"].values())
    assert told["parts"]["disk"]["facts"]["free_bytes"] > 0
    asked = api.ask("/health", method="HEAD")
    assert (asked.status_code, asked.content) == (200, b"")
    api.ask("/jobs", method="POST", json={**JOB, "queue": "counted"}, scope="write")
    lines = api.ask("/metrics").text
    assert 'tasoc_products{product="sky"} 1.0' in lines
    assert re.search(r'tasoc_requests_total\{method="GET",route="/health",status="200"\} [1-9]', lines)
    assert re.search(r'tasoc_jobs\{queue="\w+",state="held"\} [1-9]', lines)
    assert "process_resident_memory_bytes" in lines


def test_a_database_that_goes_and_comes_back_needs_no_restart(api, here):
    there, away = here / "tables", here / "away"
    there.rename(away)
    try:
        gone = api.ask("/products")
        assert "expected a disk that stays" in problem(gone, 503)["error"]
        assert int(gone.headers["retry-after"]) > 0
        problem(api.ask("/jobs", method="POST", json=JOB, scope="write"), 503)
        health = api.ask("/health")
        assert health.status_code == 503
        assert [name for name, part in health.json()["parts"].items() if not part["ok"]][:1] == ["database"]
        assert not there.exists()
    finally:
        away.rename(there)
    assert api.ask("/products").status_code == 200
    assert api.ask("/health").status_code == 200


def test_a_store_that_goes_and_comes_back_needs_no_restart(api, here):
    there, away = here / "store", here / "store-away"
    there.rename(away)
    try:
        gone = api.ask(f"/products/sky/{UNIT}/current")
        assert "it is not there" in problem(gone, 503)["error"]
        assert int(gone.headers["retry-after"]) > 0
        assert not api.ask("/health").json()["parts"]["store"]["ok"]
    finally:
        away.rename(there)
    assert api.ask(f"/products/sky/{UNIT}/current").status_code == 200


def test_two_servers_share_one_sqlite_and_limit_who_asks_too_often(api, served, here):
    folder, variables, _ = served
    options = ("--no-public", "--workers=2", "--limit=rate=0.05", "--limit=burst=6")
    with running_api(folder, *options, environment=variables, known=api.tokens) as second:
        problem(second.ask("/products"), 401)
        asked = {**JOB, "queue": "of-two"}
        made = second.ask("/jobs", method="POST", json=asked, scope="write").json()["job"]
        assert api.ask("/jobs", method="POST", json=asked, scope="write").json()["job"] == made
        shared = {"headers": {"Authorization": f"Bearer {tokens.make_token('of both')}"}}
        assert (
            api.ask("/products", **shared).status_code == second.ask("/products", **shared).status_code == 200
        )
        tokens.revoke_token(int(tokens.list_tokens()["token"].iloc[0]))
        for server in (api, second):
            problem(server.ask("/products", **shared), 401)
        refused = [second.ask("/products", scope="admin") for _ in range(30)][-1]
        assert "per second" in problem(refused, 429)["error"]
        assert int(refused.headers["retry-after"]) >= 1


def test_several_processes_count_together(served, tmp_path):
    with running_api(tmp_path, "--workers=2", "--limit=rate=0", environment=served[1], known={}) as several:
        for _ in range(20):
            assert several.ask("/products").status_code == 200
        for _ in range(6):
            lines = several.ask("/metrics").text
            assert 'tasoc_requests_total{method="GET",route="/products",status="200"} 20.0' in lines
            assert re.search(r"^process_resident_memory_bytes [1-9]", lines, re.MULTILINE)


def test_no_token_is_in_the_log(api, here):
    api.ask("/products", params={"token": api.tokens["admin"]}, scope="admin")
    api.ask("/login", params={"token": api.tokens["admin"]})
    assert "GET /login 303" in api.log
    assert not [scope for scope, token in api.tokens.items() if token[-20:] in api.log]
    with connect().connect() as connection:
        kept = connection.execute(sa.text("SELECT * FROM tokens")).all()
    assert not [row for row in kept if any(token[6:] in str(row) for token in api.tokens.values())]


@pytest.mark.parametrize("unit", sorted({variable.unit for variable in vocabulary.VARIABLES.values()}))
def test_every_unit_of_the_vocabulary_can_be_written_to_every_format(unit):
    assert isinstance(formats._fits_unit(unit), str | None)
    assert isinstance(votable._vo_unit(unit), str)
