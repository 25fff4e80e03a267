"""Command lines on a server: framing, syntax, length and the number of errors."""

from __future__ import annotations

from bisect import bisect_left
from itertools import combinations
from typing import Any

import pytest

from smtpproto.events import Disconnected, Rejected
from smtpproto.grammar.command import (
    Noop,
)
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Leniencies, Limits
from smtpproto.protocol.phases import Phase

from .machines import (
    ServerDriver,
    codes_of,
    lines_of,
    ready_server,
)

ALL_OPTIONS = {"starttls": True, "mechanisms": ("PLAIN",), "auth_in_clear": True}

DOMAIN_OF_255_OCTETS = b".".join([b"d" * 63] * 4)

LINE_OCTETS = [
    ("8BITMIME", {}, 14, 0),
    ("BINARYMIME", {"8BITMIME": "", "CHUNKING": ""}, 16, 0),
    ("SIZE", {}, 26, 0),
    ("SMTPUTF8", {"8BITMIME": ""}, 10, 0),
    ("DSN", {}, 524, 524),
    ("REQUIRETLS", {}, 11, 0),
    ("DELIVERBY", {}, 17, 0),
    ("FUTURERELEASE", {}, 34, 0),
    ("MT-PRIORITY", {}, 15, 0),
    ("RRVS", {}, 0, 33),
    ("NO-SOLICITING", {}, 1007, 0),
]


def longest(server: ServerDriver, verb: bytes) -> int:
    """Return the length of the longest line that is accepted, with CRLF."""

    def too_long(size: int) -> bool:
        return "Line too long" in server.lines(verb.ljust(size - 2, b"x") + b"\r\n")[0]

    return bisect_left(range(4000), True, lo=512, key=too_long) - 1


@pytest.mark.req("RFC5321-2.4-05")
def test_a_command_without_crlf_has_no_effect() -> None:
    server = ready_server()
    for octet in (b"Q", b"UIT", b"\r"):
        assert server.feed_events(octet) == ([], b"")
    assert server.codes(b"\n") == [221]


@pytest.mark.req("RFC5321-2.4-05")
@pytest.mark.parametrize("line", [b"QUIT", b"QUIT\r", b"QUIT\n", b"NOOP", b"RSET", b"MAIL FROM:<>"])
def test_a_command_without_crlf_has_no_effect_at_the_end_of_the_connection(line: bytes) -> None:
    server = ready_server()
    assert server.feed_events(line) == ([], b"")
    assert server.end() == b""
    assert server.events == [Disconnected()]


@pytest.mark.req("RFC5321-2.3.8-01/server", "SMUGGLING-07")
def test_a_bare_cr_or_lf_does_not_end_a_command() -> None:
    server = ready_server()
    assert server.feed_events(b"NOOP\n") == ([], b"")
    assert server.codes(b"NOOP\r\nNOOP\r\n") == [500, 250]
    assert server.codes(b"NOOP\rNOOP\r\nNOOP x\nQUIT\r\nNOOP\r\n") == [500, 501, 250]


@pytest.mark.req("RFC5321-4.1.1-01", "RFC5321-2.4-01/server")
@pytest.mark.parametrize(
    "line",
    [
        b"noop ",
        b"NoOp\t",
        b"rset  ",
        b"RSET\t",
        b"Quit \t ",
        b"mail from:<>  ",
        b"mAiL fRoM:<> sIzE=1 bOdY=8bitMIME",
        b"MAIL from:<> Size=1",
        b"eHlO a.example",
    ],
)
def test_verbs_in_any_case_and_trailing_blanks_are_accepted(line: bytes) -> None:
    assert ready_server().codes(line + b"\r\n")[0] in (250, 221)


