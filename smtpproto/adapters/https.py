"""Fetches and sends small files over HTTPS, under asyncio, under trio and with blocking sockets."""

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
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_ENDS = 20  # places that look like the last chunk, at which an answer is looked at
_SHOWN = 200  # characters of what is wrong with an answer


@checked
@frozen(kw_only=True)
class HTTPSFetch:
    """Implements :class:`smtpproto.policy.Fetch` and :class:`smtpproto.policy.Post`. The requests
    are those of HTTP/1.1, without cookies, proxies and redirects."""

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
        return await self._exchange(host, f"GET {path}", "", b"", runtime)

    async def post(
        self, host: str, path: str, body: bytes, media_type: str, runtime: Runtime
    ) -> Fetched:
        """See :meth:`smtpproto.policy.Post.post`. Raises the same as :meth:`get`."""
        fields = f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        return await self._exchange(host, f"POST {path}", fields, body, runtime)

    async def _exchange(
        self, host: str, line: str, fields: str, body: bytes, runtime: Runtime
    ) -> Fetched:
        fields = f"Host: {host}\r\nConnection: close\r\nAccept: */*\r\n{fields}"
        request = f"{line} HTTP/1.1\r\n{fields}\r\n".encode() + body
        deadline = Deadline(runtime.now, self.timeout)
        deadline.start()
        with deadline.within(None, "connect") as seconds:
            stream = await runtime.dial(host, self.port, seconds)
        try:
            return await self._ask(DeadlineStream(stream, deadline), host, request, runtime)
        finally:
            await stream.close()

    async def _ask(self, stream: Stream, host: str, request: bytes, runtime: Runtime) -> Fetched:
        context = shared_context(self.verify, runtime)
        layer = filter_for(context, server_side=False, server_hostname=host)
        tls = TLSStream(stream, layer, runtime.now)
        await tls.handshake(None)
        await tls.write(request, None)
        return await self._answer(tls)

    async def _answer(self, tls: TLSStream) -> Fetched:
        """Read until the answer is complete, or until the server has closed the connection."""
        octets, due, ends = bytearray(), 0, _ENDS
        while more := await tls.read(None):
            octets += more
            may_end = ends > 0 and octets.endswith(_LAST_CHUNK)
            ends -= may_end
            if len(octets) >= due or may_end:
                found = self._parse(bytes(octets), ended=False)
                if isinstance(found, Fetched):
                    return found
                due = found
            if len(octets) > _HEAD + 2 * self.limit:  # chunks may be small, and have sizes
                raise _broken("too large")
        found = self._parse(bytes(octets), ended=True)
        if isinstance(found, int):
            raise ConnectionLost("the server of HTTPS closed the connection too early")
        return found

    def _parse(self, octets: bytes, *, ended: bool) -> Fetched | int:
        """Return the answer in *octets*, or with how many octets to look again: it costs little
        although each comes alone."""
        if b"\r\n\r\n" not in octets and b"\n\n" not in octets:
            return len(octets) + 1
        later = len(octets) + len(octets) // 16 + 1
        try:
            with contextlib.closing(http.client.HTTPResponse(cast("Any", _Octets(octets)))) as it:
                it.begin()
                size = it.length
                if size is None and not it.chunked and not ended:
                    return later  # the body ends with the connection
                start = it.fp.tell()
                body = it.read(self.limit + 1)
                if size is not None and len(body) < min(size, self.limit + 1):
                    return start + min(size, self.limit + 1)
                kind = it.headers.get("content-type", "").partition(";")[0].strip().lower()
        except http.client.IncompleteRead:
            return later
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
