"""A server that accepts mail for one domain and receives each message whole."""

from __future__ import annotations

import asyncio

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters.asyncio import serve


class Inbox(Handler):
    """Accepts mail for example.org."""

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.domain not in ("example.org", None):  # None: <Postmaster>, without a domain
            return Reply(550, "5.7.1", "Relaying denied")
        return None

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        print(f"{envelope.sender} to {len(envelope.recipients)}: {len(body)} octets")


async def main(port: int = 2525) -> None:
    async with serve(Inbox(), "127.0.0.1", port) as server:
        print(f"listening on port {server.port}")
        await server.serve_forever()  # until SIGTERM or SIGINT


if __name__ == "__main__":
    asyncio.run(main())
