"""A server with one handler for each connection: its attributes hold the state of one client."""

from __future__ import annotations

import trio

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters.trio import serve


class Mailboxes(Handler):
    """Closes the connection after three unknown recipients."""

    users = frozenset({"ann", "bob"})

    def __init__(self) -> None:
        self.unknown = 0

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.local_part in self.users or recipient.is_postmaster:
            return None
        self.unknown += 1
        if self.unknown > 3:
            return Reply(421, "4.7.0", "Too many unknown recipients")
        return Reply(550, "5.1.1", "No such user here")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        print(f"{len(body)} octets from {session.peer[0]}")


async def main(port: int = 2525) -> None:
    async with serve(Mailboxes, "127.0.0.1", port) as server:  # the class: one handler a connection
        print(f"listening on port {server.port}")
        await server.wait()


if __name__ == "__main__":
    trio.run(main)
