"""A stream over another stream."""

from __future__ import annotations

from attrs import define

from ..ports import Stream


@define(eq=False)
class StreamWrapper:
    """Implements :class:`~smtpproto.ports.Stream` by another one, as it is: those that are made of
    it say only where they differ."""

    _stream: Stream

    async def read(self, timeout: float | None) -> bytes:
        return await self._stream.read(timeout)

    async def write(self, data: bytes, timeout: float | None) -> None:
        await self._stream.write(data, timeout)

    async def close(self) -> None:
        await self._stream.close()

    def interrupt(self) -> None:
        self._stream.interrupt()

    @property
    def peername(self) -> tuple[str, int]:
        return self._stream.peername

    @property
    def sockname(self) -> tuple[str, int]:
        return self._stream.sockname
