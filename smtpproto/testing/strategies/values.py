"""Strategies for the other values of the grammar."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations, cycle, product
from string import ascii_uppercase, digits
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ... import commands as c
from ... import limits
from ...grammar.command_line import COMMANDS
from ...grammar.dsn import MAX_ENVID, MAX_ORCPT, Notify, OriginalRecipient, Ret
from ...grammar.ehlo_parameters import MAX_SOLICITATIONS, FutureRelease, SessionLimits
from ...grammar.extension import EXTENSIONS, Extensions
from ...grammar.parameters import Body, MailParameters, RcptParameters
from ...grammar.reply import EnhancedCode, Reply
from ...grammar.scheduling import MAX_SECONDS, ByMode, DeliverBy, NoSupport, ValidSince
from ...grammar.secret import Secret
from ...grammar.unitext import encode_unitext
from ...grammar.xtext import encode_xtext
from ...option_types import near_name
from .addresses import domains, forward_paths, hosts, reverse_paths
from .texts import ASCII, ATEXT, LET_DIG, UNICODE, fit, kept, octets, subsets, texts

_NO_SURROGATES = st.characters(exclude_categories=["Cs"])
_UNITEXT = st.characters(
    min_codepoint=1,
    exclude_characters="\n\v\f\r\x0e\x0f\x1a\x1b\x1c\x1d\x1e\x1f",  # RFC 6533 3 HEXPOINT
    exclude_categories=["Cs"],
)
# All control characters but the tab end a line, or most replies would have one line only.
_REPLY_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_LINE_END = re.compile("[\0-\x08\n-\x1f\x7f-\x9f]")
_ATOMS = st.text(ATEXT.replace("=", ""), min_size=1, max_size=40)
_MILLENNIUM = datetime(2000, 1, 1, tzinfo=UTC)
_REPLY_LINE = limits.REPLY_LINE - len("250 \r\n")


@kept
def enhanced_codes(class_: int | None = None) -> SearchStrategy[EnhancedCode]:
    """Enhanced status codes (RFC 3463), only of class *class_* if it is given."""
    classes = (2, 4, 5) if class_ is None else (class_,)
    return st.integers(0, len(classes) * 10**6 - 1).map(
        lambda n: EnhancedCode(classes[n // 10**6], n // 1000 % 1000, n % 1000)
    )


@kept
@st.composite
def replies(draw: DrawFn, codes: SearchStrategy[int] | None = None) -> Reply:
    """Replies with one of *codes*, with or without enhanced code, of one or more lines."""
    code = draw(st.integers(200, 599) if codes is None else codes)
    lines = _LINE_END.split(draw(_REPLY_TEXTS))
    form = draw(st.sampled_from(["", "code in the text", "enhanced", "long", "enhanced long"]))
    if "long" in form:
        lines[-1] = (lines[-1] * _REPLY_LINE)[: _REPLY_LINE + 2]
    if form == "code in the text":
        lines[0] = f"{draw(enhanced_codes())} {lines[0]}"
    if code // 100 == 3:
        return Reply(code, None, lines)
    if "enhanced" in form:
        return Reply(code, draw(enhanced_codes(code // 100)), lines)
    leading = EnhancedCode.at_start(lines[0])  # parsing would read it from the text
    return Reply(code, leading if leading and leading.class_ == code // 100 else None, lines)


# -- parameters -----------------------------------------------------------------------------------


@kept
def timestamps() -> SearchStrategy[datetime]:
    """Instants in UTC, in whole seconds, from the year 1 to the year 9999."""
    earliest, latest = (
        (instant.replace(tzinfo=UTC) - _MILLENNIUM) // timedelta(seconds=1)
        for instant in (datetime.min, datetime.max)
    )
    return st.integers(earliest, latest).map(lambda s: _MILLENNIUM + timedelta(seconds=s))


@kept
def envids() -> SearchStrategy[str]:
    """Envelope identifiers (RFC 3461 4.4), decoded; up to 100 octets when written as xtext."""

    def make(text: str) -> str:
        return fit(text, MAX_ENVID, lambda text: len(encode_xtext(text)))

    return texts(make, ASCII, MAX_ENVID, least=1)


@kept
def deliver_by() -> SearchStrategy[DeliverBy]:
    """Values of BY (RFC 2852 4)."""
    least = {ByMode.NOTIFY: -MAX_SECONDS, ByMode.RETURN: 1}
    return st.one_of(
        [
            st.integers(least[mode], MAX_SECONDS).map(partial(DeliverBy, mode=mode, trace=trace))
            for mode, trace in product(ByMode, (False, True))
        ]
    )


@kept
def solicitations() -> SearchStrategy[tuple[str, ...]]:
    """Solicitation class keywords (RFC 3865 2.2) of up to 1000 octets in total."""
    keyword = re.compile("[A-Za-z][A-Za-z0-9._:-]*")
    return texts(
        lambda text: tuple(keyword.findall(text)) or ("a",),
        LET_DIG + "._:-" + ",;/",
        MAX_SOLICITATIONS,
    )


_MAIL_PARAMETERS: list[tuple[str, Any]] = [
    *(("body", body) for body in Body),
    *(("ret", ret) for ret in Ret),
    ("requiretls", True),
    ("size", st.integers(0, 10**20 - 1)),
    ("envid", envids()),
    ("by", deliver_by()),
    ("hold_for", st.integers(1, MAX_SECONDS)),
    ("hold_until", timestamps()),
    ("mt_priority", st.integers(-9, 9)),
    ("solicit", solicitations()),
]


@kept
@st.composite
def mail_parameters(draw: DrawFn, *, smtputf8: bool = True) -> MailParameters:
    """Any set of MAIL parameters, each at most as long as its extension allows."""
    flag = [("smtputf8", True)] if smtputf8 else []
    auth = ("auth", reverse_paths(smtputf8=smtputf8))
    drawn = dict(draw(subsets([*_MAIL_PARAMETERS, *flag, auth])))
    drawn |= {name: draw(it) for name, it in drawn.items() if isinstance(it, SearchStrategy)}
    if {"by", "hold_for"} <= drawn.keys():  # RFC 4865 4.1: a hold ends before BY does
        drawn["hold_for"] = min(drawn["hold_for"], drawn["by"].seconds)
        if drawn["hold_for"] < 1:
            del drawn["hold_for"]
    if "hold_for" in drawn:
        drawn.pop("hold_until", None)
    return MailParameters(**drawn)


_EVENTS = [member for member in Notify if member is not Notify.NEVER]
_NOTIFY = [frozenset({Notify.NEVER})] + [
    frozenset(some) for size in (1, 2, 3) for some in combinations(_EVENTS, size)
]


@kept
def notify() -> SearchStrategy[frozenset[Notify]]:
    """Values of NOTIFY (RFC 3461 4.1)."""
    return st.sampled_from(_NOTIFY)


@kept
def original_recipients(*, smtputf8: bool = True) -> SearchStrategy[OriginalRecipient]:
    """Values of ORCPT with any address type, of up to 500 octets. Without *smtputf8* the written
    form is ASCII, even where the address is not."""

    def build(kind: str, long: bool, text: str) -> OriginalRecipient:
        def written(text: str) -> int:
            utf8 = kind.lower() == "utf-8"
            form = encode_unitext(text, seven_bit=not smtputf8) if utf8 else encode_xtext(text)
            return octets(f"{kind};{form}")

        text = (text * MAX_ORCPT)[:MAX_ORCPT] if long else text
        return OriginalRecipient(kind, fit(text, MAX_ORCPT, written))

    forms = product(("rfc822", "x400", "utf-8", "UTF-8"), (False, True))
    return st.one_of(
        st.builds(partial(build, long=False), _ATOMS, text=st.text(ASCII)),
        *(
            (st.text(_UNITEXT, min_size=1) if kind.lower() == "utf-8" else st.text(ASCII)).map(
                partial(build, kind, long)
            )
            for kind, long in forms
        ),
    )


@kept
def valid_since() -> SearchStrategy[ValidSince]:
    """Values of RRVS (RFC 7293 3.1)."""
    return st.builds(ValidSince, timestamps(), st.sampled_from([None, *NoSupport]))


_RCPT_FORMS = st.sampled_from([*product([None, *_NOTIFY], (False, True), (False, True))])


@kept
@st.composite
def rcpt_parameters(draw: DrawFn, *, smtputf8: bool = True) -> RcptParameters:
    """Any set of RCPT parameters. Without *smtputf8* their written form is ASCII."""
    notify, has_orcpt, has_rrvs = draw(_RCPT_FORMS)
    return RcptParameters(
        notify=notify,
        orcpt=draw(original_recipients(smtputf8=smtputf8)) if has_orcpt else None,
        rrvs=draw(valid_since()) if has_rrvs else None,
    )


# -- commands -------------------------------------------------------------------------------------


_TEXTS = st.text(UNICODE).map(lambda text: text.strip(" "))
# With SMTPUTF8, such an end is read as the flag (RFC 6531 3.7.4.2), so the text cannot be a name.
_LOOKUP_NAMES = _TEXTS.filter(
    lambda text: text != "" and not re.search(" SMTPUTF8(=|$)", text, re.IGNORECASE)
)
_BY_VERB: Mapping[str, SearchStrategy[c.Command]] = {
    **{verb: st.builds(command) for verb, command in COMMANDS.items()},
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
        st.builds(
            c.XForwardAttributes, ident=st.text(ascii_uppercase + digits, min_size=1, max_size=20)
        ),
    ),
    "BDAT": st.builds(c.Bdat, st.integers(0, 10**20 - 1), st.booleans()),
    "ETRN": st.builds(c.Etrn, domains().map(str)),
    "AUTH": st.builds(
        c.Auth,
        st.text(ascii_uppercase + digits + "_-", min_size=1, max_size=20),
        st.none() | st.binary().map(Secret),
    ),
}


def commands(verbs: Collection[str] = tuple(COMMANDS)) -> SearchStrategy[c.Command]:
    """Commands with one of *verbs*. A line may be longer than servers accept."""
    if unknown := [verb for verb in verbs if verb not in _BY_VERB]:
        raise ValueError(f"no such verb: {unknown[0]!r}{near_name(unknown[0], _BY_VERB)}")
    return st.one_of(*(_BY_VERB[verb] for verb in sorted(verbs)))


# -- offers ---------------------------------------------------------------------------------------


@kept
def session_limits(*, least: int = 0) -> SearchStrategy[SessionLimits]:
    """Any set of session limits (RFC 9422) that has *least* of them."""
    limit = st.integers(1, 999_999)
    fields = ("mail_max", "rcpt_max", "rcpt_domain_max")
    sets = [names for size in range(least, 4) for names in combinations(fields, size)]
    return st.one_of([st.builds(SessionLimits, **dict.fromkeys(names, limit)) for names in sets])


@kept
def future_releases() -> SearchStrategy[FutureRelease]:
    """EHLO parameters of FUTURERELEASE (RFC 4865 3)."""
    return st.builds(FutureRelease, st.integers(1, MAX_SECONDS), timestamps())


def _names(joined_by: str, prefix: str = "") -> SearchStrategy[str]:
    return st.text(ascii_uppercase + "-,. /").map(
        lambda text: prefix + joined_by.join(re.findall("[A-Z]{1,9}", text)[:9] or ["A"])
    )


_EHLO_PARAMETERS: Mapping[str, SearchStrategy[str]] = {
    "SIZE": st.integers(-1, 10**20 - 1).map(lambda size: "" if size < 0 else str(size)),
    "AUTH": _names(" "),
    "DELIVERBY": st.text(digits, max_size=9) | _names(",", "9,"),
    "FUTURERELEASE": future_releases().map(str),
    "MT-PRIORITY": st.text(LET_DIG + "._-", max_size=20),
    "NO-SOLICITING": st.just("") | _names(","),
    "LIMITS": session_limits(least=1).map(str),
    "XCLIENT": _names(" "),
    "XFORWARD": _names(" "),
}


@kept
@st.composite
def offers(draw: DrawFn) -> Extensions:
    """EHLO keyword lists that a server may send: known keywords with valid parameters, and the
    keywords that they need."""
    keywords = dict.fromkeys(draw(subsets(sorted(EXTENSIONS))), "")
    for keyword in [*keywords]:
        keywords |= dict.fromkeys(EXTENSIONS[keyword].requires - keywords.keys(), "")
    drawn = {key: draw(_EHLO_PARAMETERS[key]) for key in keywords if key in _EHLO_PARAMETERS}
    return Extensions(keywords | drawn)


@kept
def extensions() -> SearchStrategy[Extensions]:
    """EHLO keyword lists: known and unknown keywords with any parameters, valid or not. Each line
    has at most 512 octets."""

    def deal(keywords: list[str], text: str, parameters: str) -> Extensions:
        """Return an offer of *keywords* and another, with three parameters in turn."""
        words = " ".join(text.split())
        other = re.sub("[^A-Z0-9-]", "", words.upper()).lstrip("-")[:20] or "X"
        long = (words * _REPLY_LINE)[:_REPLY_LINE]
        dealt = zip([*keywords, other], cycle([words, parameters, long]))
        return Extensions({key: text[: _REPLY_LINE - len(key) - 1].rstrip() for key, text in dealt})

    valid = st.one_of(*_EHLO_PARAMETERS.values())
    return offers() | st.builds(deal, subsets(sorted(EXTENSIONS)), st.text(ASCII), valid)


@kept
def xtexts() -> SearchStrategy[str]:
    """xtext (RFC 3461 4) of UTF-8, with the escapes it needs and with others."""

    def write(text: str, escapes: int) -> str:
        return "".join(
            "".join(f"+{o:02X}" for o in character.encode())
            if escapes >> at % 16 & 1
            else encode_xtext(character)
            for at, character in enumerate(text)
        )

    return st.builds(write, st.text(_NO_SURROGATES), st.integers(0, 2**16 - 1))
