"""How a browser is let in: it shows a token once, or is sent to the JupyterHub, and gets a cookie."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from tasoc_kit import hub_users
from tasoc_kit.api.problems import Problem
from tasoc_kit.identity import (
    API_COOKIE,
    LOGIN_COOKIE,
    LOGIN_SECONDS,
    SESSION_SECONDS,
    begin_at_hub,
    by_https,
    end_at_hub,
    new_session,
)

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


def _place(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/"


def _inside(request: Request, wanted: str) -> str:
    """Return an address of this server; whatever leads elsewhere becomes the first page."""
    place = _place(request)
    plain = wanted.isascii() and wanted.isprintable() and not any(sign in wanted for sign in "\\\r\n")
    return wanted if plain and wanted.startswith(place) and not wanted.startswith("//") else f"{place}docs"


def _signed_in(request: Request, token: str, wanted: str) -> RedirectResponse:
    session = new_session(token)
    if session is None:
        raise Problem(
            401,
            "login: the token is not known, or may not come here; expected one that is good. "
            "Make one with 'tasoc token create', or sign in again.",
        )
    return _with_cookie(request, _inside(request, wanted), API_COOKIE, session, SESSION_SECONDS, "strict")


def _with_cookie(
    request: Request, address: str, name: str, value: str, seconds: int, same_site: Literal["strict", "lax"]
) -> RedirectResponse:
    """Return an answer that leads on and leaves a cookie, which only this server and no script sees."""
    leave = RedirectResponse(address, status_code=303)
    leave.set_cookie(
        name,
        value,
        max_age=seconds,
        path=_place(request),
        secure=by_https(request.url.scheme, request.headers.get("x-forwarded-proto")),
        httponly=True,
        samesite=same_site,
    )
    return leave


@router.get("/login")
def login(
    request: Request,
    token: Annotated[str, Query(max_length=1024)] = "",
    next: Annotated[str, Query(max_length=2048)] = "",
) -> RedirectResponse:
    """Take a token and give a session, or ask the Hub who this is."""
    if token:
        return _signed_in(request, token, next)
    if not hub_users.behind_hub():
        raise Problem(
            401, "login: no token came; expected one in the address. Make one with 'tasoc token create NAME'."
        )
    address, begun = begin_at_hub(_inside(request, next))
    return _with_cookie(request, address, LOGIN_COOKIE, begun, LOGIN_SECONDS, "lax")


@router.get("/oauth_callback")
def oauth_callback(
    request: Request,
    code: Annotated[str, Query(max_length=1024)] = "",
    state: Annotated[str, Query(max_length=1024)] = "",
) -> RedirectResponse:
    """Redeem what the Hub gave, for the browser that asked and no other."""
    ended = end_at_hub(code, state, request.cookies.get(LOGIN_COOKIE))
    if ended is None:
        raise Problem(401, "login: this is no answer to a question of this browser. Begin again at /login.")
    leave = _signed_in(request, *ended)
    leave.delete_cookie(LOGIN_COOKIE, path=_place(request))
    return leave


@router.post("/logout")
def logout(request: Request) -> RedirectResponse:
    """Forget the session of this browser."""
    leave = RedirectResponse(f"{_place(request)}docs", status_code=303)
    leave.delete_cookie(API_COOKIE, path=_place(request))
    return leave
