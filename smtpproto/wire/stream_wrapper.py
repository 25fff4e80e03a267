"""A stream over another stream."""

from __future__ import annotations

from attrs import define

from ..ports import Stream


@define(eq=False, repr=False)
class StreamWrapper:
    """A :class:`~smtpproto.ports.Stream` that passes every call to another one. Subclasses override
    only the methods in which they differ."""

    _stream: Stream

    async def read(self, timeout: float | None) -> bytes:
        """See :meth:`.Stream.read`."""
        return await self._stream.read(timeout)

    async def write(self, data: bytes, timeout: float | None) -> None:
        """See :meth:`.Stream.write`."""
        await self._stream.write(data, timeout)

    async def end(self) -> None:
        """See :meth:`.Stream.end`."""
        await self._stream.end()

    async def close(self) -> None:
        """See :meth:`.Stream.close`."""
        await self._stream.close()

    def interrupt(self) -> None:
        """See :meth:`.Stream.interrupt`."""
        self._stream.interrupt()

    @property
    def peername(self) -> tuple[str, int]:
        """Address and port of the peer."""
        return self._stream.peername

    @property
    def sockname(self) -> tuple[str, int]:
        """Address and port of this side."""
        return self._stream.sockname
