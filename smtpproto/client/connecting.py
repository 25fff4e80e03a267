"""What ``connect`` returns for event loops: it can be awaited, or used with ``async with``."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Generator

from attrs import define, field

from ..errors import LocalProtocolError
from .connection import Client


@define(eq=False)
class Connecting:
    """A connection that is not open yet.

    ``await`` opens it and returns the client, which you then close with ``quit``. ``async with``
    opens it, and sends QUIT at the end of the block. Each object opens one connection: using it
    again raises LocalProtocolError.
    """

    _open: Callable[[], Awaitable[Client]] = field(repr=False)
    _used: bool = field(default=False, init=False)
    _client: Client | None = field(default=None, init=False)

    def __await__(self) -> Generator[object, object, Client]:
        if self._used:
            check = "whether connect(...) is called once for each connection"
            raise LocalProtocolError("this connect(...) was used before", check=check)
        self._used = True
        return self._open().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self
        return self._client

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        assert self._client is not None
        await self._client.__aexit__(kind, error, traceback)

    def __del__(self) -> None:
        if not self._used:
            text = "connect(...) was never awaited; write `client = await connect(...)`"
            text += " or `async with connect(...) as client`"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)
