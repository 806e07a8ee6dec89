"""Who looks at a page, and what they may: the same identities as at the API.

Who started the server gets an address with a token of that start, which opens a session for their
browser; everybody else reads, where that is open to all. See ``let_in``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
from tornado.web import RequestHandler

from tasoc_kit.config import settings
from tasoc_kit.dashboards import page_list, theme
from tasoc_kit.errors import TasocKitError
from tasoc_kit.identity import (
    COOKIE,
    NOBODY,
    READER,
    SESSION_SECONDS,
    Identity,
    new_session,
    of_cookie,
    start_token,
)

__all__ = [
    "SIGN_IN",
    "SignIn",
    "admitted",
    "identity",
    "let_in",
    "may_write",
    "open_to",
    "sign_in_address",
    "words_for_signing_in",
]

SIGN_IN = "sign-in"
"""Last part of the address that opens a session: ``./sign-in?token=…``."""

_HOW = (
    "Open the address that 'tasoc dashboard' printed when it started, or /sign-in?token=… of this server "
    "with a token: tasoc token create NAME --scope write."
)

_LET_IN: dict[str, Identity] = {"everybody": READER}


def let_in(everybody: Identity) -> None:
    """Say as whom those count who show nothing: ``READER``, ``NOBODY``, or one who may write."""
    _LET_IN["everybody"] = everybody


def identity() -> Identity:
    """Return who looks at the page that is open; where a database does not answer, who shows nothing."""
    everybody = _LET_IN["everybody"]
    cookie = (pn.state.cookies or {}).get(COOKIE)
    if not cookie:
        return everybody
    try:
        return of_cookie(cookie) or everybody
    except TasocKitError:
        return everybody


def may_write() -> bool:
    """Tell whether who looks at the page may change what others see."""
    return identity().may("write")


def open_to(address: str) -> None:
    """
    Let everybody read who can reach an address, or nobody: by ``TASOC_PUBLIC``, else if it is loopback.

    Parameters
    ----------
    address
        Where the server listens.
    """
    loopback = address == "localhost" or address.startswith("127.") or address == "::1"
    public = settings().public
    let_in(READER if public == "read" or (loopback and not public) else NOBODY)


def admitted(slug: str, page: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that makes a page for those who may read, and for others one that says so."""

    def make() -> Any:
        if identity().may("read"):
            return page()
        title = page_list.pages()[slug].title
        closed = theme.empty("Sign in to see this", "This server shows its pages to those it knows. " + _HOW)
        return theme.make_page(slug, main=[theme.heading(title), closed])

    return make


def sign_in_address(url: str) -> str:
    """Return the address that opens a session for who started this server."""
    return f"{url}{SIGN_IN}?token={start_token()}"


def words_for_signing_in() -> str:
    """Return what to do to be allowed to write."""
    return "This browser may look, and not change. " + _HOW


class SignIn(RequestHandler):
    """Open a session for a browser that shows a token once, and lead it to the first page."""

    def get(self) -> None:
        """Set the cookie of the session; the token leaves the address."""
        try:
            session = new_session(self.get_query_argument("token", ""))
        except TasocKitError as error:
            self._say(503, str(error))
            return
        if session is None:
            self._say(
                403, "token: it is not known, or not good any more; expected one of 'tasoc token create'."
            )
            return
        self.set_cookie(
            COOKIE, session, path="/", max_age=SESSION_SECONDS, httponly=True, samesite="Strict",
            secure=self.request.protocol == "https",
        )  # fmt: skip
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect("./overview")

    def _say(self, status: int, text: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(text)

    def data_received(self, chunk: Any) -> None:
        """Take no body."""
