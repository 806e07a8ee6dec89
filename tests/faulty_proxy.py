"""A proxy on loopback that does to the answers of a server what networks and servers do."""

from __future__ import annotations

import http.client
import http.server
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

FULL = b"<Error><Code>InsufficientStorage</Code><Message>the disk is full</Message></Error>"
BUSY = b"<Error><Code>ServiceUnavailable</Code><Message>try later</Message></Error>"


@dataclass
class Fault:
    """What goes wrong, for which requests, and how many times."""

    kind: str
    """``busy`` (503), ``full`` (507), ``reset``, ``broken`` (less than announced), ``short`` (less
    than asked, and announced so), ``silent``, ``changed`` (one byte of the body is another one)."""
    part: str
    """What the path must contain."""
    method: str = "GET"
    times: int = 10**6


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self._pass_on()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Expect"):
            self.close_connection = True
        kind = self.server.proxy.fault_of(self.command, self.path)
        if kind in ("busy", "full"):
            status, told = (503, BUSY) if kind == "busy" else (507, FULL)
            self._answer(status, [("Content-Type", "application/xml")], told)
            return
        if kind == "silent":
            time.sleep(self.server.proxy.silence)
        upstream = http.client.HTTPConnection(self.server.proxy.upstream)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in _OWN]
        if self.command == "HEAD":
            kept.append(("Content-Length", answer.headers.get("Content-Length", "0")))
        self._answer(answer.status, kept, data, kind)

    def _answer(self, status, headers, data, kind=""):
        if kind == "changed" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if kind == "short":
            data = data[: len(data) // 2]
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                return
            half = kind in ("broken", "reset")
            self.wfile.write(data[: len(data) // 2] if half else data)
            if half:
                self.wfile.flush()
                if kind == "reset":
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)


_OWN = {"content-length", "transfer-encoding", "connection", "date", "server"}


class FaultyProxy:
    """A proxy before a server, with a list of faults that tests fill."""

    silence = 3.0
    """Seconds of a silent answer."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.suffered: list[str] = []
        self._counting = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.proxy = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fault_of(self, method: str, path: str) -> str:
        with self._counting:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.part in path:
                    fault.times -= 1
                    self.suffered.append(fault.kind)
                    return fault.kind
        return ""


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream)
    thread = threading.Thread(target=proxy.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join(5)
