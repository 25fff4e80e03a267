"""The fields that a server puts before a message: Received, and at final delivery Return-Path
(RFC 5321 4.4)."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address

from attrs import frozen

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.domain import AddressLiteral, Domain, HelloHost, Host
from ..grammar.local_part import ATOM
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError

_REMEMBERED = 1000  # addresses of clients, because to read one is slow
_ATOM = pattern(ATOM)
_CIPHER = pattern(r"TLS(_[A-Z0-9]+)+")  # the names of IANA; OpenSSL's own ones are not allowed


@frozen(kw_only=True)
class Received:
    """A Received field: how one server received a message."""

    hello: HelloHost | None
    """The name in EHLO. It is left out if it is neither a domain nor an address literal, because
    its text comes from the client."""
    peer: str
    """The client's IP address, or "" if there is none."""
    by: Host
    """The name of this server."""
    when: datetime
    """The time of receipt, with a time zone."""
    extended: bool = True
    """Whether the client sent EHLO or LHLO, not HELO."""
    lmtp: bool = False
    secure: bool = False
    """Whether TLS was active."""
    authenticated: bool = False
    utf8: bool = False
    """Whether MAIL had SMTPUTF8."""
    cipher: str = ""
    """The cipher suite of TLS. It is written only if it has the name of its registration."""
    id: str = ""
    """The server's id of the message: an atom, or "" for none."""
    recipient: ForwardPath | None = None
    """The recipient, if there is just one: the field must not tell one recipient of the others. One
    without a domain is not written."""
    priority: int | None = None
    """The priority of the message (RFC 6710 4.1)."""

    def __attrs_post_init__(self) -> None:
        if self.id and not _ATOM.fullmatch(self.id):
            raise GrammarError(f"not an id for a Received field: {self.id!r}; use an atom")
        if self.when.tzinfo is None:
            raise GrammarError("the time of a Received field needs a time zone")

    @property
    def protocol(self) -> str:
        """The name after ``with`` (RFC 3848, RFC 6531 3.7.3)."""
        if not self.extended:
            return "SMTP"
        name = "LMTP" if self.lmtp else "SMTP" if self.utf8 else "ESMTP"
        return "UTF8" * self.utf8 + name + "S" * self.secure + "A" * self.authenticated

    def __bytes__(self) -> bytes:
        """Return the field with its CRLF, in UTF-8."""
        clauses = [f"by {_extended_domain(str(self.by))}", f"with {self.protocol}"]
        if self.id:
            clauses.append(f"id {self.id}")
        if self.recipient is not None and self.recipient.domain is not None:
            clauses.append(f"for {bytes(self.recipient).decode()}")
        if _CIPHER.fullmatch(self.cipher):
            clauses.append(f"tls {self.cipher}")  # RFC 8314 4.3
        if self.priority is not None:
            clauses.append(f"priority {self.priority}")
        lines = [f"Received: from {self._client}", *clauses]
        return ("\r\n\t".join(lines) + f";\r\n\t{self._date}\r\n").encode()

    @property
    def _date(self) -> str:
        """The time in its own zone; in UTC if the zone's offset is not of whole minutes, which
        cannot be written."""
        offset = self.when.utcoffset() or timedelta()
        whole = offset % timedelta(minutes=1) == timedelta()
        return format_datetime(self.when if whole else self.when.astimezone(UTC))

    @property
    def _client(self) -> str:
        """The name that the client gave, and its address, as far as they can be written (RFC 5321
        4.4, From-domain)."""
        hello = self.hello
        strict = isinstance(hello, AddressLiteral) or (
            isinstance(hello, Domain) and not hello.loose
        )
        name = str(hello) if strict else ""
        literal = _literal(self.peer)
        return _extended_domain(name or literal or "localhost", literal)


def _extended_domain(host: str, literal: str = "") -> str:
    """Write an Extended-Domain (RFC 5321 4.4), where no address literal may stand alone."""
    info = literal or (host if host.startswith("[") else "")
    return f"{host} ({info})" if info else host


def return_path(sender: ReversePath) -> bytes:
    """Return the Return-Path field, with its CRLF."""
    return b"Return-Path: " + bytes(sender) + b"\r\n"


@functools.lru_cache(_REMEMBERED)
def _literal(address: str) -> str:
    try:
        return str(AddressLiteral(ip_address(address.partition("%")[0])))
    except ValueError:
        return ""
