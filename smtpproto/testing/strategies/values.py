"""Strategies for the values of the grammar."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from string import ascii_letters, ascii_uppercase, digits
from typing import ParamSpec, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ... import commands as c
from ... import limits
from ...grammar.address import ForwardPath, Mailbox, ReversePath
from ...grammar.command_line import COMMANDS
from ...grammar.domain import AddressLiteral, Domain, GeneralLiteral, Host, is_ipv6
from ...grammar.dsn import MAX_ENVID, MAX_ORCPT, Notify, OriginalRecipient, Ret
from ...grammar.ehlo_parameters import FutureRelease, SessionLimits
from ...grammar.extension import EXTENSIONS, Extensions
from ...grammar.local_part import quote
from ...grammar.parameters import Body, MailParameters, RcptParameters
from ...grammar.reply import EnhancedCode, Reply
from ...grammar.scheduling import MAX_SECONDS, ByMode, DeliverBy, NoSupport, ValidSince
from ...grammar.secret import Secret
from ...grammar.unitext import encode_unitext
from ...grammar.xtext import encode_xtext

_LET_DIG = ascii_letters + digits
_VCHAR = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
_DCONTENT = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="[\\]")
_ATEXT = _LET_DIG + "!#$%&'*+-/=?^_`{|}~"
_JOINERS = "\u00b7\u0375\u05f3\u05f4\u200c\u200d\u30fb"
_WORD = st.one_of(
    st.sampled_from(_LET_DIG + "-" + _JOINERS), st.characters(categories=["L", "M", "N"])
)
_ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
_UNICODE = st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"])
_UNITEXT = st.characters(
    min_codepoint=1,
    exclude_characters="\n\v\f\r\x0e\x0f\x1a\x1b\x1c\x1d\x1e\x1f",  # RFC 6533 3 HEXPOINT
    exclude_categories=["Cs"],
)
_ATOM = re.compile(r"\A[A-Za-z0-9!#$%&'*+/?^_`{|}~-]{1,40}\Z")
_REPLY_TEXT = st.characters(exclude_categories=["Cc", "Cs"], include_characters="\t")
_REPLY_LINE = limits.REPLY_LINE - len("250 \r\n")

P = ParamSpec("P")
T = TypeVar("T")


def kept(function: Callable[P, SearchStrategy[T]]) -> Callable[P, SearchStrategy[T]]:
    """Let *function* return the same strategy for the same arguments: to make one takes longer than
    to draw from it."""
    return cast("Callable[P, SearchStrategy[T]]", functools.lru_cache(1000)(function))


@kept
def _optional(strategy: SearchStrategy[T]) -> SearchStrategy[T | None]:
    return st.none() | strategy


def _octets(text: str) -> int:
    return len(text.encode())


def _long(texts: SearchStrategy[str], size: int) -> SearchStrategy[str]:
    """Draw from *texts*, or repeat such a text until it has *size* characters."""
    return texts | texts.filter(bool).map(lambda text: (text * size)[:size])


def _fit(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest start of *text* that fits."""
    while not fits(text):
        text = text[:-1]
    return text


@kept
def _labels() -> SearchStrategy[str]:
    inside = _long(st.text(_LET_DIG + "-", max_size=limits.LABEL - 2), limits.LABEL - 2)
    let_dig = st.sampled_from(_LET_DIG)
    return let_dig | st.builds(lambda a, b, z: a + b + z, let_dig, inside, let_dig)


@kept
def _u_labels() -> SearchStrategy[str]:
    words = _long(st.text(_WORD, min_size=1, max_size=limits.LABEL), limits.LABEL)
    return words.map(
        lambda word: _fit(unicodedata.normalize("NFC", word), lambda w: _octets(w) <= limits.LABEL)
    ).filter(lambda word: word == word.strip("-") and unicodedata.category(word[0])[0] != "M")


@kept
def domains(*, u_labels: bool = False) -> SearchStrategy[Domain]:
    """Domains of 1 to 255 octets; *u_labels* adds internationalised ones (RFC 6531 3.3)."""
    return _domains(limits.DOMAIN, u_labels)


@kept
@st.composite
def _domains(draw: DrawFn, room: int, u_labels: bool) -> Domain:
    """A domain of at most *room* octets, and often of exactly *room*."""
    fill = draw(st.booleans())
    labels = _labels() | _u_labels() if u_labels else _labels()
    name = ""
    for label in draw(st.lists(labels, min_size=1, max_size=128)):
        if _octets(longer := f"{name}.{label}".removeprefix(".")) > room:
            break
        name = longer
    while fill and (rest := room - _octets(name)) > 1:
        size = min(rest - 1, limits.LABEL)
        size -= rest - size == 2  # a single octet left over has no room for a dot and a label
        name = f"{name}.{'x' * size}"
    return Domain(name)


