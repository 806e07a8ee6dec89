"""The connection to the database: engine, version of the tables, writes that wait their turn.

SQLite in a file by default (write-ahead log, so readers never wait), PostgreSQL by its URL. Every
use opens a connection of its own, so none is shared with a forked process or outlives a file; a
server, which asks a thousand times a second and never forks, may keep its connections. An
empty database is filled with tables when it is first written; one of an older version is left
alone until ``tasoc database upgrade``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from tasoc_kit.config import settings
from tasoc_kit.errors import DatabaseError, OutOfReachError
from tasoc_kit.records.tables import Table, Utc

__all__ = [
    "BUSY_SECONDS",
    "connect",
    "exists",
    "expect",
    "frame",
    "is_near",
    "keep_connections",
    "plain_text",
    "reading",
    "revision",
    "rows",
    "select",
    "upgrade",
    "upsert",
    "writing",
]

BUSY_SECONDS = 10
"""How long a write waits for another one; with SQLite unless the URL has ``?timeout=``."""

_LIBPQ = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""How long a server, or a network, may be silent: seconds, and milliseconds of ``tcp_user_timeout``."""

_WRITE_BOUNDS = {"lock_timeout": f"{BUSY_SECONDS}s", "idle_in_transaction_session_timeout": "60s"} | {
    f"tcp_{name}": str(value) for name, value in _LIBPQ.items() if name.startswith("keepalives")
}
"""
What PostgreSQL keeps to in a write: no long wait for a lock, and none held for long for a process
that is stopped, or a machine that is gone.
"""

_NO_TABLE = re.compile(r"no such (table|column)|(relation|column) .* does not exist")

_ALL_MIGRATIONS = 0x7A50C
"""Key of the PostgreSQL advisory lock that upgrades take turns by."""

_current: set[tuple[str, int]] = set()
"""Databases whose tables were seen to be of the expected version."""

_expected: set[str] = set()
"""Addresses of databases that must not be made anew by this process."""

_pool: dict[str, Any] = {"poolclass": sa.pool.NullPool}
"""How engines hold connections."""


@contextmanager
def _named(engine_url: sa.URL) -> Iterator[None]:
    """Say which database failed, and what to do about it."""
    where = engine_url.render_as_string(hide_password=True)
    try:
        yield
    except (DataError, OverflowError, UnicodeEncodeError) as error:
        problem = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise DatabaseError(
            f"database {where}: {problem}; expected values that its columns can hold. Correct the value."
        ) from error
    except DBAPIError as error:
        problem = str(error.orig).strip().splitlines()[0]
        if "locked" in problem or "lock timeout" in problem:
            action = "end the process that holds it, or wait, and run again"
        elif _NO_TABLE.search(problem):
            action = "run 'tasoc database upgrade'"
        else:
            action = "correct TASOC_DATABASE, the rights or the server, and run again"
        raise OutOfReachError(
            f"database {where}: {problem}; expected a database that can be read and written. "
            f"{action[0].upper()}{action[1:]}."
        ) from error


@lru_cache(maxsize=8)
def _engine(url: str) -> sa.Engine:
    try:
        address = sa.make_url(url)
        if address.get_backend_name() == "postgresql":
            # One ping for each use finds out that a server was started anew before a query does.
            patience = {"connect_args": _postgres_arguments(address), "pool_pre_ping": len(_pool) > 1}
            return sa.create_engine(address, json_serializer=_plain_json, **patience, **_pool)
        patience = {"connect_args": _sqlite_arguments(address)}
        engine = sa.create_engine(address, json_serializer=_plain_json, **patience, **_pool)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise DatabaseError(
            f"database {url.split('@')[-1]!r}: {error}; expected sqlite:///FILE or "
            "postgresql+psycopg://HOST/NAME. Correct TASOC_DATABASE, or install the extra 'postgres'."
        ) from error
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    if len(_pool) > 1 and _sqlite_file(engine):
        _forget_other_files(engine)
    return engine


