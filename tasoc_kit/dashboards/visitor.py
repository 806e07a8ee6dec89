"""Who looks at a page, and what they may: the same identities as at the API.

Who started the server gets an address with a token of that start, which opens a session for their
browser; everybody else reads, where that is open to all. See ``let_in``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import panel as pn
from tornado.httputil import HTTPHeaders
from tornado.web import OutputTransform, RequestHandler

from tasoc_kit import hub_users
from tasoc_kit.config import local_user, settings
from tasoc_kit.dashboards import page_list, theme
from tasoc_kit.dashboards.later import on_page
from tasoc_kit.errors import TasocKitError
from tasoc_kit.identity import (
    LOGIN_COOKIE,
    LOGIN_SECONDS,
    NOBODY,
    PAGES_COOKIE,
    READER,
    SESSION_SECONDS,
    Identity,
    begin_at_hub,
    by_https,
    end_at_hub,
    new_session,
    of_cookie,
    start_token,
)

__all__ = [
    "SIGN_IN",
    "FromHub",
    "Guarded",
    "SignIn",
    "admitted",
    "check_write",
    "handlers",
    "identity",
    "let_in",
    "may_write",
    "name",
    "open_to",
    "sign_in_address",
    "words_for_signing_in",
]

_LOOK = 10_000
"""Milliseconds between two looks at whether a session goes on."""
SIGN_IN = "sign-in"
"""Last part of the address that opens a session: ``./sign-in?token=…``."""

_HOW = (
    "Open the address that 'tasoc dashboard' printed when it started, or /sign-in?token=… of this server "
    "with a token: tasoc token create NAME --scope write."
)


_LET_IN: dict[str, Identity] = {"everybody": Identity(local_user(), "write", "start")}
"""As whom those count who show nothing: in a kernel its owner; a server says otherwise."""


def let_in(everybody: Identity) -> None:
    """Say as whom those count who show nothing: ``READER``, ``NOBODY``, or one who may write."""
    _LET_IN["everybody"] = everybody


def identity() -> Identity:
    """Return who looks at the page that is open; where a database does not answer, who shows nothing."""
    everybody = _LET_IN["everybody"]
    cookie = (pn.state.cookies or {}).get(PAGES_COOKIE)
    if not cookie:
        return everybody
    try:
        return of_cookie(cookie) or everybody
    except TasocKitError:
        return everybody


def may_write() -> bool:
    """Tell whether who looks at the page may change what others see."""
    return identity().may("write")


def check_write(what: str) -> None:
    """
    Raise where who looks at the page may not change what others see.

    Raises
    ------
    TasocKitError
        Naming what was not kept, and how to sign in.
    """
    if not may_write():
        raise TasocKitError(f"{what}: it is not kept, as this browser may only look. {_HOW}")


def name() -> str:
    """Return the name of who signed in with a token or by the Hub; empty for all others."""
    who = identity()
    return who.name if who.source in ("token", "hub") else ""


def open_to(address: str, socket: str = "") -> None:
    """
    Let everybody read who can reach an address, or nobody: by ``TASOC_PUBLIC``, else if it is loopback.

    Behind a Hub its proxy stands on loopback, and brings anybody: they sign in first.

    Parameters
    ----------
    address
        Where the server listens.
    socket
        The Unix socket where it listens in place of that: who may open the file is its owner, and writes.
    """
    if socket:
        let_in(Identity(local_user(), "write", "start"))
        return
    loopback = address == "localhost" or address.startswith("127.") or address == "::1"
    public = settings().public
    near = loopback and not public and not hub_users.behind_hub()
    let_in(READER if public == "read" or near else NOBODY)


def admitted(slug: str, page: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that makes a page for those who may read, and for others one that says so."""

    def make() -> Any:
        if identity().may("read"):
            shown = page()
            _end_with_session()
            return shown
        title = page_list.pages()[slug].title
        how = "The Hub knows who you are." if hub_users.behind_hub() else _HOW
        closed = [theme.empty("Sign in to see this", f"This server shows its pages to those it knows. {how}")]
        if hub_users.behind_hub():
            closed.append(theme.markup(theme.button_link("Sign in", f"./{SIGN_IN}")))
        return theme.make_page(slug, main=[theme.heading(title), *closed])

    return make


