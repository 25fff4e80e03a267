"""Questions of other threads to a mail agent, which a task of it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from attrs import define, field

from ..ports import Event

__all__ = ["Desk"]

T = TypeVar("T")


@define(eq=False)
class Desk:
    """Answers one question after the other, so that any number of them costs little at a time."""

    _wake: Event
    _questions: deque[tuple[Callable[[], Awaitable[Any]], Future[Any]]] = field(
        factory=deque, init=False
    )
    _closed: bool = field(default=False, init=False)

    def ask(self, question: Callable[[], Awaitable[T]]) -> Future[T]:
        """Return the result of *question*, which :meth:`run` calls unless the future is cancelled
        before. It fails with RuntimeError if the MTA stops. Threads may call this."""
        answer: Future[T] = Future()
        self._questions.append((question, answer))
        self._wake.set()
        if self._closed:
            self._refuse()
        return answer

    async def run(self) -> None:
        """Answer until :meth:`close`."""
        try:
            while not self._closed:
                while self._questions:
                    await _answer(*self._questions.popleft())
                await self._wake.wait(None)
        finally:
            self._closed = True
            self._refuse()

    def close(self) -> None:
        """Answer no more. Threads may call this."""
        self._closed = True
        self._wake.set()

    def _refuse(self) -> None:
        try:
            while True:
                _fail(self._questions.popleft()[1], RuntimeError("the MTA does not run"))
        except IndexError:  # another thread may take the last one
            pass


async def _answer(question: Callable[[], Awaitable[Any]], answer: Future[Any]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(await question())
    except Exception as error:
        answer.set_exception(error)
    except BaseException:
        answer.set_exception(RuntimeError("the MTA does not run"))
        raise


def _fail(answer: Future[Any], error: Exception) -> None:
    if answer.set_running_or_notify_cancel():
        answer.set_exception(error)
