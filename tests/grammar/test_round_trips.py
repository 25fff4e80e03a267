"""Each production is read back as it was written, and parsers raise only GrammarError."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.command import Command, Ehlo, Mail, Noop, Rcpt, Vrfy
from smtpproto.grammar.command_line import COMMANDS, parse_command
from smtpproto.grammar.domain import AddressLiteral, Domain, GeneralLiteral
from smtpproto.grammar.dsn import Notify, OriginalRecipient
from smtpproto.grammar.ehlo_parameters import FutureRelease, SessionLimits
from smtpproto.grammar.extension import EXTENSIONS, Extensions
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.offer_rules import refusal_of
from smtpproto.grammar.parameters import (
    MAIL_CODECS,
    RCPT_CODECS,
    MailParameters,
    Parameter,
    RcptParameters,
)
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import EnhancedCode, Reply
from smtpproto.grammar.scheduling import ByMode, DeliverBy, NoSupport, ValidSince
from smtpproto.grammar.secret import Secret
from smtpproto.testing import strategies
from smtpproto.testing.laws import check_round_trip
from tests.grammar.productions import FRAGMENTS, PRODUCTIONS, check_parse, damaged

every_production = pytest.mark.parametrize("kind", PRODUCTIONS)


@every_production
@given(data=st.data())
def test_a_written_value_is_read_back(kind: str, data: DataObject) -> None:
    production = PRODUCTIONS[kind]
    check_round_trip(data.draw(production.values), production.parse, production.write)


@every_production
@given(data=st.data())
def test_damaged_octets_raise_only_grammar_error(kind: str, data: DataObject) -> None:
    production = PRODUCTIONS[kind]
    legal = production.values.map(production.write)
    check_parse(production, data.draw(st.one_of(damaged(legal), damaged(legal), st.binary())))


VERBS = st.sampled_from([f"{verb} ".encode() for verb in (*COMMANDS, "MAIL FROM:", "RCPT TO:")])


@given(
    st.one_of(
        damaged(strategies.commands(["MAIL", "RCPT"]).map(bytes)),
        damaged(strategies.commands().map(bytes)),
        st.builds(bytes.__add__, VERBS, st.binary() | st.text().map(str.encode)),
    )
)
@example(b"EHLO")  # the offset of the error is within the line
@example(b"")
def test_a_malformed_command_has_a_permanent_reply(line: bytes) -> None:
    error = check_parse(PRODUCTIONS["command"], line)
    if error is not None:
        assert error.reply is not None
        assert error.reply.permanent
        assert error.reply.enhanced is not None
        assert all(text.isascii() for text in error.reply.lines)


@given(strategies.commands(["MAIL", "RCPT"]), st.data())
def test_parameters_are_accepted_only_if_offered(command: Command, data: DataObject) -> None:
    assert isinstance(command, Mail | Rcpt)
    used = {parameter.keyword for parameter in command.parameters.parameters()}
    known = sorted(MAIL_CODECS if isinstance(command, Mail) else RCPT_CODECS)
    offered = used | data.draw(st.sets(st.sampled_from(known)))
    offered -= data.draw(st.sets(st.sampled_from(known), max_size=1))
    try:
        assert parse_command(bytes(command), ParseContext(parameters=offered)) == command
        assert used <= offered
    except GrammarError as error:
        assert not used <= offered
        assert error.reply is not None
        assert error.reply.code == 555


ALL_EXTENSIONS = Extensions(dict.fromkeys(EXTENSIONS, ""))


@pytest.mark.req("RFC3461-4.5-01", "RFC3461-5.4-04")
@given(strategies.commands(["MAIL", "RCPT"]))
def test_mail_and_rcpt_fit_their_line_limit_and_repeat_no_parameter(command: Command) -> None:
    assert isinstance(command, Mail | Rcpt)
    assert len(bytes(command)) + len("\r\n") <= ALL_EXTENSIONS.line_limit(command.verb)
    keywords = [parameter.keyword for parameter in command.parameters.parameters()]
    assert len(keywords) == len(set(keywords))


@given(strategies.commands(["MAIL", "RCPT"]), strategies.offers())
def test_an_offer_of_all_extensions_refuses_no_parameter(
    command: Command, offer: Extensions
) -> None:
    assert isinstance(command, Mail | Rcpt)
    assert refusal_of(command.parameters, ALL_EXTENSIONS) is None
    reply = refusal_of(command.parameters, offer)
    assert reply is None or reply.code in (501, 555)


# An invalid value cannot be built: for any arguments, the constructor raises GrammarError or
# returns a value that can be written and read back.
ANY = st.text(st.characters()) | st.lists(
    st.sampled_from(
        [octets.decode("utf-8", "ignore") for octets in FRAGMENTS] + ["a", "IPv6", "\ud800"]
    )
).map("".join)
ZONES = st.none() | st.timedeltas(
    timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)
).map(timezone)
DATE_TIMES = st.datetimes(timezones=ZONES)
BUILDERS: dict[str, tuple[str, Callable[..., Any], tuple[SearchStrategy[Any], ...]]] = {
    "Domain": ("domain", Domain, (ANY,)),
    "GeneralLiteral": ("literal", lambda *a: AddressLiteral(GeneralLiteral(*a)), (ANY, ANY)),
    "Mailbox": ("mailbox", Mailbox, (ANY, strategies.hosts(u_labels=True))),
    "ReversePath": ("reverse-path", ReversePath, (strategies.mailboxes(smtputf8=True),)),
    "ForwardPath": ("forward-path", ForwardPath, (strategies.mailboxes(smtputf8=True),)),
    "EnhancedCode": ("enhanced code", EnhancedCode, (st.integers(),) * 3),
    "EnhancedCode, nearly valid": ("enhanced code", EnhancedCode, (st.integers(-1, 1001),) * 3),
    "Reply": (
        "reply",
        Reply,
        (st.integers(199, 600), st.none() | strategies.enhanced_codes(), ANY),
    ),
    "Reply, of lines": ("reply", Reply, (st.integers(199, 600), st.none(), st.lists(ANY))),
    "Extensions": ("extensions", Extensions, (st.dictionaries(ANY.map(str.upper), ANY),)),
    "Parameter": ("parameter list", lambda *a: (Parameter(*a),), (ANY, st.none() | ANY)),
    "MailParameters": ("mail parameters", lambda n: MailParameters(size=n), (st.integers(),)),
    "MailParameters, of text": (
        "mail parameters",
        lambda e, s: MailParameters(envid=e, solicit=s),
        (st.none() | ANY, st.none() | st.lists(ANY).map(tuple)),
    ),
    "MailParameters, of times": (
        "mail parameters",
        lambda by, hold, until: MailParameters(by=by, hold_for=hold, hold_until=until),
        (st.none() | strategies.deliver_by(), st.none() | st.integers(), st.none() | DATE_TIMES),
    ),
    "RcptParameters": (
        "rcpt parameters",
        lambda n: RcptParameters(notify=n),
        (st.none() | st.lists(st.sampled_from(Notify)),),
    ),
    "DeliverBy": ("deliver-by", DeliverBy, (st.integers(), st.sampled_from(ByMode), st.booleans())),
    "OriginalRecipient": ("original recipient", OriginalRecipient, (ANY, ANY)),
    "OriginalRecipient, utf-8": ("original recipient", OriginalRecipient, (st.just("utf-8"), ANY)),
    "ValidSince": ("valid since", ValidSince, (DATE_TIMES, st.none() | st.sampled_from(NoSupport))),
    "FutureRelease": ("future release", FutureRelease, (st.integers(), DATE_TIMES)),
    "SessionLimits": (
        "session limits",
        lambda a, b: SessionLimits(mail_max=a, rcpt_max=b),
        (st.integers(), st.none() | st.integers()),
    ),
    "Noop": ("command", Noop, (ANY,)),
    "Vrfy": ("command", Vrfy, (ANY,)),
    "Ehlo": ("command", Ehlo, (strategies.hosts(u_labels=True),)),
    "Auth": ("command", Auth, (ANY, st.none() | st.binary().map(Secret))),
}


@pytest.mark.parametrize("name", BUILDERS)
@given(data=st.data())
def test_a_value_that_can_be_built_can_be_written_and_read(name: str, data: DataObject) -> None:
    kind, build, arguments = BUILDERS[name]
    try:
        value = build(*(data.draw(argument) for argument in arguments))
    except GrammarError:
        return
    check_round_trip(value, PRODUCTIONS[kind].parse, PRODUCTIONS[kind].write)


# Canonical octets are written exactly as they were read. They come from regular expressions, not
# from our writers, so the test finds faults that parser and writer have in common.
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DOMAIN = rf"{LABEL}(\.{LABEL}){{0,2}}"
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}"
QUOTED = r'"([!#-\[\]-~]|\\["\\]){0,20} ([!#-\[\]-~]|\\["\\]){0,8}"'  # needs quotes: a space
SNUM = "(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
HOST = rf"({DOMAIN}|\[{SNUM}(\.{SNUM}){{3}}\])"
MAILBOX = rf"({ATOM}(\.{ATOM}){{0,2}}|{QUOTED})@{HOST}"
CODE = r"(0|[1-9][0-9]{0,2})"
XTEXT = r"([!-*,-<>-~]|\+(0[0-9A-F]|1[0-9A-F]|20|2B|3D|7F|C3\+A9))*"
XATOM = r"([A-Za-z0-9!#$%&'*/?^_`{|}~-]|\+2B|\+3D){1,20}"
XCHAR = r"([!-*,-<>-~]|\+(20|2B|3D))"
UNICHAR = (
    r"([!-*,-<>-\[\]-~]|\\x\{(0[1-9]|1[0-9]|20|2B|3D|5C|7F|[89A-F][0-9A-F]|[1-9A-F][0-9A-F]{2}"
    r"|[1-9A-CEF][0-9A-F]{3}|D[0-7][0-9A-F]{2}|[1-9A-F][0-9A-F]{4}|10[0-9A-F]{4})\})"
)
ORCPT = rf"(rfc822;{XCHAR}{{0,99}}|[uU][tT][fF]-8;{UNICHAR}{{1,40}})"
NOTIFY = "(NEVER|SUCCESS(,FAILURE)?(,DELAY)?|FAILURE(,DELAY)?|DELAY)"
NUMBER = "[1-9][0-9]{0,8}"
BY = rf"({NUMBER};R|(0|-?{NUMBER});N)T?"
WORD = "[A-Za-z][A-Za-z0-9._:-]{0,19}"
SECONDS = (
    "(000[1-9]|[1-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
)
DATE_TIME = rf"{SECONDS}(\.[0-9]{{0,5}}[1-9])?Z"
LIMIT = "[1-9][0-9]{0,5}"
TEXT = r"([\t -/:-~][\t -~]{0,40})?"  # does not start with an enhanced code
CANONICAL = [
    ("domain", DOMAIN),
    ("host", HOST),
    ("mailbox", MAILBOX),
    ("reverse-path", rf"<({MAILBOX})?>"),
    ("forward-path", rf"<(Postmaster|{MAILBOX})>"),
    ("enhanced code", rf"[245]\.{CODE}\.{CODE}"),
    ("reply", rf"250-{TEXT}\r\n(250-{TEXT}\r\n)*250 {TEXT}\r\n"),
    ("reply", rf"(550-5\.1\.1 {TEXT}\r\n)*550 5\.1\.1 {TEXT}\r\n"),
    ("reply", rf"[2-5][0-9]{{2}} {TEXT}\r\n"),
    ("extensions", r"250-mx\r\n250-SIZE [0-9]{1,20}\r\n250 X-[A-Z]{9}( [!-~]{1,9}){0,4}\r\n"),
    (
        "mail parameters",
        r"(SIZE=(0|[1-9][0-9]{0,19}))?( BODY=(7BIT|8BITMIME|BINARYMIME))?( SMTPUTF8)?",
    ),
    ("mail parameters", rf"(RET=(FULL|HDRS))?( ENVID={XCHAR}{{1,33}})?( REQUIRETLS)?( BY={BY})?"),
    ("mail parameters", rf"HOLDFOR={NUMBER} MT-PRIORITY=(0|-?[1-9])( SOLICIT={WORD}(,{WORD})*)?"),
    ("mail parameters", rf"HOLDUNTIL={DATE_TIME}"),
    ("rcpt parameters", rf"NOTIFY={NOTIFY}( ORCPT={ORCPT})?( RRVS={SECONDS}Z(;[CR])?)?"),
    ("deliver-by", BY),
    ("original recipient", ORCPT),
    ("valid since", rf"{SECONDS}Z(;[CR])?"),
    ("date-time", DATE_TIME),
    ("session limits", rf"MAILMAX={LIMIT}( RCPTMAX={LIMIT})?( RCPTDOMAINMAX={LIMIT})?"),
    ("future release", rf"{NUMBER} {DATE_TIME}"),
    ("parameter list", r"[A-Z0-9][A-Z0-9-]*(=[!-<>-~]+)?"),
    ("xtext", XTEXT),
    ("base64", "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?"),
    ("command", rf"(EHLO|HELO) {HOST}"),
    ("command", rf"MAIL FROM:<({MAILBOX})?>( SIZE=[1-9][0-9]{{0,19}})?( BODY=8BITMIME)?"),
    ("command", rf"MAIL FROM:<> AUTH=(<>|{XATOM}@{DOMAIN})"),
    ("command", rf"RCPT TO:<(Postmaster|{MAILBOX})>"),
    ("command", "(NOOP|HELP|VRFY|EXPN) [!-~]([ -~]{0,40}[!-~])?"),
    ("command", "(DATA|RSET|QUIT|STARTTLS|NOOP|HELP)"),
    ("command", "AUTH [A-Z0-9_-]{1,20}( (=|([A-Za-z0-9+/]{4})+))?"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "regex"), CANONICAL)
@given(data=st.data())
def test_canonical_octets_are_written_as_they_were_read(
    kind: str, regex: str, data: DataObject
) -> None:
    production = PRODUCTIONS[kind]
    octets = data.draw(st.from_regex(regex, fullmatch=True)).strip(" ").encode("ascii")
    assert production.write(production.parse(octets)) == octets
