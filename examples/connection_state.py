"""A handler per connection: what one client does is in its own, typed attributes."""

from __future__ import annotations

import trio

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters.trio import serve


class Patient(Handler):
    """Turns a client away after three recipients that do not exist."""

    known = frozenset({"ann", "bob"})

    def __init__(self) -> None:
        self.strangers = 0

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.local_part in self.known or recipient.is_postmaster:
            return None
        self.strangers += 1
        if self.strangers > 3:
            return Reply(421, "4.7.0", "Too many unknown recipients")
        return Reply(550, "5.1.1", "No such user here")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        print(f"{len(body)} octets from {session.peer[0]}")


async def main(port: int = 2525) -> None:
    async with serve(Patient, "127.0.0.1", port) as server:  # the class: one for each connection
        print(f"listening on port {server.port}")
        await server.wait()


if __name__ == "__main__":
    trio.run(main)