@pytest.mark.req("RFC5321-4.2.4-03", "RFC5321-4.2.4-04", "RFC5321-3.8-02", "RFC5321-4.1.2-09")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"FOO", "500 5.5.1 "),
        (b"TURN", "502 5.5.1 "),
        (b"SEND FROM:<>", "502 5.5.1 "),
        (b"STARTTLS", "502 5.5.1 "),
        (b"AUTH PLAIN", "502 5.5.1 "),
        (b"MAIL FROM:<a b@c.example>", "501 5.1.7 "),
        (b"MAIL FROM:<a@b.example> SIZE=1 SIZE=1", "501 5.5.4 "),
        (b"MAIL FROM:<a@b.example> BODY=x", "501 5.5.4 "),
        (b"MAIL FROM:<a@b.example> FOO=1", "555 5.5.4 "),
        (b"MAIL FROM:<a@b.example> AUTH=<>", "555 5.5.4 "),
        (b"MAIL FROM:<> SMTPUTF8=1", "501 5.5.4 "),
        (b"NOOP \x00", "501 5.5.2 "),
        (b"VRFY", "501 5.5.4 "),
    ],
)
def test_syntax_errors_are_refused_with_the_code_of_their_kind(line: bytes, reply: str) -> None:
    server = ready_server()
    event = server.ask(line + b"\r\n")
    assert isinstance(event, Rejected)
    assert server.machine.data_to_send().decode().startswith(reply)
    assert server.codes(b"NOOP\r\n") == [250]


@pytest.mark.req("RFC5321-4.1.2-09")
@pytest.mark.parametrize(
    "line",
    [
        b"EHLO a%bb", b"MAIL FROM:<a%bb@c.example>", b'MAIL FROM:<"a%bb"@c.example>',
        b"MAIL FROM:<a@c%bd.example>", b"RCPT TO:<a%bb@c.example>", b'RCPT TO:<"%b"@c.example>',
        b"RCPT TO:<a@c%bd.example>", b"VRFY a%bb", b"EXPN a%bb", b"HELP a%bb", b"NOOP a%bb",
    ],
)  # fmt: skip
def test_every_control_character_in_a_command_is_refused_with_501(line: bytes) -> None:
    for octet in (*range(32), 127):
        server = ready_server(b"MAIL FROM:<>\r\n" if line.startswith(b"RCPT") else b"")
        assert server.codes(line % bytes([octet]) + b"\r\n") == [501], octet
        assert server.codes(b"NOOP\r\n") == [250]


def test_rejected_has_the_escaped_line_and_the_offset_of_the_error() -> None:
    server = ready_server()
    event = server.ask(b"FOO \x1b[31m\xff\r\n")
    assert event == Rejected("FOO \\x1b[31m\\xff", Reply(500, "5.5.1", event.reply.text))  # type: ignore[union-attr]
    event = server.ask(b"MAIL FROM:<a@b-.example>\r\n")
    assert isinstance(event, Rejected)
    assert "at octet 13" in event.reply.text


@pytest.mark.req(
    "RFC5321-4.5.3.1.4-01/server",
    "RFC5321-4.3.2-05",
    "RFC1870-3-03",
    "RFC4954-3-03",
    "RFC6531-3.1-04",
)
@pytest.mark.parametrize(
    ("verb", "options", "limit"),
    [
        (b"NOOP ", {}, 512),
        (b"noop ", ALL_OPTIONS, 512),
        (b"HELP ", ALL_OPTIONS, 512),
        (b"VRFY ", ALL_OPTIONS, 512 + 9),
        (b"EXPN ", ALL_OPTIONS, 512 + 9),
        (b"RCPT ", ALL_OPTIONS, 512),
        (b"STARTTLS ", ALL_OPTIONS, 512),
        (b"EHLO ", ALL_OPTIONS, 512),
        (b"MAIL ", {}, 512 + 26 + 14 + 10),
        (b"mail ", {}, 512 + 26 + 14 + 10),
        (b"MAIL ", ALL_OPTIONS, 512 + 26 + 14 + 10 + 500),
        (b"AUTH ", ALL_OPTIONS, 12288),
        (b"MAILX ", ALL_OPTIONS, 512),
        (b"AUTHX ", ALL_OPTIONS, 512),
        (b"FOO ", ALL_OPTIONS, 512),
    ],
)
def test_a_line_at_its_limit_is_read_and_a_longer_one_is_refused(
    verb: bytes, options: dict[str, Any], limit: int
) -> None:
    """Either has one reply."""
    for length, too_long in ((limit - 1, False), (limit, False), (limit + 1, True)):
        server = ready_server(**options)
        line = verb.ljust(length - 2, b"x") + b"\r\n"
        lines = server.lines(line[:300], line[300:] + b"NOOP\r\n")
        assert len(codes_of(lines)) == 2
        assert (lines[0] == "500 5.5.2 Line too long") == too_long
        assert lines[-1] == "250 2.0.0 OK"