@kept
def address_literals() -> SearchStrategy[AddressLiteral]:
    """IPv4, IPv6 and general address literals (RFC 5321 4.1.3) of at most 255 octets."""
    return _literals(limits.DOMAIN)


@kept
@st.composite
def _literals(draw: DrawFn, room: int) -> AddressLiteral:
    if address := draw(st.ip_addresses() | st.none()):
        return AddressLiteral(address)
    last = draw(st.sampled_from(_LET_DIG))
    tag = draw(_long(st.text(_LET_DIG + "-"), limits.DOMAIN))[: room - len("[a:b]")] + last
    content = draw(_long(st.text(_DCONTENT, min_size=1), limits.DOMAIN))
    content = content[: room - len(tag) - len("[:]")]
    if tag.lower() == "ipv6" or is_ipv6(f"{tag}:{content}"):
        tag = f"x{tag[1:]}"
    return AddressLiteral(GeneralLiteral(tag, content))


@kept
def hosts(*, u_labels: bool = False) -> SearchStrategy[Host]:
    """Domains and address literals: ``Domain / address-literal`` in EHLO and mailboxes."""
    return domains(u_labels=u_labels) | address_literals()


@kept
def local_parts(*, smtputf8: bool = False) -> SearchStrategy[str]:
    """Local-parts without quotes; at most 64 octets when written with the quotes they need."""
    text = st.text(_UNICODE if smtputf8 else _ASCII, max_size=limits.LOCAL_PART)
    dotted = st.lists(st.text(_ATEXT, min_size=1, max_size=8), min_size=1).map(".".join)
    return _long(dotted | text, limits.LOCAL_PART).map(
        lambda text: _fit(text, lambda text: _octets(quote(text)) <= limits.LOCAL_PART)
    )


@kept
def mailboxes(*, smtputf8: bool = False) -> SearchStrategy[Mailbox]:
    """Mailboxes of up to 320 octets, which is longer than a path may be (RFC 5321 4.5.3.1)."""
    return st.builds(Mailbox, local_parts(smtputf8=smtputf8), hosts(u_labels=smtputf8))


@kept
@st.composite
def _path_mailboxes(draw: DrawFn, smtputf8: bool) -> Mailbox:
    """Mailboxes that fit into a path of 256 octets."""
    local_part = draw(local_parts(smtputf8=smtputf8))
    room = min(limits.DOMAIN, limits.PATH - len("<@>") - _octets(quote(local_part)))
    return Mailbox(local_part, draw(_domains(room, smtputf8) | _literals(room)))


@kept
def reverse_paths(*, smtputf8: bool = False) -> SearchStrategy[ReversePath]:
    """Senders, including the null path ``<>``."""
    return st.builds(ReversePath, st.none() | _path_mailboxes(smtputf8))


@kept
def forward_paths(*, smtputf8: bool = False) -> SearchStrategy[ForwardPath]:
    """Recipients, including the bare ``<Postmaster>``."""
    return st.builds(ForwardPath, st.none() | _path_mailboxes(smtputf8))


@kept
def enhanced_codes(class_: int | None = None) -> SearchStrategy[EnhancedCode]:
    """Enhanced status codes (RFC 3463), only of class *class_* if it is given."""
    classes = st.sampled_from((2, 4, 5) if class_ is None else (class_,))
    return st.builds(EnhancedCode, classes, st.integers(0, 999), st.integers(0, 999))


