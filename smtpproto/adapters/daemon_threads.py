"""A pool of threads that the end of the program does not wait for.

The threads of ``concurrent.futures`` are joined when the interpreter exits: one slow password check
would hold up a server that has stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from ..ports import call_contained

T = TypeVar("T")

# Not the threads that a program shares: clients that guess passwords could exhaust those.
THREADS = 32


class DaemonThreads:
    """Runs functions in up to *most* threads, which are started as needed."""

    def __init__(self, most: int) -> None:
        self._most, self._started = most, 0
        self._idle = threading.Semaphore(0)
        self._starting = threading.Lock()
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Call *function* in a thread; the future has its result, or what it raised."""
        future: Future[T] = Future()
        self._calls.put((future, function))
        with self._starting:
            if not self._idle.acquire(blocking=False) and self._started < self._most:
                threading.Thread(target=self._run, name="smtpproto", daemon=True).start()
                self._started += 1
        return future

    def _run(self) -> None:
        while True:
            _call(*self._calls.get())
            self._idle.release()


def _call(future: Future[T], function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        returned = call_contained(function)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(returned)
