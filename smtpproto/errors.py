"""Ring 1: all exceptions of the library, as one tree.

::

    SMTPError                      any error of this library
    ├── GrammarError               octets or arguments outside the grammar  (also ValueError)
    ├── Refusal                    the peer refused: 4yz (try later) or 5yz (permanent)
    │   ├── SendRefused            the server refused a message, for all recipients or for some
    │   └── LoginRefused           the server refused a login; the password may still be right
    │       ├── BadCredentials     the user name or password is wrong: ask for new ones
    │       └── EncryptionRequired the server requires TLS before this login
    ├── OutcomeUnknown             the server may have accepted a message, or not
    ├── LocalProtocolError         your program asked for what is not allowed now
    │   └── NotOffered             the server did not offer an extension that is needed
    ├── RemoteProtocolError        the peer broke the protocol; the connection is unusable
    ├── NoRoute                    there is no host for a recipient's domain
    ├── QueueFailed                the queue's store is broken, or cannot write
    │   ├── QueueFull              there is no room in it: try again later
    │   └── ContentLost            a message in it is without its content, or that is damaged
    ├── StatesFailed               the store of guards is broken, or cannot write
    └── TransportError             the connection failed
        ├── ConnectFailed          it could not be opened                   (also ConnectionError)
        ├── ConnectionLost         it ended in the middle of a conversation (also ConnectionError)
        ├── TLSFailed              TLS could not be agreed or verified      (also ConnectionError)
        └── TimedOut               the peer did not answer in time          (also TimeoutError)

Each error has, as attributes, what failed, the phase, the command, the reply, and what to check
next. ``str(error)`` joins them on one line, escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .grammar.reply import EnhancedCode, GrammarError, SMTPError
from .outcome import CHECKS, OutcomeUnknown, Refusal, SendRefused

__all__ = [
    "CHECKS", "BadCredentials", "ConnectFailed", "ConnectionLost", "ContentLost",
    "EncryptionRequired",
    "GrammarError", "LocalProtocolError", "LoginRefused", "NoRoute", "NotOffered", "OutcomeUnknown",
    "QueueFailed", "QueueFull", "Refusal", "RemoteProtocolError", "SMTPError", "SendRefused",
    "StatesFailed", "TLSFailed", "TimedOut", "TransportError",
]  # fmt: skip


class error_context:  # noqa: N801 - used like contextlib.suppress
    """Add *phase* and advice to errors that leave the block."""

    def __init__(self, phase: str) -> None:
        self._phase = phase

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and isinstance(error, SMTPError):
            error.complete(self._phase)


class LocalProtocolError(SMTPError):
    """The program asked for something that is not allowed now. Nothing was sent."""

    fault = "misuse"
    default_check = "the calls that this program makes, and their order"


class NotOffered(LocalProtocolError):
    """The server did not offer an extension that is needed.

    Nothing was sent, or, for content of unknown size, the server discards what was sent.
    """

    fault = "not-offered"
    default_check = "the extensions that the server offers; some offer more after TLS or a login"
    status: EnhancedCode
    """What a delivery report says of it (RFC 3463), for example 5.6.7 without SMTPUTF8."""

    def __init__(
        self,
        message: str,
        *,
        status: EnhancedCode | str = "5.5.0",
        phase: str = "",
        command: str = "",
        check: str = "",
    ) -> None:
        super().__init__(message, phase=phase, command=command, check=check)
        self.status = EnhancedCode.parse(status) if isinstance(status, str) else status


class RemoteProtocolError(SMTPError):
    """The peer broke the protocol. Close the connection: its further replies mean nothing."""

    fault = "protocol-error"
    default_check = "that this is the host and port you meant, and the peer's log"


class LoginRefused(Refusal):
    """The server refused the login.

    Unless the error is one of the two subclasses, the credentials may be right (RFC 4954 6): try
    again later, and do not ask the user for a new password.
    """

    details: Mapping[str, str] = {}
    """The server's reasons, as the mechanism sends them: ``status``, ``scope`` and
    ``openid-configuration`` of OAuth (RFC 7628 3.2.2), or ``scram-error``."""


class BadCredentials(LoginRefused):
    """The user name or password is wrong, or not valid for this login (535)."""

    default_check = "the user name and password, and what the reply says"


class EncryptionRequired(LoginRefused):
    """The server allows this login only under TLS (538, 523, 524)."""

    default_check = "the option tls: the server requires TLS before the login"


class NoRoute(SMTPError):
    """There is no host for a recipient's domain. ``reply`` is 5yz if there will be none later."""

    fault = "no-mail-host"
    default_check = "the MX and address records of the domain"


class QueueFailed(SMTPError):
    """The queue's store is broken or cannot write. Nothing of what was asked for is certain."""

    fault = "queue-failed"
    default_check = "the disk and the permissions of the queue, and what the error says"


class QueueFull(QueueFailed):
    """There is no room in the queue's store. Nothing was written."""

    fault = "queue-full"
    default_check = "the free space of the disk, and the limits of the queue"


class ContentLost(QueueFailed):
    """The content of a message in the queue is missing or damaged. Others are not affected."""

    fault = "content-lost"
    default_check = "the disk; put back a copy of the file and release the message, or drop it"


class StatesFailed(SMTPError):
    """The store that keeps buckets and triplets for guards is broken or cannot write."""

    fault = "states-failed"
    default_check = "the disk and the permissions of the guards' store, and what the error says"


class TransportError(SMTPError):
    """The connection failed."""

    may_go_in_clear: bool = False
    """Whether opportunistic TLS failed, in the handshake or in the first command after it. If
    delivery matters more than secrecy (RFC 7435), the caller may send over a new connection with
    ``tls="none"``. Nothing more is sent on this one."""


class ConnectFailed(TransportError, ConnectionError):
    """The connection could not be opened."""

    fault = "connect-failed"
    default_check = "the host and port, and that the server is running"


class ConnectionLost(TransportError, ConnectionError):
    """The connection ended in the middle of a conversation."""

    fault = "connection-lost"
    default_check = "the peer's log, and the network in between"


class TLSFailed(TransportError, ConnectionError):
    """TLS could not be agreed, or the peer's certificate was not verified."""

    fault = "tls-failed"
    default_check = "the peer's log"
    connection_ended: bool = False
    """Whether all that failed is that the peer closed the connection, or the network broke it."""
    certificate_fault: Literal["", "expired", "name", "untrusted"] = ""
    """What is wrong with the peer's certificate: its dates, its names, or who issued it; "": it was
    not the certificate that failed."""


class TimedOut(TransportError, TimeoutError):
    """The peer did not answer within the time that the phase allows."""

    fault = "timed-out"
    default_check = "whether the peer is slow or down; set timeouts to wait longer"
