"""The PROXY header that a client may send before anything else."""

from __future__ import annotations

import pytest

from smtpproto import (
    ClientConfig,
    ConnectionLost,
    TimedOut,
    TLSMode,
    TransportError,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from smtpproto.wire.proxy import ProxyHeader
from tests.support.dialogue import (
    GOODBYE,
    hello,
)


def test_the_proxy_header_is_sent_first() -> None:
    written = []

    class Recording(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            written.append(data)
            if len(written) > 1:
                await super().write(data, timeout)

    header = ProxyHeader(("198.51.100.7", 4711), ("192.0.2.1", 25))
    stream, config = Recording(hello() + GOODBYE), ClientConfig(proxy_header=header)

    async def main() -> None:
        async with await start_client(Runtime(), stream, "mx", config, TLSMode.NONE):
            pass

    run(main())
    stream.finish()
    assert written[:2] == [bytes(header), b"EHLO [127.0.0.1]\r\n"]


@pytest.mark.parametrize("error", [TimedOut("slow"), ConnectionLost("gone")])
def test_a_stream_that_fails_at_the_proxy_header_is_closed(error: TransportError) -> None:
    class Failing(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            raise error

    stream, config = Failing(hello()), ClientConfig(proxy_header=ProxyHeader(local=True))
    with pytest.raises(type(error)):
        run(start_client(Runtime(), stream, "mx", config, TLSMode.NONE))
    assert stream.closed
