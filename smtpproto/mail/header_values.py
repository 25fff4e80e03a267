"""What people write into header fields: names with addresses, and text, checked before use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Union

from attrs import frozen

from ..grammar.address import Mailbox, ReversePath
from ..grammar.domain import Domain
from ..grammar.pattern import pattern
from ..grammar.printable import is_text, quoted
from ..grammar.reply import GrammarError
from ..option_types import require_type, wrong_type

if TYPE_CHECKING:
    from email.headerregistry import Address

__all__ = [
    "AddressLike", "AddressesLike", "NamedMailbox", "check_text", "field_value", "joined",
    "mailboxes",
]  # fmt: skip

AddressLike = Union[str, Mailbox, "Address"]
"""An address, with a name if wanted: ``"Ann Lee <ann@example.org>"``, ``"ann@example.org"``, a
:class:`.Mailbox`, or an ``Address`` of ``email.headerregistry``."""
AddressesLike = AddressLike | Iterable[AddressLike]
"""One address or several."""

_WORD = 900  # characters between two blanks that surely fit into a line of 998 octets
_NOT_TEXT = pattern(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # controls, and what breaks lines
_ENCODED = pattern(r"=\?[^\s?]+\?[bBqQ]\?[^?]*\?=")
_QUOTED = pattern(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = pattern(r"\\(.)")
_ATOMS = pattern(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_EXAMPLE = '"Ann Lee <ann@example.org>"'


def check_text(text: str, what: str) -> None:
    """Raise TypeError unless *text* is a str, and GrammarError if it cannot be written as UTF-8."""
    require_type(what, text, str, "a str")
    if not is_text(text):
        raise GrammarError(f"{what} has a surrogate, which is half a character: {quoted(text)}")


def field_value(text: str, what: str) -> str:
    """Return *text* as it can stand in a header field: without blanks at its ends.

    Raises GrammarError for line breaks and other control characters, which could begin another
    field, for text that is already encoded, and for words that do not fit into a line.
    """
    check_text(text, what)
    if found := _NOT_TEXT.search(text):
        character = found[0].encode("unicode_escape").decode()
        kind = "a line break" if found[0] in "\r\n\x85\u2028\u2029" else "a control character"
        raise GrammarError(f"{what} has {kind} ({character}): {quoted(text)}; remove it")
    if found := _ENCODED.search(text):
        advice = "pass the text itself, which is encoded when it is sent"
        raise GrammarError(f"{what} is already encoded: {quoted(found[0])}; {advice}")
    if any(len(word) > _WORD and word.isascii() for word in text.split(" ")):
        raise GrammarError(f"{what} has a word of more than {_WORD} characters; use blanks")
    return text.strip()  # readers leave out blanks of any kind


@frozen
class NamedMailbox:
    """A mailbox with the name of its owner, or with ""."""

    name: str
    mailbox: Mailbox

    def __str__(self) -> str:
        """Return it as it stands in a field, not encoded in ASCII."""
        if not self.name:
            return str(self.mailbox)
        name = self.name if _ATOMS.fullmatch(self.name) else _in_quotes(self.name)
        return f"{name} <{self.mailbox}>"


def _in_quotes(name: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def mailboxes(values: AddressesLike, what: str) -> list[NamedMailbox]:
    """Return the mailboxes that *values* names. *what* names the argument in errors.

    A domain is written with A-labels if its local-part is ASCII, so that the address can be sent
    to every server. Raises GrammarError for text that is not an address, with advice, and TypeError
    for other values.
    """
    if isinstance(values, str | Mailbox) or hasattr(values, "addr_spec"):
        return [_named(values, what)]
    several: object = values
    if isinstance(several, bytes) or not isinstance(several, Iterable):
        raise wrong_type(what, several, f"{_EXAMPLE}, or a list of such addresses")
    return [_named(value, what) for value in several]


def _named(value: Any, what: str) -> NamedMailbox:
    if isinstance(value, Mailbox):
        return NamedMailbox("", _sendable(_with_domain(value, what)))
    if isinstance(value, str):
        name, address = _split(value, what)
    elif hasattr(value, "addr_spec"):
        name, address = value.display_name, value.addr_spec
    else:
        raise wrong_type(f"an address of {what}", value, _EXAMPLE)
    if "@" not in address:
        raise _without_domain(address, what)
    try:
        mailbox = _sendable(Mailbox.parse(address))
    except GrammarError as error:
        raise GrammarError(f"{what}: {error.message}") from None
    return NamedMailbox(field_value(name, f"the name in {what}"), mailbox)


def _with_domain(mailbox: Mailbox, what: str) -> Mailbox:
    if mailbox.domain is None:
        raise _without_domain(str(mailbox), what)
    return mailbox


def _without_domain(address: str, what: str) -> GrammarError:
    return GrammarError(f"{what}: {quoted(address)} has no '@' and domain; add them")


def _split(text: str, what: str) -> tuple[str, str]:
    """Return the name and the address of ``Ann Lee <ann@example.org>``. The name may be quoted."""
    check_text(text, what)
    text = text.strip(" ")
    name, _, address = text.rpartition("<")
    if address == text or not address.endswith(">") or ">" in address[:-1]:
        return "", text
    name, address = name.rstrip(" "), address[:-1]
    if inner := _QUOTED.fullmatch(name):
        return _ESCAPE.sub(r"\1", inner[1]), address
    if "@" in name:
        advice = "several addresses? pass a list; a name with '@' must be in quotes"
        raise GrammarError(f"{what}: not an address: {quoted(text)}; {advice}")
    return name, address


def _sendable(mailbox: Mailbox) -> Mailbox:
    """Return *mailbox* so that it needs SMTPUTF8 only if its local-part does. Raises GrammarError
    if it does not fit into a path, or has characters that break lines."""
    ReversePath(mailbox)
    field_value(str(mailbox), "the address")
    if (
        mailbox.isascii
        or not mailbox.local_part.isascii()
        or not isinstance(mailbox.domain, Domain)
    ):
        return mailbox
    with suppress(GrammarError):  # no certain A-labels, or too long
        ascii_form = Mailbox(mailbox.local_part, mailbox.domain.a_labels(), long=mailbox.long)
        return ReversePath(ascii_form).mailbox or mailbox
    return mailbox


def joined(found: Iterable[NamedMailbox]) -> str:
    """Return the value of an address field."""
    return ", ".join(map(str, found))
