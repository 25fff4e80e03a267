"""Our servers: ``our_server NAME PEM MODE``. NAME is an adapter, MODE whole or sink."""

from __future__ import annotations

import asyncio
import ssl
import sys

from smtpproto import Envelope, Handler, Limits, ServerOptions, Session

LIMITS = Limits(
    message_size=None, memory=None, recipients=100_000, junk_commands=10**6, errors=10**6
)


class Whole(Handler):
    """Gets each message as a whole."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


class Discarded:
    """A sink that keeps nothing."""

    def write(self, data: bytes) -> None: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...


class ToSink(Handler):
    """Gets each message in pieces."""

    def data(self, session: Session, envelope: Envelope) -> Discarded:
        return Discarded()


def show(server: object) -> None:
    """Print the port of *server*."""
    print(server.port, flush=True)  # type: ignore[attr-defined]


def serve_blocking(handler: Handler, options: ServerOptions) -> None:
    from smtpproto.adapters.blocking import serve_forever

    serve_forever(handler, on_start=show, **options)


def serve_asyncio(handler: Handler, options: ServerOptions) -> None:
    from smtpproto.adapters.asyncio import serve_forever

    asyncio.run(serve_forever(handler, on_start=show, **options))


def serve_uvloop(handler: Handler, options: ServerOptions) -> None:
    import uvloop

    from smtpproto.adapters.asyncio import serve_forever

    uvloop.run(serve_forever(handler, on_start=show, **options))


def serve_trio(handler: Handler, options: ServerOptions) -> None:
    import trio

    from smtpproto.adapters.trio import serve_forever

    async def main() -> None:
        await serve_forever(handler, on_start=show, **options)

    trio.run(main)


SERVE = {
    "asyncio": serve_asyncio,
    "uvloop": serve_uvloop,
    "trio": serve_trio,
    "blocking": serve_blocking,
}


def main(name: str, certificate: str, mode: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    options: ServerOptions = {"hostname": "mx.example.org", "context": context, "limits": LIMITS}
    SERVE[name](Whole() if mode == "whole" else ToSink(), options)


if __name__ == "__main__":
    main(*sys.argv[1:4])
