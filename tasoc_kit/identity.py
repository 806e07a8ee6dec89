"""Who asks, and what they may: the same for programs at the API and for people at a page.

Programs show a token each time. A browser shows one once and gets a *session*: a signed cookie that
holds no secret of its own but says by which token it was opened, so it ends with that token. Behind
a JupyterHub the Hub says who somebody is, see ``hub_users``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tasoc_kit import hub_users
from tasoc_kit.config import local_user
from tasoc_kit.errors import TasocKitError
from tasoc_kit.records.tokens import PREFIX, SCOPES, find_token, token_of_hash

__all__ = [
    "API_COOKIE",
    "LOGIN_COOKIE",
    "LOGIN_SECONDS",
    "NOBODY",
    "PAGES_COOKIE",
    "READER",
    "SCOPES",
    "SESSION_SECONDS",
    "Identity",
    "begin_at_hub",
    "by_https",
    "by_token",
    "end_at_hub",
    "new_session",
    "of_cookie",
    "session_key",
    "sign",
    "start_token",
    "verified",
]

API_COOKIE, PAGES_COOKIE = "tasoc-api", "tasoc-pages"
"""Cookies of a session, one for each server, as a browser keeps those of all ports of a host together.

Give them ``HttpOnly`` and ``SameSite=Strict``.
"""

SESSION_SECONDS = 12 * 3600

LOGIN_COOKIE = "tasoc-state"
"""Cookie of a browser that is at the Hub to sign in; give it ``HttpOnly`` and ``SameSite=Lax``."""

LOGIN_SECONDS = 600
_SHORTEST_KEY = 32
_LONGEST = 8192
"""Characters of a cookie or a token that are looked at."""


@dataclass(frozen=True)
class Identity:
    """Somebody, and the widest of the ``SCOPES`` that they have."""

    name: str
    scope: str
    """Empty for none."""
    source: str
    """How they are known: ``token``, ``start``, ``hub``, or ``nobody`` where they showed nothing."""

    def may(self, scope: str) -> bool:
        """Tell whether what they have allows this."""
        return self.scope in SCOPES and SCOPES.index(self.scope) >= SCOPES.index(scope)

    def may_change(self, submitter: str) -> bool:
        """Tell whether they may change a job that somebody asked for: their own, or as an admin."""
        return self.may("admin") or (self.may("write") and self.name == submitter)


NOBODY = Identity("", "", "nobody")
"""Who showed nothing, where that lets nobody in."""
READER = Identity("", "read", "nobody")
"""Who showed nothing, where anybody may read."""


@lru_cache(maxsize=1)
def session_key() -> bytes:
    """
    Return what signs cookies: that of ``TASOC_SESSION_KEY`` where processes share it, else our own.

    Raises
    ------
    TasocKitError
        If the one that is given is too short.
    """
    given = os.environ.get("TASOC_SESSION_KEY", "")
    if 0 < len(given) < _SHORTEST_KEY:
        raise TasocKitError(
            f"TASOC_SESSION_KEY has {len(given)} characters; expected {_SHORTEST_KEY} at least. "
            "Take those of 'openssl rand -hex 32', or leave it out."
        )
    return hashlib.sha256(given.encode()).digest() if given else secrets.token_bytes(32)


@lru_cache(maxsize=1)
def start_token() -> str:
    """Return the token that is good for as long as this process runs; whoever started it is told."""
    return PREFIX + secrets.token_urlsafe(32)


def _started() -> Identity:
    # By the name that has what this person submits at the command line.
    return Identity(local_user(), "write", "start")


def by_token(token: str, *, url: str | None = None) -> Identity | None:
    """
    Return who shows this token, or None where it is not good, or not any more.

    Raises
    ------
    OutOfReachError
        If the database, or the Hub that must be asked, does not answer.
    """
    if not token or len(token) > _LONGEST or not token.isascii():
        return None
    if hmac.compare_digest(token.encode(), start_token().encode()):
        return _started()
    if token.startswith(PREFIX) or not hub_users.behind_hub():
        row = find_token(token, url=url)
        return None if row is None else Identity(row["name"], row["scope"], "token")
    user = hub_users.user_of(token)
    return None if user is None else Identity(*user, "hub")


def new_session(token: str, *, url: str | None = None) -> str | None:
    """Return the value of a cookie for whoever shows this token, or None where it is not good."""
    found = by_token(token, url=url)
    if found is None:
        return None
    if found.source == "token":
        row = find_token(token, url=url)
        return None if row is None else sign({"hash": row["hash"]})
    # The cookie of a Hub's user holds the token that the Hub gave for this service alone.
    return sign({"hub": token} if found.source == "hub" else {"start": True})


def of_cookie(value: str | None, *, url: str | None = None) -> Identity | None:
    """Return whose session this is, or None where it is none, has ended, or its token has."""
    content = verified(value)
    if content.get("start"):
        return _started()
    if "hub" in content:
        return by_token(content["hub"], url=url)
    row = token_of_hash(content["hash"], url=url) if "hash" in content else None
    return None if row is None else Identity(row["name"], row["scope"], "token")


def begin_at_hub(wanted: str) -> tuple[str, str]:
    """Return where at the Hub a browser signs in, and its cookie until it is back."""
    state = secrets.token_urlsafe(24)
    address, verifier = hub_users.login_address(state)
    return address, sign({"state": state, "verifier": verifier, "next": wanted}, LOGIN_SECONDS)


def end_at_hub(code: str, state: str, cookie: str | None) -> tuple[str, str] | None:
    """
    Return the Hub's token for the browser that comes back, and where it wanted to go; None for another one.

    Raises
    ------
    OutOfReachError
        If the Hub does not answer, or does not know the code.
    """
    begun = verified(cookie)
    if not code or "state" not in begun or not hmac.compare_digest(begun["state"].encode(), state.encode()):
        return None
    return hub_users.token_for_code(code, begun["verifier"]), begun["next"]


def by_https(scheme: str, forwarded: str | None) -> bool:
    """
    Tell whether a browser came encrypted, so that its cookie may be for such ways alone.

    Parameters
    ----------
    scheme
        How this server was reached.
    forwarded
        ``X-Forwarded-Proto``: how the first proxy in front was, then those behind it. Whoever writes it
        untruly only keeps a cookie from themselves.
    """
    return "https" in (scheme, (forwarded or "").partition(",")[0].strip().lower())


def sign(content: dict[str, Any], seconds: float = SESSION_SECONDS) -> str:
    """Return a text that only this server can have written, and that ends after some seconds."""
    text = json.dumps(content | {"ends": time.time() + seconds}).encode()
    return f"{_text(text)}.{_text(_seal(text))}"


def verified(value: str | None) -> dict[str, Any]:
    """Return what was signed; empty where somebody else wrote it, or it has ended."""
    if not value or len(value) > _LONGEST or not value.isascii():
        return {}
    text, _, seal = value.partition(".")
    try:
        written = base64.urlsafe_b64decode(text)
        if not hmac.compare_digest(_text(_seal(written)), seal):
            return {}
    except ValueError:
        return {}
    content: dict[str, Any] = json.loads(written)
    return content if content["ends"] > time.time() else {}


def _seal(text: bytes) -> bytes:
    return hmac.new(session_key(), text, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
