"""A TAP server on loopback that holds a table of stars, and can answer as badly as real ones do."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
from astropy.io.votable import from_table, writeto
from astropy.io.votable.tree import Info
from astropy.table import Table

HTML = b"<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>"


def make_tic(count: int, ra: float, dec: float, radius: float, seed: int = 1) -> pd.DataFrame:
    """Return stars all over a circle, in the columns of VizieR's TIC."""
    random = np.random.default_rng(seed)
    turn, reach = random.uniform(0, 2 * np.pi, count), radius * np.sqrt(random.uniform(0, 1, count))
    from tasoc_kit.numerics.geometry import Solution, pixel_to_sky

    plane = Solution((ra, dec), (1.0, 1.0), np.eye(2), np.zeros((2, 1, 1)))
    a, d = pixel_to_sky(plane, reach * np.sin(turn), reach * np.cos(turn))
    return pd.DataFrame(
        {
            "TIC": np.arange(1, count + 1),
            "RAJ2000": a,
            "DEJ2000": d,
            "Tmag": random.uniform(6, 18, count),
            "pmRA": random.normal(0, 20, count),
            "pmDE": random.normal(0, 20, count),
            "Teff": random.uniform(3000, 9000, count),
            "Disp": "",
        }
    )


def _votable(stars: pd.DataFrame, status: str) -> bytes:
    table = Table({name: stars[name].to_numpy() for name in stars}, masked=True)
    for name in table.colnames:
        if table[name].dtype.kind == "f":
            table[name].mask = ~np.isfinite(table[name])
        elif table[name].dtype.kind in "OUT":
            table.replace_column(name, np.asarray(stars[name], dtype=str))
    whole = from_table(table)
    whole.resources[0].type = "results"
    whole.resources[0].infos.append(Info(name="QUERY_STATUS", value="OK"))
    if status != "OK":
        whole.resources[0].infos.append(Info(name="QUERY_STATUS", value=status))
    body = io.BytesIO()
    writeto(whole, body)
    return body.getvalue()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        state = self.server.state
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        with state.lock:
            state.queries.append(asked["QUERY"][0])
            mode = state.modes.pop(0) if state.modes else state.mode
        body = self._select(asked, state)
        if mode == "slow":
            time.sleep(3.0)
        if mode == "busy":
            return self._answer(503, b"busy", "text/plain")
        if mode == "nowhere":
            return self._answer(404, b"no such page", "text/plain")
        if mode == "html":
            return self._answer(200, HTML, "text/html")
        if mode == "html as xml":
            return self._answer(200, HTML, "application/x-votable+xml")
        if mode == "refused":
            error = b'<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
            error += b'<RESOURCE type="results">'
            error += b'<INFO name="QUERY_STATUS" value="ERROR">unknown table</INFO></RESOURCE></VOTABLE>'
            return self._answer(400, error, "application/x-votable+xml")
        if mode == "half":
            return self._answer(200, body[: len(body) // 2], "application/x-votable+xml")
        if mode == "cut":
            return self._answer(200, body[: len(body) // 2], "application/x-votable+xml", len(body))
        return self._answer(200, body, "application/x-votable+xml")

    def _select(self, asked: dict[str, list[str]], state: SimpleNamespace) -> bytes:
        query = asked["QUERY"][0]
        stars = state.tables[re.search(r'FROM "([^"]+)"', query)[1]]
        ra, dec, radius = map(
            float, re.search(r"CIRCLE\('ICRS', ([^,]+), ([^,]+), ([^)]+)\)", query).groups()
        )
        place = re.search(r"POINT\('ICRS', \"(\w+)\", \"(\w+)\"\)", query).groups()
        a, d = (np.radians(stars[name].to_numpy()) for name in place)
        a0, d0 = np.radians(ra), np.radians(dec)
        half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
        near = np.degrees(2 * np.arcsin(np.sqrt(half))) <= radius
        column, limit = re.search(r'"(\w+)" <= (\S+)$', query).groups()
        found = stars[near & (stars[column] <= float(limit)).to_numpy()]
        most = min(int(asked["MAXREC"][0]), state.rows)
        if state.say_overflow:
            return _votable(found[:most], "OVERFLOW" if len(found) > most else "OK")
        return _votable(found[:most], "OK")

    def _answer(self, code: int, body: bytes, kind: str, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def serve(tables: dict[str, pd.DataFrame]) -> Iterator[SimpleNamespace]:
    """Run the server; ``mode`` and ``modes`` (for the next answers) say how it behaves."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.state = SimpleNamespace(
        url=f"http://127.0.0.1:{server.server_port}",
        tables=tables, queries=[], modes=[], mode="ok", rows=10**9, say_overflow=True, lock=threading.Lock(),
    )  # fmt: skip
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
