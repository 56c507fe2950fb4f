"""The threads of a download, and how they bear failing requests."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from hippflow.cloud.errors_s3 import REQUEST_ERRORS, explain, is_transient
from hippflow.cloud.s3 import s3_client
from hippflow.progress import Progress

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a block whose transfer fails is tried again, since the last byte that came.

    As it is, an endpoint that is down for a minute and a half, at the least, is waited for.

    Attributes
    ----------
    attempts : int
        Failures in a row at which it is given up.
    seconds : float
        Time after which it is given up.
    first_pause, longest_pause : float
        Seconds before the second attempt; they double, up to the longest.
    """

    attempts: int = 10
    seconds: float = 180.0
    first_pause: float = 2.0
    longest_pause: float = 30.0


class Transfer(Protocol):
    """What a run works on."""

    def begin(self) -> list[Callable[[], list]]:
        """Open what is needed, and return the tasks."""

    def close(self) -> None:
        """Close what is open, done or not."""


class Stopped(Exception):
    """Another thread failed."""


class Run:
    """The threads of one download and what they share.

    A task is a function that returns the tasks that follow from it. These come before the objects that are
    still waiting, so that few files are open at once. There are twice as many threads as connections, so that a
    connection need not wait for a file that is being checked or written out: a thread that asks the endpoint for
    content holds one of the connections.
    """

    def __init__(self, client: Any, connections: int, part_size: int, patience: Patience, n_bytes: int):
        self.client = client or s3_client(connections)
        self.client.meta.events.register("before-send.s3", self._count_request)
        self.part_size, self.patience, self.stop = part_size, patience, threading.Event()
        self.n_bytes = self.n_requests = 0
        self.n_connections, self._connections = connections, threading.Semaphore(connections)
        self._progress = Progress(n_bytes / 1e6, "download", "MB")
        self._changed = threading.Condition()
        self._ready: deque[Callable[[], list]] = deque()
        self._waiting: deque[Callable[[], list]] = deque()
        self._active = 0

    def _count_request(self, **_: Any) -> None:
        with self._changed:
            self.n_requests += 1

    def received(self, n_bytes: int) -> None:
        """Count bytes that arrived."""
        with self._changed:
            self.n_bytes += n_bytes
            self._progress.update(n_bytes / 1e6)

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Hold one of the connections."""
        with self._connections:
            self.go_on()
            yield

    def go_on(self) -> None:
        """Leave off where another thread failed."""
        if self.stop.is_set():
            raise Stopped

    def expect(self, n_bytes: int) -> None:
        """Count on so many bytes more, or less, than were thought."""
        with self._changed:
            self._progress.total += n_bytes / 1e6

    def work(self, transfers: Sequence[Transfer]) -> None:
        """Do all `transfers`; the first error ends them."""
        self._waiting.extend(transfer.begin for transfer in transfers)
        try:
            with ThreadPoolExecutor(2 * self.n_connections, thread_name_prefix="s3") as pool:
                try:
                    for thread in [pool.submit(self._work) for _ in range(2 * self.n_connections)]:
                        thread.result()
                finally:  # on an interrupt from the keyboard, too
                    self._end()
        finally:
            for transfer in transfers:
                transfer.close()
            self.client.meta.events.unregister("before-send.s3", self._count_request)

    def _end(self) -> None:
        with self._changed:
            self.stop.set()
            self._changed.notify_all()

    def _work(self) -> None:
        while task := self._next():
            more = None
            try:
                more = task()
            except Stopped:
                return
            finally:
                with self._changed:
                    self._active -= 1
                    self._ready.extend(more or ())
                    self._changed.notify_all()
                if more is None:
                    self._end()

    def _next(self) -> Callable[[], list] | None:
        with self._changed:
            while not self.stop.is_set():
                if self._ready or self._waiting:
                    self._active += 1
                    return (self._ready or self._waiting).popleft()
                if not self._active:
                    return None
                self._changed.wait()
        return None


class Retries:
    """Failures of one request in a row."""

    def __init__(self, run: Run, url: str):
        self._run, self._url = run, url
        self.progressed()

    def progressed(self) -> None:
        """Note that bytes came."""
        self._failures, self._since = 0, time.monotonic()

    def wait(self, error: Exception) -> None:
        """Wait before the next attempt, or raise what the error means."""
        patience, self._failures = self._run.patience, self._failures + 1
        pause = min(patience.longest_pause, patience.first_pause * 2 ** (self._failures - 1))
        pause *= random.uniform(0.5, 1)  # connections that broke together shall not all come back together
        late = time.monotonic() + pause - self._since > patience.seconds
        if not is_transient(error) or self._failures >= patience.attempts or late:
            raise explain(error, self._url, self._run.client) from error
        said = explain(error, self._url, self._run.client)
        log.warning("%s (failure %d of %d; going on in %.0f s)", said, self._failures, patience.attempts, pause)
        if self._run.stop.wait(pause):
            raise Stopped

    def ask(self, request: Callable[..., T], *arguments: Any) -> T:
        """Make a request until it succeeds."""
        while True:
            try:
                with self._run.connection():
                    return request(self._run.client, *arguments)
            except REQUEST_ERRORS as error:
                self.wait(error)
