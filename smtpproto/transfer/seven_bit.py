"""Content that is not known before it is read, on its way to a server without 8BITMIME."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing
from typing import cast

from ..errors import NotOffered
from ..mail import Source
from ..mail.preparation import Content

__all__ = ["Checked"]


class Checked:
    """Reads a content that can be read again and again, after *fields*, and stops before an octet
    above 127 if :attr:`seven_bit` is set."""

    def __init__(self, source: Source, fields: bytes = b"") -> None:
        self._source, self._fields = source, fields
        self.seven_bit: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = Content(cast("AsyncIterable[bytes]", self._source), binary=True)
        if self._fields:
            yield self._fields
        async with aclosing(content.async_slices()) as slices:
            async for piece in slices:
                if self.seven_bit and not piece.isascii():
                    text = "content with octets above 127 needs 8BITMIME"
                    raise NotOffered(text, status="5.6.3", command="DATA")
                yield piece
