"""Email objects of the standard library, written as octets."""

from __future__ import annotations

import copy
import re
from email import policy
from email.generator import BytesGenerator
from email.message import Message
from email.policy import Policy
from io import BytesIO
from typing import Any

from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..limits import TEXT_LINE
from .header import HeaderField, header_fields, not_utf8

_LINE_END = re.compile(r"\r\n|\r|\n")


class _Compat32(policy.Compat32):
    """The policy of classic messages, without folding anew what may stay as it is.

    Such a message does not tell which fields were parsed. The email package would fold all that are
    longer than 78 characters, and so invalidate signatures.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Return the octets of a field, line end included."""
        if isinstance(value, str) and value.isascii():
            first, *others = _LINE_END.split(f"{name}: {value}")
            folded = all(line[:1] in (" ", "\t") for line in others)
            if folded and all(len(line) + 2 <= TEXT_LINE for line in (first, *others)):
                return self.linesep.join([first, *others, ""]).encode()
        return super().fold_binary(name, value)


def email_fields(message: Message) -> list[HeaderField]:
    """Return the header fields of *message*, not encoded in ASCII.

    Raises GrammarError if a field cannot be written, or if its value has a line break that would
    begin another field or end the header section.
    """
    form = _form(message.policy, utf8=True, eight_bit=True)
    return [
        field
        for name, value in message.raw_items()
        for field in header_fields(_written(form, name, value))
    ]


def write_email(message: Message, *, utf8: bool, eight_bit: bool) -> bytes:
    """Return the octets of *message* without its Bcc fields (RFC 5321 7.2).

    Header fields are encoded in ASCII unless *utf8*. A field that was parsed, and not changed
    since, keeps its octets. Raises GrammarError if the message cannot be written.
    """
    message = copy.copy(message)
    del message["Bcc"]
    del message["Resent-Bcc"]
    if not utf8:
        _make_encodable(message)
    form = _form(message.policy, utf8=utf8, eight_bit=eight_bit)
    output = BytesIO()
    try:
        # Not as_bytes: subclasses override it with other arguments, as those of Django do.
        BytesGenerator(output, mangle_from_=False, policy=form).flatten(message)
    except Exception as error:  # the email package may raise any exception for bad contents
        raise GrammarError(f"cannot write the message: {printable(str(error))}") from error
    return output.getvalue()


def _form(form: Policy, *, utf8: bool, eight_bit: bool) -> Policy:
    form = form.clone(linesep="\r\n", cte_type="8bit" if eight_bit else "7bit")
    if isinstance(form, policy.EmailPolicy):
        return form.clone(utf8=utf8, refold_source="none")
    return _Compat32(**vars(form)) if type(form) is policy.Compat32 else form


def _written(form: Policy, name: str, value: Any) -> bytes:
    """Return the octets of a field, line end included."""
    for line in _LINE_END.split(str(value))[1:]:
        if line[:1] not in (" ", "\t"):
            shown = printable(str(value)[:60])
            raise GrammarError(
                f"the field {printable(name)} has a line break in its value: {shown!r}; remove it"
            )
    try:
        return form.fold_binary(name, value)
    except Exception as error:  # as in write_email
        reason = printable(str(error))
        raise GrammarError(f"cannot write the field {printable(name)}: {reason}") from error


def _make_encodable(message: Message) -> None:
    """Replace raw UTF-8 in parsed fields by text that the generator encodes: raw, it is kept.

    Raises GrammarError for a field that is neither ASCII nor UTF-8.
    """
    form = message.policy
    fields = list(message.raw_items())
    if not isinstance(form, policy.EmailPolicy) or all(map(_is_encodable, fields)):
        return
    for name, _ in fields:
        del message[name]
    for name, value in fields:
        if _is_encodable((name, value)):
            message.set_raw(name, value)
        else:
            message.set_raw(
                name, form.header_factory(name, _LINE_END.sub("", _decoded(name, value)))
            )


def _decoded(name: str, value: str) -> str:
    """Return the text of a parsed field, in which surrogates stand for octets."""
    try:
        return value.encode("utf-8", "surrogateescape").decode()
    except UnicodeDecodeError as error:
        raise not_utf8(name, error.start) from None


def _is_encodable(field: tuple[str, Any]) -> bool:
    return hasattr(field[1], "fold") or str(field[1]).isascii()
