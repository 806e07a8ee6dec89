"""Claims about connections: who is slow, silent or takes nothing of an answer keeps no place, no memory."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn

from tasoc_kit.api.connections import Connections
from tasoc_kit.api.limits import Limits

PATIENCE = 60
"""Seconds after which something that should have happened will not."""
LARGE = 64 * 2**20
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


class Answering:
    """An app that answers without a look at the body, and keeps what it was told of each request."""

    def __init__(self) -> None:
        self.heads: list[list[tuple[bytes, bytes]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.heads.append(scope["headers"])
        body = bytes(LARGE) if scope["path"] == "/large" else b"well"
        length = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(app: Any, limits: Limits, loop: Any = "auto") -> Iterator[tuple[uvicorn.Server, int]]:
    """Give a server whose connections keep to limits, and its port."""
    config = uvicorn.Config(
        app, port=0, http=Connections(limits), ws="none", lifespan="off", loop=loop, log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(PATIENCE)


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def connect(port: int, sent: bytes = b"", **options: int) -> socket.socket:
    line = socket.socket()
    for name, value in options.items():
        line.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    line.settimeout(PATIENCE)
    line.connect(("127.0.0.1", port))
    line.sendall(sent)
    return line


def is_answered(port: int) -> bool:
    with connect(port, GET + b"\r\n") as line:
        return line.recv(12) == b"HTTP/1.1 200"


def test_who_says_nothing_keeps_nobody_out():
    with serving(Answering(), Limits(at_once=5)) as (server, port), ExitStack() as silent:
        for _ in range(100):
            silent.enter_context(connect(port))
            assert len(server.server_state.connections) <= 21
        assert all(is_answered(port) for _ in range(30))


def test_a_body_that_nobody_reads_is_let_in_for_a_while_only():
    limits = Limits(header_seconds=0.5)
    with serving(Answering(), limits) as (server, port):
        with connect(port, GET + b"Content-Length: 1000\r\n\r\n") as line:
            assert line.recv(12) == b"HTTP/1.1 200"
            until(lambda: not server.server_state.connections or line.send(b"x") != 1)


def test_a_connection_goes_on_when_the_body_that_nobody_reads_has_come():
    with serving(Answering(), Limits()) as (_, port):
        with connect(port, GET + b"Content-Length: 4\r\n\r\n") as line:
            answers = line.makefile("rb")
            for _ in range(3):
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                while answers.readline() != b"\r\n":
                    pass
                assert answers.read(4) == b"well"
                line.sendall(b"body" + GET + b"Content-Length: 4\r\n\r\n")


def test_what_stands_behind_a_body_is_no_header():
    app = Answering()
    trailer = b"0\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n"
    with serving(app, Limits()) as (_, port):
        with connect(port, GET + b"Transfer-Encoding: chunked\r\n\r\n" + trailer) as line:
            assert line.recv(12) == b"HTTP/1.1 200"
    assert [name for name, _ in app.heads[0]] == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize("loop", ["auto", "asyncio"])
def test_an_answer_that_nobody_takes_is_dropped_with_its_memory(loop):
    limits = Limits(read_seconds=0.2, body_rate=100 * LARGE)
    with serving(Answering(), limits, loop) as (server, port):
        with connect(port, GET.replace(b"/", b"/large", 1) + b"\r\n", SO_RCVBUF=4096):
            until(lambda: server.server_state.connections)
            until(lambda: not server.server_state.connections)
        assert is_answered(port)