def _end_with_session() -> None:
    """Let the page that is made end when its session does: by time, or as its token was revoked."""
    document, cookie = pn.state.curdoc, (pn.state.cookies or {}).get(PAGES_COOKIE)
    if document is None or not cookie or _LET_IN["everybody"].may("read"):
        return

    async def look() -> None:
        try:
            who = await asyncio.to_thread(of_cookie, cookie)
        except TasocKitError:
            return  # a database that does not answer puts nobody out
        if who is None:
            on_page(document, theme.end_page)

    pn.state.add_periodic_callback(look, period=_LOOK)


def sign_in_address(url: str) -> str:
    """Return the address that opens a session for who started this server."""
    return f"{url}{SIGN_IN}?token={start_token()}"


def words_for_signing_in() -> str:
    """Return what to do to be allowed to write."""
    return "This browser may look, and not change. " + _HOW


class Guarded(OutputTransform):
    """Headers of every answer: no other site shows our pages inside of its own, or guesses what a file is."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add them."""
        headers["Content-Security-Policy"] = "frame-ancestors 'self'"
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Referrer-Policy", "same-origin")
        return status_code, headers, chunk


class SignIn(RequestHandler):
    """Open a session for a browser that shows a token once, or that the Hub knows."""

    def prepare(self) -> None:
        """Take the question out of the address, which stands in the log where something is wrong with it."""
        self.request.uri = self.request.path

    def get(self) -> None:
        """Take the token out of the address, or ask the Hub for one."""
        token = self.get_query_argument("token", "")
        try:
            if token or not hub_users.behind_hub():
                self._enter(token)
            else:
                self._ask_the_hub()
        except TasocKitError as error:
            self._say(503, str(error))

    def _ask_the_hub(self) -> None:
        address, begun = begin_at_hub("./overview")
        self._set(LOGIN_COOKIE, begun, LOGIN_SECONDS, "Lax")
        self.redirect(address)

    def _enter(self, token: str, page: str = "./overview") -> None:
        session = new_session(token)
        if session is None:
            self._say(
                403, "token: it is not known, or not good any more; expected one of 'tasoc token create'."
            )
            return
        self._set(PAGES_COOKIE, session, SESSION_SECONDS, "Strict")
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect(page)

    def _set(self, name: str, value: str, seconds: int, same_site: str) -> None:
        self.set_cookie(
            name, value, path=self._folder(), max_age=seconds, httponly=True, samesite=same_site,
            secure=by_https(self.request.protocol, self.request.headers.get("X-Forwarded-Proto")),
        )  # fmt: skip

    def _folder(self) -> str:
        """Return the path below which this server is, so that others of the host do not see the cookie."""
        return f"{self.request.path.rpartition('/')[0]}/"

    def _say(self, status: int, text: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(text)

    def data_received(self, chunk: Any) -> None:
        """Take no body."""


class FromHub(SignIn):
    """Take in a browser that the Hub sends back."""

    def get(self) -> None:
        """Redeem the code of the Hub, for the browser that asked and no other."""
        code, state = (self.get_query_argument(name, "") for name in ("code", "state"))
        try:
            ended = end_at_hub(code, state, self.get_cookie(LOGIN_COOKIE))
            if ended is None:
                self._say(
                    403, f"sign-in: this is no answer to a question of this browser. Begin at /{SIGN_IN}."
                )
                return
            self.clear_cookie(LOGIN_COOKIE, path=self._folder())
            self._enter(*ended)
        except TasocKitError as error:
            self._say(503, str(error))


def handlers() -> list[tuple[str, type[RequestHandler]]]:
    """Return what a server has beside its pages, so that people can sign in."""
    return [(f"/{SIGN_IN}", SignIn), ("/oauth_callback", FromHub)]
