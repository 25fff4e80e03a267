"""An email backend for Django: ``EMAIL_BACKEND = "smtpproto.adapters.django.EmailBackend"``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from email.message import Message
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from django import conf  # its settings are read late: tools look at modules without them

from ..client import PoolOptions, TLSMode
from ..errors import GrammarError, SMTPError
from ..grammar.address import Mailbox
from ..grammar.domain import Domain
from ..grammar.envelope import Envelope
from ..grammar.printable import quoted
from ..grammar.secret import keeps_secret_arguments
from ..limits import Timeouts
from ..mail.address_list import parse_address_list
from ..outcome import Outcome, OutcomeUnknown
from ..sasl import Login
from ..tls.verify import ClientCertificate
from .blocking import pool
from .facade import Pool

if TYPE_CHECKING:  # Django has no types

    class BaseEmailBackend:
        """What type checkers see of Django's class."""

        def __init__(self, **options: str) -> None: ...
        def __enter__(self) -> Self: ...
        def __exit__(self, *error: object) -> None: ...
else:
    from django.core.mail.backends.base import BaseEmailBackend

__all__ = ["DjangoMessage", "EmailBackend"]

_log = logging.getLogger("smtpproto.client")

_PHASES = (
    "connect", "tls", "greeting", "hello", "auth", "mail", "rcpt", "data", "block", "final",
    "other", "quit",
)  # fmt: skip
_LISTS = ("To", "Cc", "Reply-To")  # header fields, each from an attribute of the message


class DjangoMessage(Protocol):
    """What the backend uses of a ``django.core.mail.EmailMessage``."""

    from_email: str
    extra_headers: Mapping[str, object]

    def message(self) -> Message:
        """Return the message as the standard library has it."""
        ...

    def recipients(self) -> list[str]:
        """Return all recipients, also those of Bcc."""
        ...


@keeps_secret_arguments
class EmailBackend(BaseEmailBackend):
    """Sends the messages of Django over one connection, which it opens when needed.

    The arguments are those of Django's SMTP backend, whose settings ``EMAIL_HOST`` to
    ``EMAIL_SSL_CERTFILE`` are the defaults, and the options of :func:`.blocking.pool`, whose
    defaults are in the setting ``SMTPPROTO_EMAIL``. If Django makes the backend from its setting
    ``MAILERS``, *alias* is its name there, and only the arguments count.

    An application that catches ``smtplib.SMTPException`` must catch
    :class:`~smtpproto.errors.SMTPError` instead. Several threads may use a backend: they send in
    turn. Raises ValueError and TypeError for settings that make no sense.
    """

    connection: Pool | None = None
    """What messages are sent over, while the backend is open."""

    def __init__(  # noqa: PLR0913, PLR0917 - the arguments of Django's own backend
        self,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        use_tls: bool | None = None,
        fail_silently: bool = False,
        use_ssl: bool | None = None,
        timeout: float | None = None,
        ssl_keyfile: str | None = None,
        ssl_certfile: str | None = None,
        alias: str | None = None,
        _ignore_unknown_kwargs: object = None,
        **options: Any,
    ) -> None:
        super().__init__(**({} if alias is None else {"alias": alias}))
        self.fail_silently: bool = fail_silently
        given: dict[str, Any] = {
            "HOST": host,
            "PORT": port,
            "HOST_USER": username,
            "HOST_PASSWORD": password,
            "USE_TLS": use_tls,
            "USE_SSL": use_ssl,
            "TIMEOUT": timeout,
            "SSL_KEYFILE": ssl_keyfile,
            "SSL_CERTFILE": ssl_certfile,
        }
        if alias is None:
            defaults = {name: getattr(conf.settings, f"EMAIL_{name}") for name in given}
            given = defaults | {name: it for name, it in given.items() if it is not None}
            options = getattr(conf.settings, "SMTPPROTO_EMAIL", {}) | options
        self._host: str = given["HOST"] or "localhost"
        self._port: int | None = given["PORT"]
        self._options = cast("PoolOptions", _options(given) | options)
        self._lock = threading.RLock()

    def open(self) -> bool | None:
        """Connect and log in, unless this has been done; return whether it was needed.

        Raises :class:`~smtpproto.errors.SMTPError`; returns None in its place if the backend fails
        silently.
        """
        with self._lock:
            if self.connection is not None:
                return False
            opened = pool(self._host, self._port, **self._options)
            try:
                opened.connect()
            except SMTPError:
                if not self.fail_silently:
                    raise
                return None
            self.connection = opened
            return True

    def close(self) -> None:
        """Send QUIT and close the connection. Never raises."""
        with self._lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None

    def send_messages(self, email_messages: Sequence[DjangoMessage]) -> int:
        """Send each message; return for how many a server has accepted it.

        A connection that it opens for this is closed at the end. Each message gets an attribute
        ``outcome``, an :class:`~smtpproto.outcome.Outcome`. A message counts if it was accepted for
        any recipient; a warning is logged for those that were refused.

        Raises :class:`~smtpproto.errors.SendRefused` if all recipients of a message are refused,
        :class:`~smtpproto.errors.OutcomeUnknown` if it cannot be known whether it was accepted, and
        other errors of the library; if the backend fails silently, it goes on with the next
        message. Raises :class:`~smtpproto.errors.GrammarError`, a ValueError, for a malformed
        address in any case.
        """
        if not email_messages:
            return 0
        with self._lock:
            opened = self.open()
            if self.connection is None:
                return 0
            try:
                return sum(self._send(self.connection, it) for it in email_messages)
            finally:
                if opened:
                    self.close()

    def _send(self, connection: Pool, message: DjangoMessage) -> bool:
        if not message.recipients():
            return False
        envelope = Envelope(
            _mailbox(message.from_email), [_mailbox(it) for it in message.recipients()]
        )
        content = _content(message)
        try:
            _note(message, connection.send(content, envelope))
        except GrammarError:
            raise
        except SMTPError as error:
            if isinstance(outcome := getattr(error, "outcome", None), Outcome):
                message.outcome = outcome  # type: ignore[attr-defined]
            if not self.fail_silently:
                raise
            return False
        return True