def keep_connections(number: int = 48) -> None:
    """
    Let this process keep connections open between uses; for servers, before their first use.

    Parameters
    ----------
    number
        Connections that are kept; more are opened where they are needed.
    """
    _pool.update(poolclass=sa.pool.QueuePool, pool_size=number, max_overflow=-1)
    _engine.cache_clear()


def _forget_other_files(engine: sa.Engine) -> None:
    """Use no connection to a file that was removed, or that another one took the place of."""

    def note(_connection: Any, record: Any) -> None:
        record.info["file"] = _identity(engine)

    def check(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info["file"] != _identity(engine):
            raise sa.exc.DisconnectionError("the file is another one")

    sa.event.listen(engine, "connect", note)
    sa.event.listen(engine, "checkout", check)


def _postgres_arguments(address: sa.URL) -> dict[str, Any]:
    """Return how long a connection waits, where the URL leaves it open; other drivers have other words."""
    if not address.get_driver_name().startswith("psycopg"):
        return {}
    return {name: value for name, value in _LIBPQ.items() if name not in address.query}


def _sqlite_arguments(address: sa.URL) -> dict[str, Any]:
    return {} if "timeout" in address.query else {"timeout": BUSY_SECONDS}


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A write that began as a read fails at once when another one ended in between.
    options = connection.get_execution_options()
    # One query alone sees one state of the database without a transaction, too.
    if not options.get("one_query"):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


@lru_cache(maxsize=16)
def _sqlite_file(engine: sa.Engine) -> Path | None:
    database = engine.url.database
    return (
        Path(database) if engine.dialect.name == "sqlite" and database not in (None, "", ":memory:") else None
    )


def connect(url: str | None = None) -> sa.Engine:
    """
    Return the engine of the database; its tables are made if it is empty.

    Parameters
    ----------
    url
        SQLAlchemy URL; by default that of the settings.

    Raises
    ------
    DatabaseError
        If it cannot be reached, or its tables are of another version.
    """
    engine = _engine(url or settings().database)
    if _identity(engine) in _current:
        return engine
    found, expected = revision(engine), _head()
    if not found:
        _refuse_gone(engine)
        upgrade(url)
    elif found != expected:
        older = found < expected
        raise DatabaseError(
            f"database {engine.url.render_as_string()}: its tables are of version {found}; "
            f"expected {expected}. "
            + ("Run 'tasoc database upgrade'." if older else "Install a newer tasoc_kit.")
        )
    _current.add(_identity(engine))
    return engine


def expect(url: str | None = None) -> None:
    """
    Make the tables if there are none; if the file vanishes from now on, say so and make no other.

    For what serves many people: an empty database would look like one where nothing happened.
    """
    _expected.add(_identity(connect(url))[0])


def _refuse_gone(engine: sa.Engine) -> None:
    path = _sqlite_file(engine)
    if path and not path.exists() and _identity(engine)[0] in _expected:
        raise OutOfReachError(
            f"database {engine.url.render_as_string()}: the file is gone; expected a disk that stays. "
            "Bring it back; or start anew, which makes an empty one."
        )


def _identity(engine: sa.Engine) -> tuple[str, int]:
    """Return what names a database for as long as it is the same: a file that is made anew is another."""
    path = _sqlite_file(engine)
    try:
        inode = path.stat().st_ino if path else 0
    except OSError:
        inode = 0
    return _address(engine), inode


@lru_cache(maxsize=16)
def _address(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def revision(engine: sa.Engine) -> str:
    """Return the version of the tables; empty where there are none."""
    path = _sqlite_file(engine)
    if path and not path.exists():
        return ""
    with _named(engine.url), engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return ""
        return connection.scalar(sa.text("SELECT version_num FROM alembic_version")) or ""


def _alembic() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option(
        "script_location", str(files("tasoc_kit.records") / "migrations").replace("%", "%%")
    )
    return config


@lru_cache(maxsize=1)
def _head() -> str:
    """Return the version that this package expects: its newest migration, by file name."""
    versions = (files("tasoc_kit.records") / "migrations" / "versions").iterdir()
    return max(path.name.split("_")[0] for path in versions if path.name[0].isdigit())


def upgrade(url: str | None = None) -> str:
    """Bring the tables to the version of this package and return it; nothing in them is lost."""
    from alembic import command

    engine = _engine(url or settings().database)
    path = _sqlite_file(engine)
    try:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"database {path}: {error}; expected a folder that can be written. Correct TASOC_DATABASE."
        ) from error
    config = _alembic()
    with _named(engine.url), engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALL_MIGRATIONS)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return _head()