@pytest.mark.req("RFC5321-2.3.8-02")
def test_an_endless_line_has_one_reply() -> None:
    server = ready_server()
    for _ in range(100):
        assert server.feed_events(b"x" * 10000) == ([], b"")
    events, sent = server.feed_events(b"\nQUIT\r\nNOOP\r\n")
    assert events == [Rejected("", Reply(500, "5.5.2", "Line too long")), Noop()]
    assert codes_of(lines_of(sent)) == [500, 250]


def test_too_many_syntax_errors_close_with_421() -> None:
    server = ready_server(limits=Limits(errors=3))
    assert server.codes(b"FOO\r\n" * 3 + b"NOOP\r\nDATA\r\n") == [500] * 3 + [250, 503]
    assert server.lines(b"MAIL FROM:x\r\nNOOP\r\n") == [
        "421 4.7.0 mx.example.org Too many errors; closing transmission channel"
    ]
    assert server.machine.phase is Phase.CLOSED


def test_commands_out_of_order_do_not_count_as_errors() -> None:
    server = ready_server(limits=Limits(errors=3))
    assert server.codes(b"DATA\r\n" * 100) == [503] * 100
    server = ready_server()
    assert server.codes(b"FOO\r\n" * 50) == [500] * 50
    assert server.machine.phase is Phase.READY


@pytest.mark.req(
    "RFC5321-4.5.3.1-01/server",
    "RFC5321-4.5.3.1.1-01/server",
    "RFC5321-4.5.3.1.2-01/server",
    "RFC5321-4.5.3.1.3-01/server",
    "RFC5321-4.5.3.1.4-01/server",
)
@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<%s@b.example>" % (b"l" * 64),
        b"EHLO " + DOMAIN_OF_255_OCTETS,
        b"MAIL FROM:<%s@%s>" % (b"l" * 64, DOMAIN_OF_255_OCTETS[: 256 - 2 - 65 - 1] + b"x"),
        b"RCPT TO:<%s@%s>" % (b"l" * 64, DOMAIN_OF_255_OCTETS[: 256 - 2 - 65 - 1] + b"x"),
        b"NOOP " + b"x" * (512 - 7),
    ],
    ids=["local-part", "domain", "reverse-path", "forward-path", "command line"],
)
def test_commands_of_the_minimum_sizes_are_accepted(line: bytes) -> None:
    server = ready_server(leniencies=Leniencies.strict())
    if line.startswith(b"RCPT"):
        server.feed(b"MAIL FROM:<>\r\n")
    assert server.codes(line + b"\r\n") == [250]