@kept
@st.composite
def replies(draw: DrawFn, codes: SearchStrategy[int] | None = None) -> Reply:
    """Replies with one of *codes*, with or without enhanced code, of one or more lines."""
    code = draw(st.integers(200, 599) if codes is None else codes)
    short = st.text(_REPLY_TEXT, max_size=40)
    coded = st.builds(lambda code, text: f"{code} {text}", enhanced_codes(), short)
    lines = draw(st.lists(_long(short, _REPLY_LINE + 2) | coded, min_size=1, max_size=4))
    enhanced = None
    if code // 100 != 3:
        enhanced = draw(_optional(enhanced_codes(code // 100)))
        leading = EnhancedCode.at_start(lines[0])
        if enhanced is None and leading is not None and leading.class_ == code // 100:
            enhanced = leading  # parsing would read it from the text
    return Reply(code, enhanced, lines)


@kept
def timestamps() -> SearchStrategy[datetime]:
    """Instants in UTC, in whole seconds, from the year 1 to the year 9999."""
    return st.datetimes(timezones=st.just(UTC)).map(lambda instant: instant.replace(microsecond=0))


@kept
def envids() -> SearchStrategy[str]:
    """Envelope identifiers (RFC 3461 4.4), decoded; up to 100 octets when written as xtext."""
    texts = _long(st.text(_ASCII, min_size=1, max_size=MAX_ENVID), MAX_ENVID)
    return texts.map(lambda text: _fit(text, lambda text: len(encode_xtext(text)) <= MAX_ENVID))


@kept
def deliver_by() -> SearchStrategy[DeliverBy]:
    """Values of BY (RFC 2852 4)."""

    def build(mode: ByMode, least: int) -> SearchStrategy[DeliverBy]:
        return st.builds(DeliverBy, st.integers(least, MAX_SECONDS), st.just(mode), st.booleans())

    return build(ByMode.NOTIFY, -MAX_SECONDS) | build(ByMode.RETURN, 1)


@kept
def solicitations() -> SearchStrategy[tuple[str, ...]]:
    """Solicitation class keywords (RFC 3865 2.2) of up to 1000 octets in total."""
    words = st.from_regex(r"[A-Za-z][A-Za-z0-9._:-]*", fullmatch=True)
    return _long(st.lists(words, min_size=1).map(",".join), 1000).map(
        lambda text: tuple(_fit(text[:1000], lambda text: text[-1] != ",").split(","))
    )


@kept
@st.composite
def mail_parameters(draw: DrawFn, *, smtputf8: bool = True) -> MailParameters:
    """Any set of MAIL parameters, each at most as long as its extension allows."""
    by = draw(_optional(deliver_by()))
    longest = MAX_SECONDS if by is None else by.seconds
    hold_for = draw(_optional(st.integers(1, longest))) if longest > 0 else None
    return MailParameters(
        size=draw(_optional(st.integers(0, 10**20 - 1))),
        body=draw(_optional(st.sampled_from(Body))),
        smtputf8=draw(st.booleans()) if smtputf8 else False,
        auth=draw(_optional(reverse_paths(smtputf8=smtputf8))),
        ret=draw(_optional(st.sampled_from(Ret))),
        envid=draw(_optional(envids())),
        requiretls=draw(st.booleans()),
        by=by,
        hold_for=hold_for,
        hold_until=draw(_optional(timestamps())) if hold_for is None else None,
        mt_priority=draw(_optional(st.integers(-9, 9))),
        solicit=draw(_optional(solicitations())),
    )


@kept
def notify() -> SearchStrategy[frozenset[Notify]]:
    """Values of NOTIFY (RFC 3461 4.1)."""
    others = st.sampled_from([member for member in Notify if member is not Notify.NEVER])
    return st.just(frozenset({Notify.NEVER})) | st.frozensets(others, min_size=1)


@kept
@st.composite
def original_recipients(draw: DrawFn, *, smtputf8: bool = True) -> OriginalRecipient:
    """Values of ORCPT with any address type, of up to 500 octets. Without *smtputf8* the written
    form is ASCII, even where the address is not."""
    kind = draw(st.sampled_from(["rfc822", "x400", "utf-8", "UTF-8"]) | st.from_regex(_ATOM))
    is_utf8 = kind.lower() == "utf-8"
    texts = st.text(_UNITEXT, min_size=1) if is_utf8 else st.text(_ASCII)
    long = draw(_long(texts, MAX_ORCPT))

    def fits(text: str) -> bool:
        written = encode_unitext(text, seven_bit=not smtputf8) if is_utf8 else encode_xtext(text)
        return _octets(f"{kind};{written}") <= MAX_ORCPT

    return OriginalRecipient(kind, _fit(long, fits))


@kept
def valid_since() -> SearchStrategy[ValidSince]:
    """Values of RRVS (RFC 7293 3.1)."""
    return st.builds(ValidSince, timestamps(), st.none() | st.sampled_from(NoSupport))


@kept
def rcpt_parameters(*, smtputf8: bool = True) -> SearchStrategy[RcptParameters]:
    """Any set of RCPT parameters. Without *smtputf8* their written form is ASCII."""
    return st.builds(
        RcptParameters,
        notify=st.none() | notify(),
        orcpt=st.none() | original_recipients(smtputf8=smtputf8),
        rrvs=st.none() | valid_since(),
    )


_TEXTS = st.text(_UNICODE).map(lambda text: text.strip(" "))
# With SMTPUTF8, such an end is read as the flag (RFC 6531 3.7.4.2), so the text cannot be a name.
_LOOKUP_NAMES = _TEXTS.filter(
    lambda text: text != "" and not re.search(" SMTPUTF8(=|$)", text, re.IGNORECASE)
)
_BY_VERB: Mapping[str, SearchStrategy[c.Command]] = {
    "EHLO": st.builds(c.Ehlo, hosts()),
    "HELO": st.builds(c.Helo, hosts()),
    "MAIL": st.builds(c.Mail, reverse_paths(smtputf8=True), mail_parameters()),
    "RCPT": st.builds(c.Rcpt, forward_paths(smtputf8=True), rcpt_parameters()),
    "VRFY": st.builds(c.Vrfy, _LOOKUP_NAMES),
    "EXPN": st.builds(c.Expn, _LOOKUP_NAMES),
    "HELP": st.builds(c.Help, _TEXTS),
    "NOOP": st.builds(c.Noop, _TEXTS),
    "LHLO": st.builds(c.Lhlo, hosts()),
    "XCLIENT": st.builds(c.XClient, st.builds(c.XClientAttributes, name=domains().map(str))),
    "XFORWARD": st.builds(
        c.XForward,
        st.builds(c.XForwardAttributes, ident=st.from_regex("[A-Z0-9]{1,20}", fullmatch=True)),
    ),
    "BDAT": st.builds(c.Bdat, st.integers(0, 10**20 - 1), st.booleans()),
    "ETRN": st.builds(c.Etrn, domains().map(str)),
    "AUTH": st.builds(
        c.Auth,
        st.from_regex(r"[A-Z0-9_-]{1,20}", fullmatch=True),
        st.none() | st.binary().map(Secret),
    ),
}


def commands(verbs: Collection[str] = tuple(COMMANDS)) -> SearchStrategy[c.Command]:
    """Commands with one of *verbs*. A line may be longer than servers accept."""
    return st.sampled_from(sorted(verbs)).flatmap(
        lambda verb: _BY_VERB[verb] if verb in _BY_VERB else st.builds(COMMANDS[verb])
    )


def session_limits() -> SearchStrategy[SessionLimits]:
    """Any set of session limits (RFC 9422)."""
    limit = st.none() | st.integers(1, 999_999)
    return st.builds(SessionLimits, mail_max=limit, rcpt_max=limit, rcpt_domain_max=limit)


def future_releases() -> SearchStrategy[FutureRelease]:
    """EHLO parameters of FUTURERELEASE (RFC 4865 3)."""
    return st.builds(FutureRelease, st.integers(1, MAX_SECONDS), timestamps())


_NUMBERS = st.integers(0, 10**20 - 1).map(str)
_NAMES = st.lists(st.text(ascii_uppercase, min_size=1, max_size=9), min_size=1, max_size=9)
_EHLO_PARAMETERS: Mapping[str, SearchStrategy[str]] = {
    "SIZE": st.just("") | _NUMBERS,
    "AUTH": _NAMES.map(" ".join),
    "DELIVERBY": st.from_regex(r"[0-9]{0,9}(,[!-+]{1,9}){0,3}", fullmatch=True),
    "FUTURERELEASE": future_releases().map(str),
    "MT-PRIORITY": st.from_regex(r"([A-Za-z0-9._-]{1,20})?", fullmatch=True),
    "NO-SOLICITING": st.just("") | _NAMES.map(",".join),
    "LIMITS": session_limits().map(str).filter(bool),
    "XCLIENT": _NAMES.map(" ".join),
    "XFORWARD": _NAMES.map(" ".join),
}


@st.composite
def offers(draw: DrawFn) -> Extensions:
    """EHLO keyword lists that a server may send: known keywords with valid parameters, and the
    keywords that they need."""
    keywords = draw(st.sets(st.sampled_from(sorted(EXTENSIONS))))
    keywords |= {need for keyword in keywords for need in EXTENSIONS[keyword].requires}
    none = st.just("")
    return Extensions({key: draw(_EHLO_PARAMETERS.get(key, none)) for key in sorted(keywords)})


def extensions() -> SearchStrategy[Extensions]:
    """EHLO keyword lists: known and unknown keywords with any parameters, valid or not. Each line
    has at most 512 octets."""
    known = st.sampled_from(sorted(EXTENSIONS))
    other = st.from_regex(r"[A-Z0-9][A-Z0-9-]*", fullmatch=True)
    words = st.lists(_long(st.text(_VCHAR, min_size=1), 40), max_size=30).map(" ".join)
    parameters = st.one_of(*_EHLO_PARAMETERS.values())
    longest = st.just("x" * _REPLY_LINE)

    def fit(keywords: dict[str, str]) -> Extensions:
        return Extensions(
            {key: text[: _REPLY_LINE - len(key) - 1].rstrip() for key, text in keywords.items()}
        )

    return offers() | st.dictionaries(known | other, words | parameters | longest).map(fit)


def xtexts() -> SearchStrategy[str]:
    """xtext (RFC 3461 4) of UTF-8, with the escapes it needs and with others."""

    def write(character: str, escape: bool) -> str:
        octets = character.encode()
        return "".join(f"+{o:02X}" for o in octets) if escape else encode_xtext(character)

    characters = st.characters(exclude_categories=["Cs"])
    return st.lists(st.builds(write, characters, st.booleans())).map("".join)
