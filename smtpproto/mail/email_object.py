"""Email objects of the standard library, written as octets."""

from __future__ import annotations

import copy
from email import errors, policy
from email.generator import BytesGenerator
from email.header import Header
from email.message import Message
from email.policy import Policy
from io import BytesIO
from typing import Any

from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError, accepts
from ..limits import TEXT_LINE
from .address_list import parse_address_list
from .encoded_words import encode_addresses, encode_text, encoded_words, fold
from .header import HeaderField, header_fields, is_field_name, is_one_field, not_utf8
from .header_envelope import ADDRESS_FIELDS, ENVELOPE_FIELDS

_CRLF = "\r\n"
_LINE_END = pattern(r"\r\n|\r|\n")
_OCTET = pattern("[\udc80-\udcff]")  # stands for an octet of a parsed message

# Defects with which the parser leaves out a part of the header section, or ends it too early.
_LOST_FIELDS = (
    errors.FirstHeaderLineIsContinuationDefect,
    errors.InvalidHeaderDefect,
    errors.MisplacedEnvelopeHeaderDefect,
    errors.MissingHeaderBodySeparatorDefect,
)


class _Writer(Policy):
    """Writes a field so that it says on the wire what it says in the message, whatever its policy.

    The email package would fold parsed fields anew and so invalidate signatures, put a line break
    of a value into the header section, and make encoded words of addresses and identifiers.
    """

    utf8 = False

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Return the octets of a field, line end included. Raises GrammarError."""
        if not is_field_name(name):
            text = f"not a field name: {str(name)[:60]!r}"
            raise GrammarError(f"{text}; it must be ASCII, without blanks, line breaks and ':'")
        try:
            written = self._written(name, value)
        except GrammarError:
            raise
        except Exception as error:  # the email package may raise any exception for bad contents
            raise GrammarError(f"cannot write the field {name}: {printable(str(error))}") from error
        if not is_one_field(written):
            text = f"the field {name} has a line break in its value"
            raise GrammarError(f"{text}: {str(value)[:60]!r}; remove it")
        return (written + _CRLF).encode("utf-8", "surrogateescape")

    def _written(self, name: str, value: Any) -> str:
        """Return a field without its line end."""
        if isinstance(value, Header):
            field = f"{name}: {value.encode(linesep=_CRLF)}"
            body = field.partition(":")[2]
            if name.lower() not in ADDRESS_FIELDS or accepts(parse_address_list, body):
                return field
            value = str(value)  # else the addresses would be part of encoded words
        if not isinstance(value, str):
            raise TypeError(f"its value is of the type {type(value).__name__}, not str")
        if hasattr(value, "params"):
            return self._with_parameters(value)
        field = _CRLF.join(_LINE_END.split(f"{name}: {_text(value)}"))
        if not is_one_field(field):
            return field
        may_stay = self.utf8 or field.isascii()
        may_stay = may_stay or (self.cte_type == "8bit" and _OCTET.search(field) is not None)
        if may_stay and not hasattr(value, "fold") and _fits(field):
            return field
        field = field.replace(_CRLF, "")
        return fold(field if may_stay else self._encoded(name, field))

    def _encoded(self, name: str, field: str) -> str:
        text = _decoded(name, field).removeprefix(f"{name}:")
        if name.lower() in ("content-type", "content-disposition"):
            return self._with_parameters(policy.default.header_factory(name, text.strip()))
        encode = encode_addresses if name.lower() in ADDRESS_FIELDS else encode_text
        return f"{name}:{encode(text)}"

    def _with_parameters(self, value: Any) -> str:
        """Write a header object with parameters, which RFC 2231 encodes."""
        form = policy.EmailPolicy(linesep=_CRLF, utf8=self.utf8)
        return str(value.fold(policy=form)).removesuffix(_CRLF)


class _EmailWriter(_Writer, policy.EmailPolicy):
    """Writes an ``EmailMessage``."""


class _ClassicWriter(_Writer, policy.Compat32):
    """Writes a ``Message``."""


def email_fields(message: Message) -> list[HeaderField]:
    """Return the header fields of *message*, not encoded in ASCII.

    Raises GrammarError if a field cannot be written, or if its name or value would begin another
    field or end the header section.
    """
    writer = _writer(message, utf8=True, eight_bit=True)
    fields = []
    for name, value in message.raw_items():
        [field] = header_fields(writer.fold_binary(name, value))
        field.text  # noqa: B018  it must be UTF-8
        fields.append(field)
    return fields


def check_recovered(message: Message) -> None:
    """Raise GrammarError if the email package recovered from a fault in *message* that may have
    cost recipients: in the header section as a whole, or in a field that makes the envelope."""
    for defect in message.defects:
        if isinstance(defect, _LOST_FIELDS):
            raise GrammarError(
                f"the header section was parsed with a {type(defect).__name__}, so recipients may"
                " be missing; pass an envelope"
            )
    for name, value in message.raw_items():
        found = getattr(value, "defects", ()) if name.lower() in ENVELOPE_FIELDS else ()
        for defect in found:
            in_name = "encoded" in str(defect)  # encoded words stand in display names only
            if isinstance(defect, errors.InvalidHeaderDefect) and not in_name:
                raise GrammarError(
                    f"cannot read the field {name}: {printable(str(defect))}; correct it, or pass"
                    " an envelope"
                )


def has_octets(message: Message) -> bool:
    """Return whether *message* was parsed with header fields that are not ASCII."""
    return any(_OCTET.search(str(value)) for _, value in message.raw_items())


def write_email(message: Message, *, utf8: bool, eight_bit: bool) -> bytes:
    """Return the octets of *message* without its Bcc fields (RFC 5321 7.2).

    Header fields are encoded in ASCII unless *utf8*. A field that was parsed, and not changed
    since, keeps its octets if it may. Raises GrammarError if the message cannot be written.
    """
    message = copy.copy(message)
    del message["Bcc"]
    del message["Resent-Bcc"]
    if not utf8:
        _decode_fields(message)
    output = BytesIO()
    try:
        # Not as_bytes: subclasses override it with other arguments, as those of Django do.
        writer = _writer(message, utf8=utf8, eight_bit=eight_bit)
        BytesGenerator(output, mangle_from_=False, policy=writer).flatten(message)
    except Exception as error:  # as above
        if not eight_bit:  # a charset is unknown, so it needs 8BITMIME, as the plan says
            return write_email(message, utf8=utf8, eight_bit=True)
        if isinstance(error, GrammarError):
            raise
        raise GrammarError(f"cannot write the message: {printable(str(error))}") from error
    return output.getvalue()


def _writer(message: Message, *, utf8: bool, eight_bit: bool) -> _Writer:
    is_email = isinstance(message.policy, policy.EmailPolicy)
    kind: type[Any] = _EmailWriter if is_email else _ClassicWriter
    writer: _Writer = kind(utf8=utf8, cte_type="8bit" if eight_bit else "7bit", linesep=_CRLF)
    return writer


def _fits(field: str) -> bool:
    """Return whether no line of *field* is too long (RFC 5322 2.1.1)."""
    lines = field.encode("utf-8", "surrogateescape").split(b"\r\n")
    return max(map(len, lines)) + len(_CRLF) <= TEXT_LINE


def _text(value: str) -> str:
    """Return the text of a field's value, as it was set or parsed.

    The text of an object for an address field has encoded words: decoded, they could be read as
    other addresses. Raises ValueError if there is one in an address (RFC 2047 5(3)).
    """
    # The tree is private; the package's public names give only decoded text.
    tree = getattr(value, "_parse_tree", None)
    return str(value) if tree is None or not hasattr(value, "groups") else _source(tree)


def _source(token: Any) -> str:
    """Return the text of *token*, a node of the email package's parse tree of an address field."""
    kind = token.token_type
    if kind == "encoded-word":
        return encoded_words(str(token))
    if isinstance(token, str):
        return str.__str__(token)  # str() leaves out the blanks between encoded words
    if kind in ("comment", "bare-quoted-string"):
        return str(token)
    text = "".join(map(_source, token))
    if kind == "addr-spec" and "@" in text and text != str(token):
        raise ValueError(f"an encoded word in an address: {text[:60]!r}")
    return text


def _decode_fields(message: Message) -> None:
    """Turn the octets of parsed fields into text, which the writer encodes."""
    # Private; the public way, "del" and "set_raw", copies all fields for each name.
    message._headers = [  # type: ignore[attr-defined]
        (name, _decoded(name, value) if type(value) is str else value)
        for name, value in message.raw_items()
    ]


def _decoded(name: str, value: str) -> str:
    """Return the text of a parsed field, in which surrogates stand for octets.

    Raises GrammarError if the octets are not UTF-8.
    """
    try:
        return value.encode("utf-8", "surrogateescape").decode()
    except UnicodeDecodeError as error:
        raise not_utf8(name, error.start) from None
