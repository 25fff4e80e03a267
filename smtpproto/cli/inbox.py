"""The handler, authenticator and printing sink of ``serve`` and ``demo``."""

from __future__ import annotations

from collections.abc import Callable

from ..grammar.envelope import Envelope
from ..grammar.printable import printable
from ..grammar.secret import Secret
from ..sasl import Authenticator, Login
from ..server.handler import Handler, Session, Sink

Store = Callable[[Envelope], Sink]
"""A function that returns the sink for one message."""


class Inbox(Handler):
    """Stores mail for any recipient, and never relays."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def data(self, session: Session, envelope: Envelope) -> Sink:
        return self._store(envelope)


class SingleUser(Authenticator):
    """Accepts the password of one user."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def check_password(self, username: str, password: Secret) -> bool:
        known = username == self._login.username
        return password == self._login.password and known


class MessagePrinter:
    """A sink that prints a complete message after its envelope."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._content = bytearray()  # bounded by the server's limit on message size

    def write(self, data: bytes) -> None:
        """Append a slice of content."""
        self._content += data

    def commit(self) -> None:
        """Print the envelope and the content."""
        content = bytes(self._content)
        sender = str(self._envelope.sender) or "<>"
        recipients = ", ".join(map(str, self._envelope.recipients))
        print(f"-------- from {sender}, to {recipients}: {len(content)} octets")
        for line in content.removesuffix(b"\r\n").split(b"\r\n"):
            print(escape_line(line))
        print("-------- end", flush=True)

    def abort(self) -> None:
        """Drop the content."""
        self._content.clear()


def escape_line(line: bytes) -> str:
    """Return a line of content as text that is safe on a terminal. Tabs stay as they are."""
    return "\t".join(map(printable, line.split(b"\t")))
