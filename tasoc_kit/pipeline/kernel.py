"""A notebook kernel that is forked from a process which has imported everything already.

Importing xarray, zarr, numba, HoloViews and Panel costs seconds in every fresh kernel, which is
most of the wall time of a short notebook. The worker imports them once; each notebook still gets
a process, a memory and a namespace of its own.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from tasoc_kit.pipeline.bound import die_with
from tasoc_kit.pipeline.scripts import pack_scripts

__all__ = ["ForkedKernel", "ForkedKernelManager", "fork_kernel"]


@dataclass
class ForkedKernel:
    """A kernel that waits to be told its connection file; it looks like a ``subprocess.Popen``."""

    pid: int
    start: int
    """Write end of the pipe on which the kernel awaits the name of its connection file."""
    alive: int
    """Read end of a pipe that the kernel alone holds open: it ends when the kernel does."""
    stdin: None = field(default=None, init=False)
    stdout: None = field(default=None, init=False)
    stderr: None = field(default=None, init=False)

    def poll(self) -> int | None:
        """Return None while the kernel lives; how it ended is known to the worker alone."""
        ready, _, _ = select.select([self.alive], [], [], 0)
        return -signal.SIGKILL if ready else None

    def wait(self) -> int:
        """Wait until the kernel has ended."""
        select.select([self.alive], [], [])
        return -signal.SIGKILL

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the kernel at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)


def fork_kernel() -> ForkedKernel:
    """Fork a kernel from this process; it waits for the name of its connection file."""
    told, start = os.pipe()
    alive, held = os.pipe()
    worker = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_kernel(worker, told, start, alive)
    os.close(told)
    os.close(held)
    return ForkedKernel(pid, start, alive)


def _become_kernel(worker: int, told: int, start: int, alive: int) -> None:
    """Run a kernel in this process and never return."""
    status = 1
    try:
        die_with(worker)
        os.setsid()
        os.close(start)
        os.close(alive)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        with os.fdopen(told) as pipe:
            connection = pipe.readline().strip()
        if connection:
            from ipykernel.kernelapp import IPKernelApp

            logging.getLogger().handlers.clear()
            sys.argv = [sys.argv[0]]
            app: Any = IPKernelApp.instance()
            app.initialize(["-f", connection, "--HistoryManager.enabled=False"])
            app.shell.display_pub.register_hook(pack_scripts)
            app.start()
        status = 0
    except SystemExit:
        status = 0
    finally:
        os._exit(status)


class _Provisioner(LocalProvisioner):
    """Start the forked kernel where a new process would have been started."""

    kernel: ForkedKernel

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Tell the waiting kernel where its connection file is."""
        self.process = self.kernel  # type: ignore[assignment]
        self.pid, self.pgid = self.kernel.pid, None
        connection = os.path.realpath(getattr(self.parent, "connection_file", ""))
        os.write(self.kernel.start, f"{connection}\n".encode())
        os.close(self.kernel.start)
        return self.connection_info


class ForkedKernelManager(AsyncKernelManager):
    """A kernel manager whose kernel is waiting already."""

    waiting: ForkedKernel

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.provisioner = _Provisioner(parent=self, kernel_id="", kernel_spec=self.kernel_spec)
        self.provisioner.kernel = self.waiting
