"""Who somebody is, as the JupyterHub says behind which we are served.

The Hub starts its services with ``JUPYTERHUB_API_TOKEN`` and ``JUPYTERHUB_SERVICE_PREFIX`` in the
environment. What it says of a token is kept for a minute. Its admins are ours; its users write.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from tasoc_kit.errors import OutOfReachError, TasocKitError
from tasoc_kit.pipeline.bound import die_with

__all__ = ["behind_hub", "end_with_hub", "login_address", "prefix", "token_for_code", "user_of"]

_SECONDS_KEPT = 60


def behind_hub() -> bool:
    """Tell whether a Hub started this process as one of its services."""
    return bool(os.environ.get("JUPYTERHUB_API_TOKEN") and prefix())


def prefix() -> str:
    """Return the path below which the Hub serves us, as ``/services/api/``; empty without a Hub."""
    return os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "")


def end_with_hub() -> None:
    """Let this process end when the Hub that started it does, even killed: the next Hub starts another."""
    if behind_hub():
        die_with(os.getppid())


@lru_cache(maxsize=1)
def _hub() -> Any:
    try:
        from jupyterhub.services.auth import HubOAuth
    except ImportError as error:
        raise TasocKitError(
            f"Hub: {error}; expected jupyterhub where a Hub starts this. Install the extra 'hub'."
        ) from None
    return HubOAuth(cache_max_age=_SECONDS_KEPT)


def _asked(question: str, *arguments: Any, **options: Any) -> Any:
    """Return what the Hub answers."""
    from tornado.web import HTTPError

    try:
        return getattr(_hub(), question)(*arguments, **options)
    except HTTPError as error:
        raise OutOfReachError(
            f"Hub: it could not say who this is ({error.log_message or error}); expected an answer. "
            "Try again in a moment, or sign in again."
        ) from error


def user_of(token: str) -> tuple[str, str] | None:
    """
    Return name and scope of whoever has this token of the Hub, or None where they may not come here.

    Raises
    ------
    OutOfReachError
        If the Hub does not answer.
    """
    user = _asked("user_for_token", token)
    if not user or not _hub().check_scopes(_hub().access_scopes, user):
        return None
    return user["name"], "admin" if user.get("admin") else "write"


def login_address(state: str) -> tuple[str, str]:
    """Return where the Hub signs people in, and the secret by which its answer is redeemed."""
    verifier, challenge, method = _hub().generate_pkce_code_challenge()
    asked = {"state": state, "code_challenge": challenge, "code_challenge_method": method}
    return f"{_hub().login_url}&{urlencode(asked)}", verifier


def token_for_code(code: str, verifier: str) -> str:
    """
    Return the token for the code with which the Hub sent somebody back.

    Raises
    ------
    OutOfReachError
        If the Hub does not answer, or does not know the code.
    """
    token: str = _asked("token_for_code", code, code_verifier=verifier)
    return token
