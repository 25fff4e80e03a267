"""Requests for delivery status notifications in MAIL and RCPT (RFC 3461 4, RFC 6533 3)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Self

from attrs import field, frozen

from ..option_types import checked
from .address import ForwardPath
from .ascii_case import lower, upper
from .parameter_codec import bad_parameter
from .pattern import pattern
from .reply import GrammarError
from .unitext import decode_unitext, encode_unitext, is_unitext
from .xtext import decode_xtext, encode_xtext

MAX_ENVID = 100  # octets of xtext (RFC 3461 5.4)
MAX_ORCPT = 500  # octets of the value (RFC 3461 5.4)
_LONG_ENVID = f"envelope identifier of more than {MAX_ENVID} octets"
_LONG_ORCPT = f"original recipient of more than {MAX_ORCPT} octets"

_PRINTABLE = pattern(r"[ -~]*")
_ADDR_TYPE = pattern(r"[A-Za-z0-9!#$%&'*+/?^_`{|}~-]+")  # an atom; no value may contain "="
_REGISTERED = frozenset({"rfc822", "utf-8", "x400"})  # IANA, Mail Address Types
_UTF8 = "utf-8"


class Ret(enum.Enum):
    """How much of the message a notification of failure returns (RFC 3461 4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


class Notify(enum.Enum):
    """When the sender is notified (RFC 3461 4.1). NEVER excludes all others."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


def to_notify(value: Iterable[Notify] | None) -> frozenset[Notify] | None:
    """Return any collection as a set. Raises GrammarError if it is empty, or if it contains NEVER
    and others."""
    if value is None:
        return None
    notify = frozenset(value)
    if not notify or (Notify.NEVER in notify and len(notify) > 1):
        raise bad_parameter("must be NEVER alone, or one or more of the others")
    return notify


def read_notify(text: str) -> frozenset[Notify] | None:
    """Read ``"NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" )``. Raises GrammarError.

    Empty elements are accepted, as in any list of RFC 822, and repeated ones too.
    """
    by_name = {member.value: member for member in Notify}
    names = [upper(name) for name in text.split(",") if name]
    if not all(name in by_name for name in names):
        raise bad_parameter(f"must be a list of {', '.join(by_name)}")
    return to_notify(by_name[name] for name in names)


def write_notify(notify: frozenset[Notify]) -> str:
    """Write *notify* as a list, in the order of the RFC."""
    return ",".join(member.value for member in Notify if member in notify)


def check_envid(envid: str) -> None:
    """Raise GrammarError unless *envid* is printable ASCII, not empty, and at most 100 octets of
    xtext."""
    if not envid or not _PRINTABLE.fullmatch(envid):
        raise bad_parameter("an envelope identifier must be printable ASCII")
    if len(encode_xtext(envid)) > MAX_ENVID:
        raise bad_parameter(_LONG_ENVID)


def read_envid(text: str) -> str:
    """Read the value of ENVID (RFC 3461 4.4). Raises GrammarError."""
    if len(text) > MAX_ENVID:
        raise bad_parameter(_LONG_ENVID)
    envid = decode_xtext(text)
    check_envid(envid)
    return envid


@checked
@frozen
class OriginalRecipient:
    r"""``addr-type ";" address``: the recipient that the sender originally named (RFC 3461 4.2).

    *address* is the decoded text: printable ASCII, or for the type utf-8 also what RFC 6533 3
    encodes. It need not be an address of its type. The type utf-8 is written in ASCII (``\x{E9}``)
    unless that would take more than 500 octets. Raises GrammarError.
    """

    addr_type: str = field()
    address: str = field()

    def __attrs_post_init__(self) -> None:
        if not _ADDR_TYPE.fullmatch(self.addr_type):
            raise bad_parameter("not an address type")
        fits = is_unitext if self.is_utf8 else _PRINTABLE.fullmatch
        if not fits(self.address):
            raise bad_parameter(f"characters that the type {self.addr_type} does not allow")
        if len(str(self).encode()) > MAX_ORCPT:
            raise bad_parameter(_LONG_ORCPT)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the value of ORCPT, with the type utf-8 in any of its three forms. Raises
        GrammarError."""
        if len(text.encode("utf-8", "replace")) > MAX_ORCPT:
            raise bad_parameter(_LONG_ORCPT)
        addr_type, semicolon, encoded = text.partition(";")
        if not semicolon:
            raise bad_parameter("an address type and ';' must precede the address")
        decode = decode_unitext if lower(addr_type) == _UTF8 else decode_xtext
        try:
            return cls(addr_type, decode(encoded))
        except GrammarError as error:
            offset = error.offset + len((addr_type + semicolon).encode("utf-8", "replace"))
            raise GrammarError(error.message, offset=offset, reply=error.reply) from None

    @classmethod
    def of(cls, path: ForwardPath) -> Self:
        """Return the value for *path* itself, which the client that submits a message sends."""
        return cls("rfc822" if path.isascii else _UTF8, str(path))

    @property
    def is_utf8(self) -> bool:
        """Whether the address is of type utf-8."""
        return lower(self.addr_type) == _UTF8

    @property
    def isascii(self) -> bool:
        """Whether the value can be written without SMTPUTF8."""
        return str(self).isascii()

    @property
    def is_registered(self) -> bool:
        """Whether the address type is in IANA's registry. Other types are relayed unchanged."""
        return lower(self.addr_type) in _REGISTERED

    def __str__(self) -> str:
        if not self.is_utf8:
            return f"{self.addr_type};{encode_xtext(self.address)}"
        text = f"{self.addr_type};{encode_unitext(self.address)}"
        if len(text) <= MAX_ORCPT:
            return text
        return f"{self.addr_type};{encode_unitext(self.address, seven_bit=False)}"
