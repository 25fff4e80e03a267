"""The fields of a delivery report: message/delivery-status (RFC 3464 2, RFC 6533 4)."""

from __future__ import annotations

import enum
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, mktime_tz, parsedate_tz
from typing import Any, NamedTuple

from attrs import field, frozen

from ..grammar.address import ForwardPath
from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import EnhancedCode, GrammarError, Reply
from ..grammar.unitext import decode_unitext, encode_unitext
from ..option_types import checked

__all__ = ["Action", "DeliveryStatus", "RecipientStatus", "TypedValue"]

MAX_STATUS = 1024 * 1024  # octets of a status that are read
MAX_FIELD = 8192  # characters of a field that are read
_FOLD = 78  # characters of a line, where it can be folded
_LINE = 960  # octets of a line that cannot be folded, without its name (RFC 5322 2.1.1)
_WIDEST = 4  # octets of a character in UTF-8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELD = pattern(r"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_TYPE = pattern(r"[ \t]*([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)[ \t]*;(.*)", re.DOTALL)
_NO_REPLY = pattern(r"\n(?![2-5][0-9]{2}(?:[ \n-]|\Z))")
_COMMENT = pattern(r"[ \t]*\([^()]*\)[ \t]*")
_STATUS = pattern(r"(?<![0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
_SINGLE_BLANK = pattern(r"(?<=\S) (?=\S)(?![2-5][0-9]{2}[ -])")


class Action(enum.Enum):
    """What happened to a message for one recipient (RFC 3464 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    """To a system that may not report what becomes of it."""
    EXPANDED = "expanded"
    """The address stands for several others, to which the message was sent."""


_CLASS_OF = {Action.FAILED: 5, Action.DELAYED: 4}  # all others: 2
_ACTION_OF = {5: Action.FAILED, 4: Action.DELAYED, 2: Action.DELIVERED}


@checked
@frozen
class TypedValue:
    """``type ";" value``: an address, the name of a mail server or a diagnostic.

    The value is decoded; lines of a diagnostic are separated by a newline.
    """

    type: str
    value: str

    @property
    def is_utf8(self) -> bool:
        """Whether the type is that of internationalised addresses (RFC 6533 3)."""
        return lower(self.type) == "utf-8"

    @property
    def path(self) -> ForwardPath | None:
        """The value as the address of a recipient; None if it is not one."""
        address = self.value.strip(" \t")
        address = address[1:-1] if address[:1] == "<" and address[-1:] == ">" else address
        try:
            return ForwardPath.of(address)
        except GrammarError:
            return None

    @property
    def reply(self) -> Reply | None:
        """The value as the reply of a server, which a diagnostic of type ``smtp`` is; None if it is
        not one."""
        if lower(self.type) != "smtp":
            return None
        try:
            return Reply.from_lines([line.encode() for line in self.value.split("\n")])
        except GrammarError:
            return None

    def write(self, *, utf8: bool) -> str:
        """Return the body of the field, folded. Without *utf8* it is ASCII."""
        if self.is_utf8:
            address = _write_address(self.value, utf8=utf8)
            most = _LINE // _WIDEST
            pieces = [address[at : at + most] for at in range(0, len(address), most)] or [""]
            return "\r\n ".join([f"{self.type}; {pieces[0]}", *pieces[1:]])
        lines = [_safe(line, utf8=utf8) for line in f"{self.type}; {self.value}".split("\n")]
        return "\r\n ".join(_fold(line) for line in lines)


def _write_address(address: str, *, utf8: bool) -> str:
    """Return an address of type utf-8; as it is, if *utf8* allows and it cannot be misread."""
    plain = address.isprintable() and "\\" not in address and address == address.strip(" \t")
    plain = plain and len(address) <= _LINE // _WIDEST  # else it is cut, as encoded ones can be
    return address if utf8 and plain else encode_unitext(address, seven_bit=not utf8)


def _safe(text: str, *, utf8: bool) -> str:
    text = printable(text)
    return text if utf8 else text.encode("ascii", "backslashreplace").decode()


def _fold(line: str) -> str:
    """Return *line* with CRLF before single blanks, where unfolding restores it exactly."""
    most = _LINE if line.isascii() else _LINE // _WIDEST
    blanks = [found.start() for found in _SINGLE_BLANK.finditer(line)]
    folded, start, room = list[str](), 0, _FOLD - len("Original-Envelope-Id: ")
    while len(line) - start > room:
        after = bisect_right(blanks, start + room)
        near = blanks[max(after - 1, 0) : after + 1]  # the last that fits, and the next one
        cut = next((at for at in near if start < at < start + most), start + most)
        if cut >= len(line):
            break
        folded.append(line[start:cut])
        start, room = cut + (line[cut] == " "), _FOLD
    return "\r\n  ".join([*folded, line[start:]])


@frozen(kw_only=True)
class RecipientStatus:
    """What a report says of one recipient. Times are seconds since the epoch."""

    final_recipient: TypedValue
    """The address to which the delivery was tried."""
    action: Action
    status: EnhancedCode
    original_recipient: TypedValue | None = None
    """The address that the sender named (ORCPT)."""
    remote_mta: TypedValue | None = None
    """The server that answered, if there was one."""
    diagnostic_code: TypedValue | None = None
    """What it answered."""
    last_attempt: float | None = None
    final_log_id: str = ""
    will_retry_until: float | None = None
    """When a delayed message is returned."""
    others: tuple[tuple[str, str], ...] = ()
    """Fields that the RFC does not name, with their bodies."""

    @property
    def address(self) -> str:
        """The address that the sender used, as far as the report tells it."""
        return (self.original_recipient or self.final_recipient).value


@frozen(kw_only=True)
class DeliveryStatus:
    """What a report says to programs: ``bytes()`` has the fields in ASCII."""

    reporting_mta: TypedValue | None = None
    """The server that made the report. Only a report that breaks the RFC lacks it."""
    recipients: tuple[RecipientStatus, ...]
    envelope_id: str = ""
    """The ENVID of the message, decoded; "" if there was none."""
    gateway: TypedValue | None = None
    received_from: TypedValue | None = None
    """The client from which that server received the message."""
    arrival: float | None = None
    """When it did, in seconds since the epoch."""
    others: tuple[tuple[str, str], ...] = ()
    """Fields that the RFC does not name, with their bodies."""
    faults: tuple[str, ...] = field(default=(), eq=False)
    """How the report that was read breaks the RFC."""

    @classmethod
    def parse(cls, octets: bytes) -> DeliveryStatus:
        """Read a report that keeps to RFC 3464. Raises GrammarError for any other."""
        status = cls.read(octets)
        if status.faults:
            raise GrammarError(f"not a delivery status: {status.faults[0]}")
        return status

    @classmethod
    def read(cls, octets: bytes) -> DeliveryStatus:
        """Read what can be read, and note the faults. Octets after the first MiB are ignored."""
        reader = _Reader()
        groups = list(_groups(octets[:MAX_STATUS]))
        first = groups.pop(0) if groups else []
        if any(lower(name) == "final-recipient" for name, _ in first):
            reader.fault("the fields about the message must come first, in a group of their own")
            groups.insert(0, first)
        values = reader.values(first, _MESSAGE_FIELDS)
        if "reporting_mta" not in values:
            reader.fault("there is no Reporting-MTA")
        recipients = [found for group in groups if (found := reader.recipient(group)) is not None]
        if not recipients:
            reader.fault("there is no recipient")
        return cls(**values, recipients=tuple(recipients), faults=tuple(reader.faults))

    def write(self, *, utf8: bool) -> bytes:
        """Return the groups of fields; in ASCII unless *utf8* (RFC 6533 4.2)."""
        groups = [_written(self, _MESSAGE_FIELDS, utf8=utf8)]
        groups += [_written(it, _RECIPIENT_FIELDS, utf8=utf8) for it in self.recipients]
        return "\r\n".join(groups).encode()

    def __bytes__(self) -> bytes:
        return self.write(utf8=False)


# -- fields --------------------------------------------------------------------------------------


class _Codec(NamedTuple):
    """How the body of a field becomes a value, and back. *read* raises ValueError."""

    read: Callable[[str], Any]
    write: Callable[..., str]


def date_field(when: float) -> str:
    """Return a time as a date-time of RFC 5322 3.3, with a numeric zone."""
    return format_datetime(_EPOCH + timedelta(seconds=int(when)))


def _read_date(text: str) -> float:
    try:
        found = parsedate_tz(_one_line(text))
        if found is not None:
            when = float(mktime_tz((*found[:9], found[9] or 0)))
            date_field(when)  # raises for a year that dates do not have
            return when
    except (ValueError, TypeError, IndexError, OverflowError):
        pass
    raise ValueError("not a date-time")


def _split_type(text: str) -> tuple[str, str]:
    found = _TYPE.fullmatch(text)
    if found is None:
        raise ValueError("a type and ';' must come first")
    return found[1], found[2].strip(" \t\n")


def _read_typed(text: str) -> TypedValue:
    kind, value = _split_type(text)
    if lower(kind) == "utf-8":
        with suppress(GrammarError):  # then it is not encoded
            return TypedValue(kind, decode_unitext(value.replace("\n", "")))
    return TypedValue(kind, _one_line(value))


def _read_diagnostic(text: str) -> TypedValue:
    """Return a diagnostic; a new line begins where a line of the field begins like a reply."""
    kind, value = _split_type(text)
    return TypedValue(kind, _NO_REPLY.sub(" ", value))


def _read_action(text: str) -> Action:
    return Action(lower(_COMMENT.sub("", _one_line(text)).strip(" \t")))


def _read_status(text: str) -> EnhancedCode:
    return EnhancedCode.parse(_COMMENT.sub("", _one_line(text)).strip(" \t"))


def _one_line(text: str) -> str:
    return text.replace("\n", " ")


def _write_text(text: str, *, utf8: bool) -> str:
    return _fold(_safe(text, utf8=utf8))


_TEXT = _Codec(lambda text: _one_line(text).strip(" \t"), _write_text)
_TYPED = _Codec(_read_typed, TypedValue.write)
_DIAGNOSTIC = _Codec(_read_diagnostic, TypedValue.write)
_DATE = _Codec(_read_date, lambda when, utf8: date_field(when))
_ACTION = _Codec(_read_action, lambda action, utf8: action.value)
_CODE = _Codec(_read_status, lambda code, utf8: str(code))

_Fields = Mapping[str, tuple[str, _Codec]]
_MESSAGE_FIELDS: _Fields = {
    "Original-Envelope-Id": ("envelope_id", _TEXT),
    "Reporting-MTA": ("reporting_mta", _TYPED),
    "DSN-Gateway": ("gateway", _TYPED),
    "Received-From-MTA": ("received_from", _TYPED),
    "Arrival-Date": ("arrival", _DATE),
}
_RECIPIENT_FIELDS: _Fields = {
    "Original-Recipient": ("original_recipient", _TYPED),
    "Final-Recipient": ("final_recipient", _TYPED),
    "Action": ("action", _ACTION),
    "Status": ("status", _CODE),
    "Remote-MTA": ("remote_mta", _TYPED),
    "Diagnostic-Code": ("diagnostic_code", _DIAGNOSTIC),
    "Last-Attempt-Date": ("last_attempt", _DATE),
    "Final-Log-ID": ("final_log_id", _TEXT),
    "Will-Retry-Until": ("will_retry_until", _DATE),
}


def _written(group: DeliveryStatus | RecipientStatus, fields: _Fields, *, utf8: bool) -> str:
    lines = []
    for name, (attribute, codec) in fields.items():
        if (value := getattr(group, attribute)) is not None and value != "":
            lines.append(f"{name}: {codec.write(value, utf8=utf8)}\r\n")
    lines += [f"{name}: {_write_text(body, utf8=utf8)}\r\n" for name, body in group.others]
    return "".join(lines)


# -- reading -------------------------------------------------------------------------------------

_Group = list[tuple[str, str]]


def _groups(octets: bytes) -> Iterator[_Group]:
    """Yield the groups of fields between empty lines. Lines of a folded field are separated by
    newlines."""
    group: _Group = []
    for line in octets.decode("utf-8", "backslashreplace").split("\n"):
        line = line.removesuffix("\r")  # noqa: PLW2901
        if not line.strip(" \t"):
            if group:
                yield group
            group = []
        elif line[0] in " \t" and group:
            name, body = group[-1]
            if len(body) < MAX_FIELD:
                group[-1] = (name, (body + "\n" + line.lstrip(" \t"))[:MAX_FIELD])
        elif found := _FIELD.fullmatch(line):
            group.append((found[1], found[2].lstrip(" \t")[:MAX_FIELD]))
        else:
            group.append(("", line[:MAX_FIELD]))
    if group:
        yield group


class _Reader:
    """Reads groups, and notes what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def fault(self, text: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(text)

    def values(self, group: _Group, fields: _Fields) -> dict[str, Any]:
        """Return the attributes that *group* gives."""
        known = {lower(name): (name, *field) for name, field in fields.items()}
        values: dict[str, Any] = {}
        others = []
        for name, body in group:
            if not name:
                self.fault(f"not a field: '{printable(body[:40])}'")
            elif (found := known.get(lower(name))) is None:
                others.append((name, _TEXT.read(body)))
            elif found[1] in values:
                self.fault(f"{found[0]} is there twice")
            else:
                self._read(values, body, *found)
        return values | {"others": tuple(others)}

    def _read(
        self, values: dict[str, Any], body: str, name: str, attribute: str, codec: _Codec
    ) -> None:
        try:
            values[attribute] = codec.read(body)
        except ValueError as error:
            self.fault(f"{name}: {error}")
            if codec in (_TYPED, _DIAGNOSTIC) and body.strip():
                values[attribute] = TypedValue("", _one_line(body).strip(" \t"))
            elif codec is _CODE and (found := _STATUS.search(body)):
                values[attribute] = EnhancedCode(*map(int, found[1].split(".")))
            elif codec is _ACTION:
                words = lower(body).split()
                guess = [action for action in Action if words and words[0] == action.value]
                values |= {attribute: guess[0]} if guess else {}

    def recipient(self, group: _Group) -> RecipientStatus | None:
        """Return what *group* says of a recipient; None if it names none."""
        values = self.values(group, _RECIPIENT_FIELDS)
        for name, (attribute, _) in _RECIPIENT_FIELDS.items():
            if name in ("Final-Recipient", "Action", "Status") and attribute not in values:
                self.fault(f"a recipient without {name}")
        original = values.get("original_recipient")
        if values.setdefault("final_recipient", original) is None:
            return None
        self._complete(values)
        return RecipientStatus(**values)

    def _complete(self, values: dict[str, Any]) -> None:
        """Work out a missing status or action from what is there."""
        diagnostic: TypedValue | None = values.get("diagnostic_code")
        if "status" not in values:
            values["status"] = _status_of(diagnostic, values.get("action", Action.FAILED))
        if "action" not in values:
            values["action"] = _ACTION_OF[values["status"].class_]


def _status_of(diagnostic: TypedValue | None, action: Action) -> EnhancedCode:
    """Return the status that a diagnostic states, else the general one of *action*."""
    if diagnostic is not None:
        if (found := _STATUS.search(diagnostic.value)) is not None:
            return EnhancedCode(*map(int, found[1].split(".")))
        if (reply := diagnostic.reply) is not None and not reply.intermediate:
            return EnhancedCode(reply.code // 100, 0, 0)
    return EnhancedCode(_CLASS_OF.get(action, 2), 0, 0)
