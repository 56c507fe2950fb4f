"""What the servers of the tests need of the machine: Debian's packages, free ports, and processes that all end."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

#: Daemons lie in folders that are not in an ordinary user's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

#: Installs packages as root without starting what they hold; package lists are fetched where they turn out to be old.
INSTALL = """
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"; }
install "$@" || { apt-get update && install "$@"; }
"""


def _find(commands: list[str]) -> dict[str, str]:
    found = {command: shutil.which(command, path=SEARCH) for command in commands}
    return {command: path for command, path in found.items() if path}


def _install(packages: list[str]) -> str | None:
    """Install packages; what went wrong, or None."""
    if not shutil.which("apt-get"):
        return "this system has no apt-get"
    become_root: list[str] = []
    if os.geteuid() != 0:
        become_root = ["sudo", "-n"]
        if not shutil.which("sudo") or subprocess.run([*become_root, "true"], capture_output=True).returncode:
            return "this user may not install packages"
    command = [*become_root, "sh", "-c", INSTALL, "install", *packages]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return f"apt-get failed: {done.stdout[-1000:]}" if done.returncode else None


def require(packages: dict[str, str]) -> dict[str, str]:
    """Find commands, and install the Debian packages of those that are missing where this user may.

    Parameters
    ----------
    packages : dict of str to str
        Name of the package by name of the command.

    Returns
    -------
    dict of str to str
        Path by name of the command.

    Raises
    ------
    pytest.skip.Exception
        A command is missing and cannot be installed; the message says what to type.
    pytest.fail.Exception
        The same where ``CI`` is ``true`` or ``HIPPFLOW_REQUIRE_CLUSTER`` is ``1``: nobody reads what was skipped there.

    Examples
    --------
    >>> require({"sh": "dash"})["sh"].endswith("/sh")
    True
    """
    found = _find(list(packages))
    if len(found) == len(packages):
        return found
    missing = sorted({package for command, package in packages.items() if command not in found})
    problem = _install(missing)
    found = _find(list(packages))
    if len(found) == len(packages):
        return found
    absent = ", ".join(command for command in packages if command not in found)
    message = (
        f"expected the commands of {', '.join(missing)}, found no {absent}, and "
        f"{problem or 'the packages do not hold them'}; "
        f"type: sudo apt-get install -y --no-install-recommends {' '.join(missing)}"
    )
    if os.environ.get("CI") == "true" or os.environ.get("HIPPFLOW_REQUIRE_CLUSTER") == "1":
        pytest.fail(message)
    pytest.skip(message)


def free_ports(n: int) -> list[int]:
    """Choose ports that nobody listens on.

    They are below the range from which the kernel gives ports to clients, random, and others in every process of a
    test session, so that servers started at the same time do not meet.
    """
    ports: list[int] = []
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    for port in random.SystemRandom().sample(range(10000 + process, 32768, 16), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == n:
            return ports
    raise RuntimeError(f"expected {n} free TCP ports between 10000 and 32767, found {len(ports)}; end other servers")


def listens(port: int) -> bool:
    """Say whether a server of this host accepts connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes_with(**variables: str) -> list[int]:
    """List the processes that were started with all of these environment variables.

    Those of other users are not seen, nor are zombies, nor is this process.
    """
    wanted = {f"{name}={value}".encode() for name, value in variables.items()}
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended, or belongs to another user
            continue
        if wanted.issubset(environment):
            found.append(int(folder.name))
    return found


def wait_until(condition: Callable[[], object], seconds: float, what: str, period: float = 0.02) -> None:
    """Wait until `condition` holds.

    Raises
    ------
    TimeoutError
        It did not within `seconds`; the message says `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected {what} within {seconds:g} s")
        time.sleep(period)


def end_processes(find: Callable[[], list[int]]) -> None:
    """Kill all processes that `find` lists, and those that they started meanwhile, until there are none."""

    def none_left() -> bool:
        left = find()
        for number in left:
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(number, signal.SIGKILL)
        return not left

    wait_until(none_left, 10, "killed processes to end")


class Daemons:
    """Servers that run in the foreground, each with a log.

    They are in sessions of their own: Ctrl-C in a terminal ends the tests, and the tests end the servers.

    Parameters
    ----------
    logs : Path
        Folder for ``NAME.log``.
    environment : dict of str to str
        What they have in their environment beyond ours.
    """

    def __init__(self, logs: Path, environment: dict[str, str]):
        self.logs, self.environment = logs, environment
        self._running: dict[str, subprocess.Popen] = {}

    def __bool__(self) -> bool:
        return bool(self._running)

    def start(self, name: str, *command: str, **environment: str) -> None:
        """Start a server."""
        with (self.logs / f"{name}.log").open("a") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=os.environ | self.environment | environment,
                cwd=self.logs,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def alive(self, name: str) -> bool:
        """Say whether a server was started and has not ended."""
        return name in self._running and self._running[name].poll() is None

    def wait(self, name: str, condition: Callable[[], object], seconds: float = 30) -> None:
        """Wait until a server is ready.

        Raises
        ------
        RuntimeError
            It ended; the message has the end of its log.
        TimeoutError
            It is not ready after `seconds`.
        """
        log = self.logs / f"{name}.log"
        wait_until(lambda: not self.alive(name) or condition(), seconds, f"{name} to be ready (see {log})")
        if not self.alive(name):
            raise RuntimeError(f"{name} ended: {log.read_text()[-1000:]}")

    def end(self, *names: str, seconds: float = 5) -> None:
        """Ask servers to end, and kill those that have not after `seconds`; all if none is named."""
        ending = [self._running.pop(name) for name in names or list(self._running) if name in self._running]
        for server in ending:
            server.terminate()
        for server in ending:
            try:
                server.wait(seconds)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