@contextmanager
def writing(url: str | None) -> Iterator[Session]:
    """Open a session whose changes are kept when the body ends, and undone when it fails."""
    engine = connect(url)
    with _named(engine.url), Session(engine.execution_options(writes=True)) as session, session.begin():
        if engine.dialect.name == "postgresql":
            bounds = (sa.func.set_config(name, value, True) for name, value in _WRITE_BOUNDS.items())
            session.execute(sa.select(*bounds))
        yield session


@contextmanager
def reading(url: str | None) -> Iterator[Session]:
    """Open a session for several questions; with SQLite they see one state of the database."""
    engine = connect(url)
    with _named(engine.url), Session(engine) as session:
        yield session


def exists(url: str | None) -> bool:
    """Tell whether there is anything to read; reading never makes a database."""
    engine = _engine(url or settings().database)
    if _identity(engine) in _current or revision(engine):
        return True
    _refuse_gone(engine)
    return False


def rows(statement: sa.Select[Any], url: str | None) -> list[Any]:
    """Return what a query finds; nothing where there is no database."""
    if not exists(url):
        return []
    engine = connect(url)
    with _named(engine.url), engine.connect() as connection:
        return list(connection.execute(statement).mappings())


def select(statement: sa.TextClause, values: Mapping[str, Any], url: str | None) -> Sequence[Any]:
    """Return what a query in words of SQL finds, in the order of its columns; nothing without a database."""
    engine = _engine(url or settings().database)
    if _identity(engine) not in _current:
        if not exists(url):
            return []
        connect(url)
    with _named(engine.url), engine.execution_options(one_query=True).connect() as connection:
        if engine.dialect.name == "sqlite":
            # SQLite takes names of values as they are written here, so nothing need be translated.
            return connection.exec_driver_sql(statement.text, dict(values)).all()
        return connection.execute(statement, values).all()


def is_near(url: str | None = None) -> bool:
    """Tell whether the database is a file of this machine, whose readers wait for nobody."""
    return _engine(url or settings().database).dialect.name == "sqlite"


def frame(table: type[Table], statement: sa.Select[Any], url: str | None) -> pd.DataFrame:
    """Return what a query of one table finds, with its columns and times in UTC."""
    columns = table.__table__.columns
    found = pd.DataFrame([dict(row) for row in rows(statement, url)], columns=list(columns.keys()))
    for column in columns:
        if isinstance(column.type, Utc):
            found[column.name] = pd.to_datetime(found[column.name], utc=True)
    return found


def plain_text(text: str) -> str:
    """Return a text as both databases take it: without null characters and halves of characters."""
    return text.replace("\0", "\\0").encode(errors="replace").decode()


def _plain_json(value: Any) -> str:
    """Return JSON as both databases take it: what is no finite number becomes null."""
    text = plain_text(json.dumps(value, ensure_ascii=False))
    return json.dumps(json.loads(text, parse_constant=lambda name: None))


def upsert(session: Session, table: type[Table], rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows; where the primary key exists, replace the other columns."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.__table__.primary_key]
    for row in rows:
        statement = dialect.insert(table).values(**row)
        others = {name: statement.excluded[name] for name in row if name not in keys}
        session.execute(statement.on_conflict_do_update(index_elements=keys, set_=others))
