"""Scripts run in forks of one process that has already imported what they need.

A script of a few milliseconds' work otherwise spends a second of CPU time on starting Python
and importing its libraries, and a recording day has more than a thousand of them. Every
script still has a process of its own: what one leaks or breaks does not reach the next.

Serves one parent over a socket and ends with it, its scripts too. POSIX only.
"""

import ast
import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hippflow.redaction import redacted

#: Longest message; the names of 1000 files are some 100 kB.
MAX_MESSAGE = 1 << 24

#: Variables that numeric libraries read once, when they are loaded: a script has one thread unless it asks.
ONE_THREAD = ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")


class ForkServer:
    """The parent's side: starts the server when it is first needed, and asks it for scripts; safe with threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def start(self, script: str | Path, names: dict[str, Any], environment: dict[str, str]) -> "Script":
        """Start a script.

        Parameters
        ----------
        script : path
        names : dict
            Attributes of the script's global ``snakemake``, JSON values; dictionaries but ``params`` become objects.
        environment : dict of str to str
            Variables of this script alone.

        Returns
        -------
        Script
        """
        ours, theirs = socket.socketpair()
        request = json.dumps({"script": str(script), "names": names, "environment": environment}).encode()
        with self._lock, theirs:
            if self._control is None:
                self._control = _start_server()
            header = len(request).to_bytes(4, "little")
            socket.send_fds(self._control, [header], [theirs.fileno()])
            self._control.sendall(request)
        return Script(ours, self)


@dataclass(frozen=True)
class Ended:
    """How a script ended.

    Attributes
    ----------
    status : int
        Exit status, negative for a signal as subprocess has it.
    cpu_seconds : float
        CPU time of its process and of those it waited for, system time included.
    max_rss : float
        Most memory at a time in MB, with what it shares with the server.
    """

    status: int
    cpu_seconds: float
    max_rss: float


class Script:
    """A script that runs."""

    def __init__(self, connection: socket.socket, server: ForkServer):
        self._answer = connection.makefile("r")
        self._server = server  # without its parent's side the server would end

    def wait(self) -> Ended:
        """Wait for its end.

        Raises
        ------
        ChildProcessError
            The server is gone.
        """
        with self._answer:
            answer = self._answer.read()
        if not answer:
            raise ChildProcessError("the process that runs scripts was killed; see whether memory ran out")
        return Ended(*json.loads(answer))


def _start_server() -> socket.socket:
    ours, theirs = socket.socketpair()
    threads = {f"{name}_NUM_THREADS": "1" for name in ONE_THREAD}
    threads["NUMBA_THREADING_LAYER"] = "workqueue"  # numba's others end a process that forks once they have started
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", "hippflow.forks", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=os.environ | threads,
            stdin=subprocess.DEVNULL,
        )
    return ours


def _receive(control: socket.socket) -> tuple[dict[str, Any], socket.socket] | None:
    """Return the next request and its connection, None when the parent is gone."""
    header, descriptors, _, _ = socket.recv_fds(control, 4, 1)
    if len(header) < 4:
        return None
    n_bytes = int.from_bytes(header, "little")
    request = control.recv(n_bytes, socket.MSG_WAITALL) if n_bytes <= MAX_MESSAGE else b""
    if len(request) < n_bytes:
        return None
    return json.loads(request), socket.socket(fileno=descriptors[0])


def _imports_of(script: str) -> list[str]:
    """Return the modules of this package that a script imports."""
    tree = ast.parse(Path(script).read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [name for name in names if name.startswith("hippflow.")]


def _prepare(script: str) -> None:
    """Import what a script does, and what that imports late (its ``LATE_IMPORTS``)."""
    for name in _imports_of(script):
        for late in getattr(importlib.import_module(name), "LATE_IMPORTS", ()):
            importlib.import_module(late)


def _run(request: dict[str, Any]) -> int:
    """Run a script in this process; return its exit status."""
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    script = request["script"]
    sys.argv = [script]
    sys.path.insert(0, str(Path(script).parent))
    names = {
        name: SimpleNamespace(**value) if isinstance(value, dict) and name != "params" else value
        for name, value in request["names"].items()
    }
    try:
        runpy.run_path(script, {"snakemake": SimpleNamespace(**names)}, "__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a script
        sys.stderr.write(redacted(traceback.format_exc()))
        return 1
    return 0


def serve(control: socket.socket) -> None:
    """Fork a process for every script that is asked for, and tell its end, until the parent is gone."""
    running: dict[int, socket.socket] = {}
    prepared: set[str] = set()
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        readable, _, _ = select.select([control, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
            while running and (ended := os.wait4(-1, os.WNOHANG))[0]:
                _tell(running.pop(ended[0]), *ended[1:])
        if control in readable:
            received = _receive(control)
            if received is None:
                break
            request, connection = received
            if request["script"] not in prepared:
                prepared.add(request["script"])
                _prepare(request["script"])
                gc.freeze()  # what is shared stays shared: the collector of a fork does not touch it
            pid = os.fork()
            if pid == 0:
                _become_script([control, connection, *running.values()], [wake, waker], request)
            running[pid] = connection
    for pid in running:
        os.kill(pid, signal.SIGTERM)  # a script without its parent would go on for nobody


def _tell(connection: socket.socket, wait_status: int, usage: resource.struct_rusage) -> None:
    """Send how a script ended to one who may have gone."""
    megabyte = 1 << 20 if sys.platform == "darwin" else 1 << 10
    ended = Ended(os.waitstatus_to_exitcode(wait_status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / megabyte)
    with connection, suppress(OSError):
        connection.sendall(json.dumps(astuple(ended)).encode())


def _become_script(sockets: list[socket.socket], pipe: list[int], request: dict[str, Any]) -> None:
    """Turn a fork into a script, without the server's connections, and end with it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor in pipe:
        os.close(descriptor)
    for connection in sockets:
        connection.close()
    status = _run(request)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    # Ctrl-C in a terminal reaches scripts and parent, which then ends the server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))
