"""Load on a server on loopback: clients with one connection each, as cheap as Python makes them.

Run as a process of its own: it prints a JSON object with the times of all answers. A request is bytes,
of an answer only the status and the length are looked at.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["load"]


def load(
    url: str, paths: list[str], *, clients: int, seconds: float, folder: Path, warm: float = 2.0
) -> dict[str, Any]:
    """
    Ask a server for paths, chosen at random, and return what came.

    Parameters
    ----------
    url
        Address of the server, ``http://127.0.0.1:8000``.
    paths
        What is asked for.
    clients
        Connections, each of which asks again once it is answered.
    seconds
        For so long.
    folder
        For the list of paths.
    warm
        Seconds before that, which do not count.

    Returns
    -------
    ``ms``, the time of every answer; ``failed``, answers with another status than 200; ``bytes``; ``cpu``,
    the seconds that the clients took.
    """
    task = folder / "load.json"
    told = {"url": url, "paths": paths, "clients": clients, "seconds": seconds, "warm": warm}
    task.write_text(json.dumps(told))
    done = subprocess.run([sys.executable, __file__, str(task)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _client(task: dict[str, Any], begin: float, end: float, made: dict[str, Any], seed: int) -> None:
    host, _, port = task["url"].removeprefix("http://").rstrip("/").partition(":")
    pick = random.Random(seed)
    requests = task["requests"]
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**22)
    while (asked := time.perf_counter()) < end:
        writer.write(pick.choice(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        if asked >= begin:
            made["ms"].append(round(1000 * (time.perf_counter() - asked), 3))
            made["failed"] += not head.startswith(b"HTTP/1.1 200")
            made["bytes"] += length
    writer.close()


async def _all(task: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"ms": [], "failed": 0, "bytes": 0}
    task["requests"] = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in task["paths"]]
    begin = time.perf_counter() + task["warm"]
    end = begin + task["seconds"]
    await asyncio.gather(*(_client(task, begin, end, made, seed) for seed in range(task["clients"])))
    return made


def _main() -> None:
    import uvloop

    task = json.loads(Path(sys.argv[1]).read_text())
    made = uvloop.run(_all(task))
    sys.stdout.write(json.dumps(made | {"cpu": time.process_time()}))


if __name__ == "__main__":
    _main()
