"""Happy eyeballs over asyncio (RFC 8305), on any event loop.

The race of asyncio's own ``create_connection`` leaves sockets open when it is cancelled, and that
of uvloop does not exist.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from .dialling import close_on_error
from .eyeballs import AddressInfo, Schedule, all_failed, literal, open_socket, with_address


async def connect(host: str, port: int, source: tuple[str, int] | None) -> socket.socket:
    """Return a socket connected to the address of *host* that answers first.

    Raises an OSError whose cause is a group with the error of each address. If it is cancelled, it
    leaves no socket and no task.
    """
    if (info := literal(host, port)) is not None:
        return await _connect_to(info, source)
    loop = asyncio.get_running_loop()
    found: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if len(found) == 1:
        return await _connect_to(found[0], source)
    return await _Race(Schedule(found, loop.time), source).run()


async def _connect_to(info: AddressInfo, source: tuple[str, int] | None) -> socket.socket:
    """Do what :func:`connect` does, with the only address of a host."""
    try:
        return await _attempt(info, source)
    except OSError as error:
        raise all_failed([with_address(error, info)])  # noqa: B904  # it has a cause


class _Race:
    """Concurrent attempts to connect, each of which is a task."""

    def __init__(self, schedule: Schedule, source: tuple[str, int] | None) -> None:
        self._schedule, self._source = schedule, source
        self._running: dict[asyncio.Task[socket.socket], AddressInfo] = {}

    async def run(self) -> socket.socket:
        """Return the socket that is connected first; end all other attempts."""
        try:
            winner = await self._winner()
        except BaseException:
            await self._end()
            raise
        with close_on_error(winner):
            await self._end()
        return winner

    async def _winner(self) -> socket.socket:
        while self._schedule or self._running:
            self._start_if_due()
            if (winner := await self._wait()) is not None:
                return winner
        raise self._schedule.error

    def _start_if_due(self) -> None:
        if (info := self._schedule.due()) is not None:
            task = asyncio.get_running_loop().create_task(_attempt(info, self._source))
            self._running[task] = info

    async def _wait(self) -> socket.socket | None:
        """Wait until an attempt ends or the next address is due; return the winner's socket."""
        seconds = self._schedule.seconds if self._schedule else None
        done, _ = await asyncio.wait(self._running, timeout=seconds, return_when="FIRST_COMPLETED")
        for task in done:
            if (error := task.exception()) is None:
                del self._running[task]
                return task.result()
            if not isinstance(error, OSError):
                raise error
            self._schedule.failed(self._running.pop(task), error)
        return None

    async def _end(self) -> None:
        """Cancel all attempts that are left, and wait for their ends. If this task is cancelled
        meanwhile, they still close their sockets."""
        for task in self._running:
            task.add_done_callback(_close_loser)
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)


async def _attempt(info: AddressInfo, source: tuple[str, int] | None) -> socket.socket:
    connecting = open_socket(info, source)
    with close_on_error(connecting):
        await asyncio.get_running_loop().sock_connect(connecting, _with_scope(info[4]))
    return connecting


def _with_scope(address: Any) -> Any:
    """Return a socket address with the scope of a link-local IPv6 address in its text. uvloop
    ignores the number of the scope."""
    match address:
        case (str(host), port, _, int(scope)) if scope and "%" not in host:
            return f"{host}%{scope}", port
    return address


def _close_loser(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that succeeded although another one has won."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