def _options(given: Mapping[str, Any]) -> dict[str, object]:
    """Return the options of a pool that settings of Django stand for."""
    if given["USE_TLS"] and given["USE_SSL"]:
        raise ValueError("EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other; set one of them")
    options: dict[str, object] = {"max_connections": 1, "max_messages": None}
    if given["USE_TLS"] or given["USE_SSL"]:
        options["tls"] = TLSMode.IMPLICIT if given["USE_SSL"] else TLSMode.REQUIRED
    if given["HOST_USER"] and given["HOST_PASSWORD"]:
        options["login"] = Login(given["HOST_USER"], given["HOST_PASSWORD"])
    if given["SSL_CERTFILE"]:
        options["certificate"] = ClientCertificate(given["SSL_CERTFILE"], given["SSL_KEYFILE"])
    if given["TIMEOUT"] is not None:  # for each wait, as that of a socket
        options["timeouts"] = Timeouts(**dict.fromkeys(_PHASES, given["TIMEOUT"]))
    return options


def _note(message: DjangoMessage, outcome: Outcome) -> None:
    """Keep *outcome*; log who was refused. Raises OutcomeUnknown."""
    message.outcome = outcome  # type: ignore[attr-defined]
    if outcome.refused:
        _log.warning("sent, but not to all recipients: %s", outcome)
    if outcome.unknown:
        raise OutcomeUnknown(outcome) from outcome.error


def _mailbox(text: object) -> Mailbox:
    """Return the mailbox in an address that may have a display name, without a need for SMTPUTF8
    if A-labels are enough. Raises GrammarError."""
    try:
        mailboxes = parse_address_list(str(text))
    except GrammarError as error:
        raise GrammarError(f"not an address: {quoted(str(text))}: {error.message}") from None
    if len(mailboxes) != 1:
        raise GrammarError(f"not one address: {quoted(str(text))}; pass each address on its own")
    [mailbox] = mailboxes
    if mailbox.local_part.isascii() and isinstance(mailbox.domain, Domain):
        return Mailbox(mailbox.local_part, mailbox.domain.a_labels())
    return mailbox


def _content(message: DjangoMessage) -> Message:
    """Return the message as an email object. Before Django 6 addresses whose local-part is not
    ASCII are in encoded words, where they are no addresses; these are written as they are."""
    content = message.message()
    for name, value in _address_fields(message):
        if name in content and not _has_ascii_local_parts(value):
            content.replace_header(name, value)
    return content


def _address_fields(message: DjangoMessage) -> Iterable[tuple[str, str]]:
    """Yield the address fields as Django has got them."""
    given = message.extra_headers
    yield "From", str(given.get("From", message.from_email))
    for name in _LISTS:
        listed: Iterable[object] = getattr(message, name.lower().replace("-", "_"))
        yield name, str(given.get(name, ", ".join(map(str, listed))))


def _has_ascii_local_parts(value: str) -> bool:
    return value.isascii() or all(it.local_part.isascii() for it in parse_address_list(value))
