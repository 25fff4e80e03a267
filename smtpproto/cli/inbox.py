"""The handlers behind ``serve`` and ``demo``: take every message, perhaps only after a login."""

from __future__ import annotations

from collections.abc import Callable

from ..grammar.envelope import Envelope
from ..grammar.printable import printable
from ..grammar.secret import Secret
from ..sasl import Authenticator, Login
from ..server.handler import Handler, Session, Sink

Store = Callable[[Envelope], Sink]
"""What makes a sink for each message."""


class Inbox(Handler):
    """Takes mail for anybody into a store. Nothing is ever relayed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def data(self, session: Session, envelope: Envelope) -> Sink:
        return self._store(envelope)


class OneUser(Authenticator):
    """Lets one user in."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def check_password(self, username: str, password: Secret) -> bool:
        known = username == self._login.username
        return password == self._login.password and known


class Printout:
    """A sink that prints a message, envelope first, once it is complete."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._content = bytearray()  # the server's limit on message size bounds it

    def write(self, data: bytes) -> None:
        self._content += data

    def commit(self) -> None:
        content = bytes(self._content)
        sender = str(self._envelope.sender) or "<>"
        recipients = ", ".join(map(str, self._envelope.recipients))
        print(f"-------- from {sender}, to {recipients}: {len(content)} octets")
        for line in content.removesuffix(b"\r\n").split(b"\r\n"):
            print(shown(line))
        print("-------- end", flush=True)

    def abort(self) -> None:
        self._content.clear()


def shown(line: bytes) -> str:
    """A line of content, tabs as they are, and what could upset a terminal escaped."""
    return "\t".join(map(printable, line.split(b"\t")))
