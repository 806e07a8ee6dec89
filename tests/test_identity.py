"""Who somebody is: tokens, sessions that end with them, and scopes."""

from __future__ import annotations

import base64
import json

import pytest
from command import tasoc

from tasoc_kit import identity
from tasoc_kit.config import local_user
from tasoc_kit.errors import DatabaseError, NotFoundError, TasocKitError, without_secrets
from tasoc_kit.records import tokens


def test_a_scope_holds_those_below_it():
    writer = identity.Identity("somebody", "write", "token")
    assert [writer.may(scope) for scope in identity.SCOPES] == [True, True, False]
    assert not identity.NOBODY.may("read")
    assert identity.READER.may("read")


def test_only_the_hash_of_a_token_is_kept_and_it_finds_its_row():
    token = tokens.make_token("alice", "write", days=1)
    assert len(token) == 49
    assert "hash" not in tokens.list_tokens()
    assert identity.by_token(token) == identity.Identity("alice", "write", "token")
    for other in ("", token[:-1], token + "x", token.upper(), "x" * 10_000, "tasoc_\ud800"):
        assert identity.by_token(other) is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"name": " "}, "expected 1 to 64 characters"),
        ({"name": "x" * 65}, "expected 1 to 64 characters"),
        ({"name": "x", "scope": "all"}, "scope 'all'; expected one of"),
        ({"name": "x", "days": 0}, "days=0; expected above 0"),
        ({"name": "x", "days": float("nan")}, "days=nan"),
        ({"name": "x", "days": 1e9}, "at most 3650"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(values, problem):
    with pytest.raises(DatabaseError, match=problem):
        tokens.make_token(**values)


def test_a_session_ends_with_its_token():
    token = tokens.make_token("bob", "write")
    cookie = identity.new_session(token)
    assert token not in base64.urlsafe_b64decode(cookie.split(".")[0] + "==").decode()
    assert identity.of_cookie(cookie) == identity.Identity("bob", "write", "token")
    tokens.revoke_token(1)
    assert identity.of_cookie(cookie) is None
    assert identity.new_session(token) is None


def test_a_session_that_somebody_else_wrote_is_none():
    token = tokens.make_token("carol", "admin")
    row = json.loads(base64.urlsafe_b64decode(identity.new_session(token).split(".")[0]))
    forged = base64.urlsafe_b64encode(json.dumps(row | {"ends": 1e12}).encode()).decode()
    good = identity.sign({"hash": row["hash"]})
    for cookie in (None, "", ".", forged, f"{forged}.{good.split('.')[1]}", good + "x", "é.é", "x" * 9000):
        assert identity.of_cookie(cookie) is None
    assert identity.of_cookie(good).name == "carol"
    assert identity.of_cookie(identity.sign({"hash": row["hash"]}, seconds=-1)) is None
    assert identity.of_cookie(identity.sign({"state": "of a login"})) is None


def test_a_session_is_of_one_token_and_not_of_its_number_in_another_database(tmp_path):
    first, second = (f"sqlite:///{tmp_path / name}.sqlite" for name in "ab")
    cookie = identity.new_session(tokens.make_token("reader", "read", url=first), url=first)
    tokens.make_token("chief", "admin", url=second)
    assert identity.of_cookie(cookie, url=first).name == "reader"
    assert identity.of_cookie(cookie, url=second) is None


def test_a_key_that_is_too_short_is_refused(monkeypatch):
    monkeypatch.setenv("TASOC_SESSION_KEY", "x" * 31)
    with pytest.raises(TasocKitError, match="has 31 characters; expected 32 at least"):
        identity.session_key.__wrapped__()


def test_nobody_comes_back_from_a_hub_who_was_not_sent_there():
    for cookie in (None, "", identity.sign({"hash": "x"})):
        for state in ("", "-"):
            assert identity.end_at_hub("a code", state, cookie) is None


def test_who_starts_a_server_may_write_with_the_token_of_that_start():
    token = identity.start_token()
    assert token == identity.start_token()
    assert identity.by_token(token) == identity.Identity(local_user(), "write", "start")
    assert identity.of_cookie(identity.new_session(token)).source == "start"


def test_no_message_shows_a_token():
    token = tokens.make_token("dora")
    for text in (f"bad {token!r}", f"http://x/?a=1&token={token}", f"Authorization: Bearer {token}", token):
        assert token[10:] not in without_secrets(text)
    hub = "0123456789abcdef0123456789abcdef"
    assert hub not in without_secrets(f"Authorization: token {hub}")
    assert without_secrets("the token is not known") == "the token is not known"


def test_tokens_are_made_shown_once_listed_and_revoked(monkeypatch, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        return tasoc("token", *words, monkeypatch=monkeypatch, capsys=capsys)

    assert run("create", "[/of] nobody")[0] == 0
    code, out, _ = run("create", "erin", "--scope", "write", "--days", "2")
    token = out.strip()
    assert code == 0
    assert identity.by_token(token).name == "erin"
    listed = run("list")[1]
    assert "erin" in listed
    assert token[6:] not in listed
    assert "[/of] nobody" in listed
    assert run("revoke", "2")[0] == 0
    assert identity.by_token(token) is None
    code, _, errors = run("revoke", "7")
    assert code == 2
    assert "token 7: there is none" in errors
    with pytest.raises(NotFoundError):
        tokens.revoke_token(7)
