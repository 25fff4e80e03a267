"""Fetches small files over HTTPS, under asyncio, under trio and with blocking sockets."""

from __future__ import annotations

import contextlib
import http.client
import io
from typing import Any, cast

from attrs import field, frozen
from attrs.validators import gt

from ..client.deadline import Deadline, DeadlineStream
from ..errors import ConnectionLost, RemoteProtocolError
from ..grammar.printable import printable
from ..option_types import checked
from ..policy.fetch import Fetched
from ..ports import Runtime, Stream
from ..tls import TLSStream, TLSVerify, filter_for, shared_context

__all__ = ["HTTPSFetch"]

_HEAD = 65536  # octets before the body
_SHOWN = 200  # characters of what is wrong with an answer


@checked
@frozen(kw_only=True)
class HTTPSFetch:
    """Implements :class:`smtpproto.policy.Fetch`. The request is one of HTTP/1.1, without cookies,
    proxies and redirects."""

    verify: TLSVerify = field(factory=TLSVerify.by_name)
    """How servers are verified."""
    timeout: float = field(default=60, validator=gt(0))
    """Seconds for all together; those that RFC 8461 3.3 advises."""
    limit: int = field(default=65536, validator=gt(0))
    """Octets of a file at most."""
    port: int = 443

    async def get(self, host: str, path: str, runtime: Runtime) -> Fetched:
        """See :meth:`smtpproto.policy.Fetch.get`. Raises RemoteProtocolError for an answer that is
        no HTTP, or larger than the limit."""
        deadline = Deadline(runtime.now, self.timeout)
        deadline.start()
        with deadline.within(None, "connect") as seconds:
            stream = await runtime.dial(host, self.port, seconds)
        try:
            return await self._ask(DeadlineStream(stream, deadline), host, path, runtime)
        finally:
            await stream.close()

    async def _ask(self, stream: Stream, host: str, path: str, runtime: Runtime) -> Fetched:
        context = shared_context(self.verify, runtime)
        layer = filter_for(context, server_side=False, server_hostname=host)
        tls = TLSStream(stream, layer, runtime.now)
        await tls.handshake(None)
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: */*\r\n\r\n"
        await tls.write(request.encode(), None)
        return await self._answer(tls)

    async def _answer(self, tls: TLSStream) -> Fetched:
        """Read until the answer is complete, or until the server has closed the connection."""
        octets, due = bytearray(), 0
        while more := await tls.read(None):
            octets += more
            if len(octets) >= due:
                if (found := self._parse(bytes(octets), ended=False)) is not None:
                    return found
                due = len(octets) + len(octets) // 1024 + 1  # many small records cost little
            if len(octets) > _HEAD + 2 * self.limit:  # chunks may be small, and have sizes
                raise _broken("too large")
        found = self._parse(bytes(octets), ended=True)
        if found is None:
            raise ConnectionLost("the server of HTTPS closed the connection too early")
        return found

    def _parse(self, octets: bytes, *, ended: bool) -> Fetched | None:
        """Return the answer in *octets*; None if something of it is missing."""
        if b"\r\n\r\n" not in octets and b"\n\n" not in octets:
            return None
        try:
            with contextlib.closing(http.client.HTTPResponse(cast("Any", _Octets(octets)))) as it:
                it.begin()
                size = it.length
                if size is None and not it.chunked and not ended:
                    return None  # the body ends with the connection
                body = it.read(self.limit + 1)
                if size is not None and len(body) < min(size, self.limit + 1):
                    return None
                kind = it.headers.get_content_type() if "content-type" in it.headers else ""
        except http.client.IncompleteRead:
            return None
        except (http.client.HTTPException, ValueError) as error:
            raise _broken(printable(str(error) or type(error).__name__)[:_SHOWN]) from None
        if len(body) > self.limit:
            raise _broken(f"more than {self.limit} octets")
        return Fetched(status=it.status, media_type=kind, body=body)


class _Octets:
    """What ``http.client`` takes for a socket."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._octets)


def _broken(why: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"the answer by HTTPS cannot be used: {why}")