@pytest.mark.req(
    "RFC3030-3-03",
    "RFC2852-2-02",
    "RFC4865-3-03",
    "RFC6710-3-02",
    "RFC8689-2-02",
    "RFC5321-4.3.2-05",
    "RFC5321-4.5.3.1.4-01/server",
)
@pytest.mark.parametrize(("keyword", "needs", "mail", "rcpt"), LINE_OCTETS)
def test_the_line_limit_grows_with_the_offer(
    keyword: str, needs: dict[str, str], mail: int, rcpt: int
) -> None:
    parameters = {"FUTURERELEASE": "3600 2030-01-01T00:00:00Z"}.get(keyword, "")
    nothing: dict[str, str | None] = dict.fromkeys(EXTENSIONS)
    many = Limits(errors=10**6)
    for verb, more in ((b"MAIL ", mail), (b"RCPT ", rcpt), (b"VRFY ", 9 * (keyword[:4] == "SMTP"))):
        before, after = (
            ready_server(extensions=nothing | needs | offered, secure=True, limits=many)
            for offered in ({}, {keyword: parameters})
        )
        assert longest(after, verb) - longest(before, verb) == more


@pytest.mark.req("RFC3461-5.4-04")
def test_the_line_limits_of_any_two_extensions_add_up() -> None:
    nothing: dict[str, str | None] = dict.fromkeys(EXTENSIONS)
    future = {"FUTURERELEASE": "3600 2030-01-01T00:00:00Z"}
    extra = {"8BITMIME": 14, "SMTPUTF8": 10}
    for one, other in combinations(LINE_OCTETS, 2):
        offered = one[1] | other[1] | {one[0]: "", other[0]: ""}
        offered |= {keyword: text for keyword, text in future.items() if keyword in offered}
        needed = sum(extra.get(keyword, 0) for keyword in offered.keys() - {one[0], other[0]})
        for verb, more in (
            (b"MAIL ", one[2] + other[2] + needed),
            (b"RCPT ", one[3] + other[3]),
        ):
            for length, code in ((512 + more, 501), (512 + more + 1, 500)):
                server = ready_server(
                    b"MAIL FROM:<>\r\n", extensions=nothing | offered, secure=True
                )
                server.feed(b"RSET\r\n" if verb == b"MAIL " else b"")
                assert server.codes(verb.ljust(length - 2, b"x") + b"\r\n") == [code], offered


@pytest.mark.req("RFC3461-5.4-04")
def test_the_longest_lines_with_all_parameters_are_accepted() -> None:
    """Blanks fill the lines up to the limit."""
    extensions = {keyword: "" for keyword, *_ in LINE_OCTETS if keyword != "SIZE"}
    extensions["FUTURERELEASE"] = "3600 9999-12-31T23:59:59Z"
    server = ready_server(extensions=extensions, secure=True, mechanisms=("PLAIN",))
    path = f"<{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 61}>"
    mail = (
        f"MAIL FROM:{path} SIZE=00000000000000000001 BODY=BINARYMIME SMTPUTF8 AUTH={path[1:-1]}"
        f" RET=FULL ENVID={'e' * 100} REQUIRETLS BY=+999999999;RT"
        f" HOLDUNTIL=2030-01-01T00:00:00.25Z MT-PRIORITY=-9 SOLICIT={'s' * 1000}"
    )
    rcpt = (
        f"RCPT TO:{path} NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{'o' * 493}"
        " RRVS=2014-04-03T23:01:00-08:00;C"
    )
    for line, more in (
        (mail, 26 + 14 + 16 + 10 + 500 + 524 + 11 + 17 + 34 + 15 + 1007),
        (rcpt, 557),
    ):
        assert len(line) + 2 <= 512 + more
        assert server.codes(line.encode().ljust(512 + more - 2) + b"\r\n") == [250]
        assert server.codes(line.encode().ljust(512 + more - 1) + b"\r\n") == [500]


def test_a_small_limit_for_auth_lines_applies_to_no_other_command() -> None:
    server = ready_server(extensions={"DSN": ""}, limits=Limits(auth_line=512))
    line = b"RCPT TO:<bob@example.org> ORCPT=rfc822;" + b"x" * 480
    assert server.codes(b"MAIL FROM:<>\r\n", line + b"\r\n") == [250, 250]
