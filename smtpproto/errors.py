"""Ring 0: every exception of the library, one tree.

::

    SMTPError                      everything below; catch this to catch all of it
    ├── GrammarError               octets or arguments outside the grammar  (also ValueError)
    ├── LocalProtocolError         this side asked for what it may not do; nothing was sent
    │   └── NotOffered             ... because the server did not offer the extension
    ├── RemoteProtocolError        the peer broke the protocol; the link is of no more use
    ├── Refusal                    the peer answered no: 4yz (try later) or 5yz (do not)
    │   ├── SendRefused            ... to a message, for all its recipients
    │   └── LoginRefused           ... to a login; by itself: not now, ask nobody for a password
    │       ├── BadCredentials     ... user name or password are wrong: ask for others
    │       └── EncryptionRequired ... which wants TLS first
    └── TransportError             the link itself failed
        ├── ConnectFailed          it could not be made                     (also ConnectionError)
        ├── ConnectionLost         it ended in the middle of a conversation (also ConnectionError)
        ├── TLSFailed              TLS could not be agreed or verified      (also ConnectionError)
        └── TimedOut               the peer was silent for too long         (also TimeoutError)

Each error says what failed, in which phase, at which command, with which reply, and what to check
next; the text of :class:`str` joins these, escaped, on one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .grammar.reply import GrammarError, Reply, SMTPError
from .outcome import Outcome

__all__ = [
    "BadCredentials",
    "ConnectFailed",
    "ConnectionLost",
    "EncryptionRequired",
    "GrammarError",
    "LocalProtocolError",
    "LoginRefused",
    "NotOffered",
    "Refusal",
    "RemoteProtocolError",
    "SMTPError",
    "SendRefused",
    "TLSFailed",
    "TimedOut",
    "TransportError",
]


@contextmanager
def error_context(phase: str) -> Iterator[None]:
    """Complete the errors that leave this block, or the function that this decorates."""
    try:
        yield
    except SMTPError as error:
        error.complete(phase)
        raise


class LocalProtocolError(SMTPError):
    """This side asked for something that is not allowed now. Nothing was sent."""

    default_check = "what this program asks for, and when"


class NotOffered(LocalProtocolError):
    """The server did not offer the extension that this needs. Nothing was sent; of content whose
    size was not known before, nothing that counts."""

    default_check = "what the server offers; some offer more over TLS or after a login"


class RemoteProtocolError(SMTPError):
    """The peer broke the protocol. What it says next cannot be trusted; close the link."""

    default_check = "whether this is the peer that is meant, and its log"


CHECKS = (
    ("530", "whether the server wants TLS or a login first: tls, login"),
    ("534", "what the reply says: it may want another kind of login"),
    ("4", "the same again later: the reply may say why not now"),
    ("5.1.", "the addresses of sender and recipients"),
    ("5.2.", "the recipient's mailbox, and the size of the message"),
    ("5.3.4", "the size of the message"),
    ("5.5.", "the dialogue: trace shows it"),
    ("5.6.", "the content of the message"),
    ("5.7.", "the server's policy: what the reply says of login, TLS, addresses or content"),
    ("552", "the size of the message, and the recipient's mailbox"),
    ("553", "the addresses of sender and recipients"),
    ("5", "what the reply says, and the server's log"),
)
"""What to check after a refusal: the first row with which its code or enhanced code begins."""


class Refusal(SMTPError):
    """The peer answered 4yz or 5yz. ``reply`` is never None here."""

    reply: Reply

    def __init__(
        self, message: str, reply: Reply, *, phase: str = "", command: str = "", check: str = ""
    ) -> None:
        super().__init__(message, phase=phase, command=command, reply=reply, check=check)

    def _advice(self) -> str:
        codes = str(self.reply.code), str(self.reply.enhanced)
        return self.default_check or next(
            (check for start, check in CHECKS if any(code.startswith(start) for code in codes)), ""
        )


class SendRefused(Refusal):
    """A message was accepted for nobody. ``outcome`` has the reply for each recipient."""

    outcome: Outcome

    def __init__(self, reply: Reply, outcome: Outcome, *, command: str) -> None:
        super().__init__("the message was accepted for nobody", reply, command=command)
        self.outcome = outcome


class LoginRefused(Refusal):
    """The server did not let us log in. If it is not one of the two below, the credentials may well
    be right (RFC 4954 6).

    *details* are what the mechanism told of it: ``status``, ``scope`` and ``openid-configuration``
    of OAuth (RFC 7628 3.2.2).
    """

    details: Mapping[str, str] = {}


class BadCredentials(LoginRefused):
    """User name or password are wrong, or may not be used so (535)."""

    default_check = "user name, password, and what the reply says"


class EncryptionRequired(LoginRefused):
    """The mechanism, or any, is allowed under TLS only (538, 523, 524)."""

    default_check = "tls: the server wants it before the login"


class TransportError(SMTPError):
    """The link failed.

    *may_go_in_clear* says that it was TLS that failed, or the first words under it, where TLS was
    only opportunistic: whoever wants mail to arrive rather than to be hidden (RFC 7435) may send it
    over a new connection with ``tls="none"``. On this one nothing more is said.
    """

    may_go_in_clear: bool = False


class ConnectFailed(TransportError, ConnectionError):
    """No connection could be made."""

    default_check = "host and port, and whether the server runs"


class ConnectionLost(TransportError, ConnectionError):
    """The connection ended in the middle of a conversation."""

    default_check = "the peer's log, and the network on the way"


class TLSFailed(TransportError, ConnectionError):
    """TLS could not be agreed, or the peer's certificate was not verified."""

    default_check = "the peer's log"


class TimedOut(TransportError, TimeoutError):
    """The peer was silent for longer than the phase allows."""

    default_check = "whether the peer is slow or gone; timeouts says how long to wait"
