"""The extensions that a server offers."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.events import (
    Rejected,
)
from smtpproto.grammar.command import (
    Data,
    Mail,
)
from smtpproto.grammar.extension import EXTENSIONS, Extensions
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO_LINE,
    MAIL_COMMAND,
    MAIL_LINE,
    PROXY_EXTENSIONS,
    RCPT_LINE,
    SMALL_MESSAGES,
    TO_DATA,
    ServerDriver,
    greeted_server,
    ready_server,
    reply_to,
)

NO_EXTENSIONS: dict[str, str | None] = dict.fromkeys(
    ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES",
     "HELP"]
)  # fmt: skip

ENABLED: dict[str, object] = {
    "starttls": True,
    "mechanisms": ("PLAIN",),
    "auth_in_clear": True,
    "extensions": {"ETRN": ""},
}


@pytest.mark.req("RFC2034-3-01", "RFC6531-3.1-01", "RFC5321-2.4-10", "RFC5321-4.3.2-03")
def test_ehlo_offers_these_extensions_by_default() -> None:
    for server in (greeted_server(), ready_server()):  # at the first EHLO, and at the second
        assert server.lines(EHLO_LINE) == [
            "250-mx.example.org greets you",
            "250-PIPELINING",
            "250-SIZE 33554432",
            "250-8BITMIME",
            "250-SMTPUTF8",
            "250-CHUNKING",
            "250-LIMITS RCPTMAX=1000",
            "250-ENHANCEDSTATUSCODES",
            "250 HELP",
        ]


@pytest.mark.req(
    "RFC3207-3-01",
    "RFC3207-4.2-06",
    "RFC4954-6-07",
    "RFC5321-4.5.3.1.7-02",
    "RFC4954-3-01",
    "RFC8314-3.3-03",
)
@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        ({"starttls": True}, ["STARTTLS"], ["AUTH PLAIN LOGIN"]),
        ({"starttls": True, "secure": True}, ["AUTH PLAIN LOGIN"], ["STARTTLS"]),
        ({"auth_in_clear": True}, ["AUTH PLAIN LOGIN"], ["STARTTLS"]),
        ({"limits": Limits(message_size=None)}, ["SIZE"], ["STARTTLS", "AUTH PLAIN LOGIN"]),
        ({"limits": SMALL_MESSAGES}, ["SIZE 65536"], []),
    ],
)
def test_the_offer_depends_on_tls_and_options(
    options: dict[str, object], present: list[str], absent: list[str]
) -> None:
    lines = [
        line[4:]
        for line in greeted_server(mechanisms=("PLAIN", "LOGIN"), **options).lines(EHLO_LINE)
    ]
    assert set(present) <= set(lines)
    assert not set(absent) & set(lines)


@pytest.mark.req("RFC4954-3-01")
def test_auth_lists_every_mechanism_after_one_space() -> None:
    names = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN", "XOAUTH2")
    for count in range(1, len(names) + 1):
        server = greeted_server(secure=True, mechanisms=names[:count])
        assert f"AUTH {' '.join(names[:count])}" in server.keywords()


ROOM = 512 - len("250-mx.example.org \r\n")


@pytest.mark.parametrize("text", ["AUTH\nSIZE 1\nX-MINE", "x" * (ROOM + 1), "ü" * (ROOM // 3)])
def test_an_answer_to_ehlo_that_does_not_fit_in_one_line_is_refused(text: str) -> None:
    """The client would read its other lines as keywords."""
    server = greeted_server()
    server.machine.receive(EHLO_LINE)
    server.machine.next_event()
    with pytest.raises(LocalProtocolError, match=f"one line, of at most {ROOM} octets"):
        server.machine.answer(Reply(250, None, text))
    server.machine.answer(Reply(250, None, "x" * ROOM))
    reply = Reply.parse(server.machine.data_to_send())
    assert reply.lines[0] == f"mx.example.org {'x' * ROOM}"
    assert Extensions.from_reply(reply) == server.machine.terms.offered


@pytest.mark.parametrize("octets", [505, 506, 507])
def test_a_keyword_that_does_not_fit_in_one_line_of_the_reply_is_refused(octets: int) -> None:
    offer = {"X-LONG": "x" * (octets - len("X-LONG "))}
    if octets > 506:
        with pytest.raises(ValueError, match=r"X-LONG has 507 octets.*at most 506"):
            greeted_server(extensions=offer)
    else:
        lines = greeted_server(extensions=offer).lines(EHLO_LINE)
        assert f"250 X-LONG {offer['X-LONG']}" in lines


@pytest.mark.req("RFC5321-2.2.1-01")
@pytest.mark.parametrize(
    "withdrawn",
    [NO_EXTENSIONS, dict.fromkeys(EXTENSIONS)],
    ids=["the extensions offered by default", "all extensions"],
)
def test_a_server_may_offer_no_extension(withdrawn: dict[str, str | None]) -> None:
    for server in (greeted_server(extensions=withdrawn), ready_server(extensions=withdrawn)):
        assert server.lines(EHLO_LINE) == ["250 mx.example.org greets you"]
        assert server.codes(TO_DATA + b"x\r\n.\r\n") == [250, 250, 354, 250]
        assert server.codes(MAIL_LINE, RCPT_LINE, b"DATA\r\n.\r\n") == [250, 250, 354, 250]


@pytest.mark.req("RFC5321-4.1.1.1-11", "RFC5321-2.2.2-01")
def test_a_keyword_must_be_registered_or_private() -> None:
    for keyword in ("FOO", "FOOX", "EXPNX", "A-X", "8X", "Y"):
        with pytest.raises(ValueError, match="neither implemented nor private"):
            greeted_server(extensions={keyword: ""})
    assert "250 XFOO bar" in greeted_server(extensions={"XFOO": "bar"}).lines(EHLO_LINE)


@pytest.mark.req("RFC5321-2.2.2-02/server")
def test_no_private_keyword_is_offered_by_default() -> None:
    names = ["starttls", "secure", "auth_in_clear", "submission", "lmtp"]
    for values in itertools.product([False, True], repeat=len(names)):
        options: dict[str, Any] = dict(zip(names, values, strict=True))
        offered = ServerDriver(mechanisms=("PLAIN",), **options).machine.terms.offered
        assert not any(keyword.upper().startswith("X") for keyword in offered)


@pytest.mark.req("RFC5321-4.2.4-02", "RFC5321-4.1.1.1-10")
@pytest.mark.parametrize(
    ("keyword", "line", "code"),
    [
        ("STARTTLS", b"STARTTLS", 220),
        ("AUTH", b"AUTH PLAIN =", 235),
        ("CHUNKING", b"BDAT 0", 503),
        ("ETRN", b"ETRN example.org", 251),
        ("HELP", b"HELP", 214),
    ],
)
def test_verbs_of_an_extension_are_implemented_only_if_it_is_offered(
    keyword: str, line: bytes, code: int
) -> None:
    for options, offered in ((ENABLED, True), ({"extensions": NO_EXTENSIONS}, False)):
        server = greeted_server(**options)
        keywords = [line[4:].split()[0] for line in server.lines(EHLO_LINE)[1:]]
        assert (keyword in keywords) == offered
        if keyword != "HELP" or offered:  # HELP is implemented even if not offered
            assert server.codes(line + b"\r\n") == [code if offered else 502]


@pytest.mark.req(
    "RFC5321-2.2.2-01", "RFC6531-3.1-05", "RFC6531-3.1-01", "RFC2034-3-01", "RFC3207-3-01",
    "RFC2920-2-01", "RFC6152-2-01",
)  # fmt: skip
@pytest.mark.parametrize(
    "extensions",
    [
        {"FOO": ""}, {"VERB": ""}, {"SMTPUTF8": "", "8BITMIME": None}, {"CHUNKING": "yes"},
        {"SIZE": "big"}, {"DELIVERBY": "-1"}, {"FUTURERELEASE": ""}, {"MT-PRIORITY": "a b"},
        {"LIMITS": "RCPTMAX=0"}, {"AUTH": ""}, {"XFOO": "a\r\nb"}, {"XFOO": "\u00e9"},
        {"x-foo": ""}, {"X FOO": ""}, {"": ""}, {"PIPELINING": "x"}, {"8BITMIME": "x"},
        {"SMTPUTF8": "x"}, {"ENHANCEDSTATUSCODES": "2"}, {"STARTTLS": "x"}, {"DSN": "x"},
    ],
)  # fmt: skip
def test_offers_that_contradict_their_rfc_raise_value_error(
    extensions: dict[str, str | None],
) -> None:
    with pytest.raises(ValueError, match=r"."):
        ServerDriver(extensions=extensions)
    assert "XFOO a b" in ready_server(extensions={"XFOO": "a b"}).keywords()


@pytest.mark.req("RFC9422-3-05", "RFC9422-4-02/server")
@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(recipients=5, transactions=2), "LIMITS RCPTMAX=5 MAILMAX=2"),
        (Limits(recipients=999_999), "LIMITS RCPTMAX=999999"),
        (Limits(recipients=1_000_000, transactions=1), "LIMITS MAILMAX=1"),
        (Limits(recipients=1_000_000), None),
    ],
)
def test_the_limits_keyword_announces_the_limits_applied(
    limits: Limits, expected: str | None, lmtp: bool
) -> None:
    server = ready_server(limits=limits, lmtp=lmtp)
    announced = [line for line in server.machine.terms.offered.lines() if line.startswith("LIMITS")]
    assert announced == ([expected] if expected else [])
    offered = server.machine.terms.offered.limits
    assert offered.mail_max == limits.transactions
    if limits.recipients == 5:
        more = RCPT_LINE * 6
        assert server.codes(MAIL_LINE + more) == [250] * 6 + [452]
        assert server.codes(b"RSET\r\n", MAIL_LINE) == [250, 250]
        last = server.lines(b"RSET\r\n", MAIL_COMMAND + b"\r\nNOOP\r\n")[1:]
        assert last == ["421 4.7.0 mx.example.org Too many messages on one connection; closing"]
        assert server.machine.phase is Phase.CLOSED


def test_refused_senders_do_not_count_as_transactions() -> None:
    server = ready_server(
        limits=Limits(transactions=1), application=reply_to(Mail, Reply(450, None, "No"))
    )
    assert server.codes(MAIL_LINE + MAIL_LINE) == [450, 450]
    server.application = reply_to(Data, Reply(450, None, "No"))
    assert server.codes(MAIL_LINE, b"RSET\r\n", MAIL_LINE) == [250, 250, 421]


@pytest.mark.req("RFC5321-4.2.4-02")
def test_every_keyword_of_a_verb_is_implemented() -> None:
    options: dict[str, Any] = {
        "mechanisms": ("PLAIN",),
        "auth_in_clear": True,
        "starttls": True,
        "extensions": {**PROXY_EXTENSIONS, "ETRN": ""},
    }
    lines = {
        "CHUNKING": b"BDAT 0",
        "STARTTLS": b"STARTTLS",
        "AUTH": b"AUTH PLAIN",
        "HELP": b"HELP",
        "ETRN": b"ETRN example.org",
        "XCLIENT": b"XCLIENT NAME=a.example",
        "XFORWARD": b"XFORWARD NAME=a.example",
    }
    machine = ready_server(**options).machine
    assert lines.keys() == {
        *machine.terms.offered.verbs - {"BDAT"},
        *["CHUNKING", "HELP"],
    }, "these are all keywords of a verb"
    for keyword, line in lines.items():
        server = (
            ready_server(MAIL_LINE, RCPT_LINE, **options)
            if keyword == "CHUNKING"
            else ready_server(**options)
        )
        server.application = reply_to(Auth, Reply(535, None, "No"))
        assert server.codes(line + b"\r\n")[0] not in (500, 502)
        assert not any(isinstance(event, Rejected) for event in server.events)
