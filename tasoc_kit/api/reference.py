"""The reference of the API for people: one plain page made from its OpenAPI, which asks nothing elsewhere."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, Template

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@lru_cache(maxsize=1)
def _template() -> Template:
    text = (files("tasoc_kit.api") / "reference.html").read_text()
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


@router.get("/")
def first(request: Request) -> RedirectResponse:
    """Lead to the reference."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs", status_code=303)


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Show every route: what it takes, what it gives, and a line that asks for it."""
    schema, base = request.app.openapi(), str(request.base_url).rstrip("/")
    nonce = secrets.token_urlsafe(16)
    groups: dict[str, list[dict[str, Any]]] = {}
    for route in _routes(schema, base):
        groups.setdefault(route["tag"], []).append(route)
    page = _template().render(info=schema["info"], groups=groups, nonce=nonce, base=base)
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def _routes(schema: dict[str, Any], base: str) -> Iterator[dict[str, Any]]:
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            body = route.get("requestBody", {}).get("content", {})
            yield {
                "tag": next(iter(route.get("tags", ())), "other"),
                "method": method.upper(),
                "path": path,
                "summary": route.get("summary", ""),
                "text": route.get("description", ""),
                "parameters": [_parameter(given) for given in route.get("parameters", ())],
                "bodies": sorted(body),
                "example": _example(method, f"{base}{path}", route, body),
            }


def _parameter(given: dict[str, Any]) -> dict[str, Any]:
    schema = given.get("schema", {})
    kinds = [one.get("type", "") for one in schema.get("anyOf", [schema])]
    return {
        "name": given["name"],
        "place": given["in"],
        "kind": " or ".join(kind for kind in kinds if kind and kind != "null"),
        "usual": "required" if given.get("required") else _shown(schema.get("default")),
        "text": given.get("description", ""),
    }


def _shown(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _example(method: str, address: str, route: dict[str, Any], body: dict[str, Any]) -> str:
    """Return a line for a shell, with the first example of whatever must be given."""
    asked = []
    for given in route.get("parameters", ()):
        found = _first_example(given)
        if given["in"] == "path":
            address = address.replace("{" + given["name"] + "}", str(found)) if found else address
        elif given.get("required"):
            asked.append(f"{given['name']}={'…' if found is None else found}")
    address += "?" + "&".join(asked) if asked else ""
    words = ["curl"] + ([f"-X {method.upper()}"] if method not in ("get", "head") else [])
    if route.get("security") and method not in ("get", "head"):
        words.append('-H "Authorization: Bearer $TASOC_TOKEN"')
    if "application/json" in body:
        example = body["application/json"].get("example") or {}
        words.append(f"--json '{json.dumps(example)}'")
    return " ".join([*words, f"'{address}'"])


def _first_example(given: dict[str, Any]) -> Any:
    named = [one.get("value") for one in given.get("examples", {}).values() if isinstance(one, dict)]
    return next(iter([*named, *given.get("schema", {}).get("examples", ())]), given.get("example"))
