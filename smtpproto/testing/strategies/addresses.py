"""Strategies for hosts, mailboxes and paths."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from typing import Any, Generic, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ... import limits
from ...grammar.address import ForwardPath, Mailbox, ReversePath
from ...grammar.domain import AddressLiteral, Domain, GeneralLiteral, Host, is_ipv6
from ...grammar.local_part import quote
from .texts import ASCII, ATEXT, LET_DIG, UNICODE, cut, fit, kept, octets

_DOTS = "!,./:;_|~"  # all stand for the dot in a drawn name, or most names would have no dot
_DCONTENT = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="[\\]")
_CONTEXTUAL = "\u00b7\u0375\u05f3\u05f4\u200c\u200d\u30fb"  # RFC 5892 CONTEXTJ, CONTEXTO
_WORD = st.characters(categories=["L", "M", "N"], include_characters="-" + _DOTS + _CONTEXTUAL)
_NOT_ATEXT = re.compile(f"[^{re.escape(ATEXT)}]+", re.ASCII)

T = TypeVar("T")


def _label(text: str) -> str:
    """Return the longest start of *text* that can be a label, or "" if there is none."""
    text = unicodedata.normalize("NFC", text).lstrip("-")
    while text and unicodedata.category(text[0])[0] == "M":
        text = text[1:].lstrip("-")
    return cut(text, limits.LABEL).rstrip("-")


def _domain(form: str, text: str, room: int) -> Domain:
    """Return the domain whose labels are in *text*, of at most *room* octets."""
    first, *rest = [*filter(None, map(_label, re.split(f"[{_DOTS}]", text)))] or ["a"]
    if form == "many labels":
        rest = [first, *rest] * limits.DOMAIN
    name = _label(first * limits.LABEL) if form == "long label" else first
    for label in rest:
        if octets(name) + 1 + octets(label) <= room:
            name = f"{name}.{label}"
    while form == "long" and (left := room - octets(name)) > 1:
        size = min(left - 1, limits.LABEL)
        size -= left - size == 2  # a single octet left over has no room for a dot and a label
        name = f"{name}.{'x' * size}"
    return Domain(name)


def _ip_address(form: str, number: int, room: int) -> AddressLiteral:
    if form == "IPv4":
        return AddressLiteral(IPv4Address(number % 2**32))
    number, groups = divmod(number, 8)  # as small numbers are drawn often, zeros would only lead
    return AddressLiteral(IPv6Address((number << 16 * groups) % 2**128))


def _general_literal(form: str, text: str, room: int) -> AddressLiteral:
    """Return a literal of at most *room* octets: its tag and its content are both from *text*."""
    tag = re.sub("[^A-Za-z0-9-]", "", text[1::2]).rstrip("-") or "a"
    content = text[::2]
    spare = room - len(f"[{tag}:{content}]")
    if form == "long tag":
        tag = (tag * room)[: len(tag) + spare - 1] + tag[-1]
    if form == "long":
        content = (content * room)[: len(content) + spare]
    if tag.lower() == "ipv6" or is_ipv6(f"{tag}:{content}"):
        tag = f"x{tag[1:]}"
    return AddressLiteral(GeneralLiteral(tag, content))


class _Form(NamedTuple, Generic[T]):
    """A way to make hosts of at most so many octets from drawn values. A path has less room for its
    host if its local-part is long."""

    source: SearchStrategy[Any]
    make: Callable[[Any, int], T]


# Each form is a branch of its own: one choice among them all is quicker than several small ones.
def _forms(
    make: Callable[[str, Any, int], T], source: SearchStrategy[Any], *names: str
) -> list[_Form[T]]:
    return [_Form(source, partial(make, name)) for name in names]


def _domain_forms(u_labels: bool) -> list[_Form[Domain]]:
    names = st.text(_WORD if u_labels else LET_DIG + "-" + _DOTS)
    return _forms(_domain, names, "", "long label", "many labels", "long")


def _literal_forms() -> list[_Form[AddressLiteral]]:
    addresses = _forms(_ip_address, st.integers(0, 2**131 - 1), "IPv4", "IPv6")
    texts = st.text(_DCONTENT, min_size=1, max_size=100)
    return addresses + _forms(_general_literal, texts, "", "long tag", "long")


def _whole(forms: list[_Form[T]]) -> SearchStrategy[T]:
    def whole(form: _Form[T]) -> SearchStrategy[T]:
        return form.source.map(lambda drawn: form.make(drawn, limits.DOMAIN))

    return st.one_of([whole(form) for form in forms])


@kept
def domains(*, u_labels: bool = False) -> SearchStrategy[Domain]:
    """Domains of 1 to 255 octets; *u_labels* adds internationalised ones (RFC 6531 3.3)."""
    return _whole(_domain_forms(u_labels))


@kept
def address_literals() -> SearchStrategy[AddressLiteral]:
    """IPv4, IPv6 and general address literals (RFC 5321 4.1.3) of at most 255 octets."""
    return _whole(_literal_forms())


@kept
def hosts(*, u_labels: bool = False) -> SearchStrategy[Host]:
    """Domains and address literals: ``Domain / address-literal`` in EHLO and mailboxes."""
    return domains(u_labels=u_labels) | address_literals()


def _local_part(form: str, text: str) -> str:
    if "dots" in form:
        text = _NOT_ATEXT.sub(".", text).strip(".") or "a"
    if "long" in form:
        text = (text * limits.LOCAL_PART)[: limits.LOCAL_PART]
    return fit(text, limits.LOCAL_PART, lambda text: octets(quote(text)))


_LOCAL_PARTS = ("", "dots", "long", "long dots")


def _local_texts(smtputf8: bool) -> SearchStrategy[str]:
    return st.text(UNICODE if smtputf8 else ASCII, max_size=limits.LOCAL_PART)


@kept
def local_parts(*, smtputf8: bool = False) -> SearchStrategy[str]:
    """Local-parts without quotes; at most 64 octets when written with the quotes they need."""
    texts = _local_texts(smtputf8)
    return st.one_of([texts.map(partial(_local_part, form)) for form in _LOCAL_PARTS])


def _mailboxes(make: Callable[[Mailbox], T], room: int, smtputf8: bool) -> list[SearchStrategy[T]]:
    """Return a strategy for each form of mailboxes of at most *room* octets."""

    def build(form: str, host: _Form[Any], text: str, drawn: Any) -> T:
        local_part = _local_part(form, text)
        left = room - octets(quote(local_part)) - len("@")
        return make(Mailbox(local_part, host.make(drawn, min(limits.DOMAIN, left))))

    hosts: list[_Form[Any]] = [*_domain_forms(smtputf8), *_literal_forms()]
    texts = _local_texts(smtputf8)
    return [
        st.builds(partial(build, form, host), texts, host.source)
        for form, host in product(_LOCAL_PARTS, hosts)
    ]


@kept
def mailboxes(*, smtputf8: bool = False) -> SearchStrategy[Mailbox]:
    """Mailboxes of up to 320 octets, which is longer than a path may be (RFC 5321 4.5.3.1)."""
    room = limits.LOCAL_PART + len("@") + limits.DOMAIN
    return st.one_of(_mailboxes(lambda mailbox: mailbox, room, smtputf8))


def _paths(path: Callable[[Mailbox | None], T], smtputf8: bool) -> SearchStrategy[T]:
    """Paths of up to 256 octets. Those without a mailbox are more frequent than those of a form."""
    empty = [st.builds(path, st.none()) for _ in range(6)]
    return st.one_of(*empty, *_mailboxes(path, limits.PATH - len("<>"), smtputf8))


@kept
def reverse_paths(*, smtputf8: bool = False) -> SearchStrategy[ReversePath]:
    """Senders, including the null path ``<>``."""
    return _paths(ReversePath, smtputf8)


@kept
def forward_paths(*, smtputf8: bool = False) -> SearchStrategy[ForwardPath]:
    """Recipients, including the bare ``<Postmaster>``."""
    return _paths(ForwardPath, smtputf8)
