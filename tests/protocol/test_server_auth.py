"""AUTH on a server, and commands that need a login."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from smtpproto.events import (
    AuthResponse,
    Rejected,
)
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO_LINE,
    TO_DATA,
    codes_of,
    ready_client,
    ready_server,
    server_in_exchange,
)

SECRET = base64.b64encode(b"\0ann\0hunter2hunter2")


@pytest.mark.req("RFC4954-6-06")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"EHLO a.example", 250), (b"HELO a.example", 250), (b"NOOP", 250), (b"RSET", 250),
        (b"QUIT", 221), (b"STARTTLS", 220), (b"AUTH PLAIN =", 235),
        (b"MAIL FROM:<>", 530), (b"RCPT TO:<a@b.example>", 530), (b"DATA", 530),
        (b"VRFY a", 530), (b"EXPN a", 530), (b"HELP", 530),
    ],
)  # fmt: skip
def test_with_require_auth_other_commands_are_refused_with_530(line: bytes, code: int) -> None:
    server = ready_server(
        require_auth=True, mechanisms=("PLAIN",), auth_in_clear=True, starttls=True
    )
    lines = server.lines(line + b"\r\n")
    assert codes_of(lines) == [code]
    assert code != 530 or lines == ["530 5.7.0 Authentication required"]


@pytest.mark.req(
    "RFC4954-4-06", "RFC4954-4-08", "RFC4954-4-21", "RFC4954-4-24/server", "RFC4422-3.8-01/server"
)
def test_a_server_sends_challenges_and_reads_responses_until_its_reply() -> None:
    server = server_in_exchange()
    assert isinstance(server.ask(b"YW5u\r\n"), AuthResponse)
    server.machine.answer()
    assert server.lines() == ["235 2.7.0 Authentication successful"]
    server = server_in_exchange()
    assert server.ask(b"YW5u\r\n") == AuthResponse(Secret(b"ann"))
    server.machine.challenge(b"")
    assert server.machine.data_to_send() == b"334 \r\n"
    assert server.ask(b"\r\n") == AuthResponse(Secret(b""))
    server.machine.answer(Reply(535, "5.7.8", "No"))
    assert not server.machine.terms.authenticated
    assert server.lines(b"AUTH PLAIN =\r\n") == [
        "535 5.7.8 No",
        "235 2.7.0 Authentication successful",
    ]
    assert server.machine.terms.authenticated
    mail = b"MAIL FROM:<> SIZE=1 BODY=8BITMIME\r\n"
    assert server.codes(b"AUTH PLAIN AGEAYg==\r\n", mail) == [503, 250], (
        "the last EHLO still counts"
    )


@pytest.mark.req("RFC4954-4-06")
@pytest.mark.parametrize("size", [0, 1, 2, 3, 380, 381, 500, 9213])
def test_a_challenge_is_one_line_of_base64_however_long(size: int) -> None:
    server = server_in_exchange()
    assert isinstance(server.ask(b"YW5u\r\n"), AuthResponse)
    server.machine.challenge(b"\xff" * size)
    encoded = base64.b64encode(b"\xff" * size)
    assert server.machine.data_to_send() == b"334 " + encoded + b"\r\n"


@pytest.mark.req("RFC4954-4-02")
@pytest.mark.parametrize("option", ["secure", "auth_in_clear"])
@pytest.mark.parametrize(
    "lines", [EHLO_LINE, b"HELO a.example\r\n", b"RSET\r\n", TO_DATA + b"text\r\n.\r\n"]
)
def test_after_a_login_auth_is_refused_until_the_session_ends(lines: bytes, option: str) -> None:
    options: dict[str, Any] = {"mechanisms": ("PLAIN",), option: True}
    server = ready_server(**options)
    assert server.codes(b"AUTH PLAIN =\r\n") == [235]
    server.feed(lines)
    assert server.lines(b"AUTH PLAIN =\r\n") == ["503 5.5.1 Already authenticated"]


@pytest.mark.req(
    "RFC4954-4-02", "RFC4954-4-03", "RFC4954-4-05", "RFC4954-8-01/server", "RFC4422-A-02"
)
def test_auth_is_refused_without_mechanism_base64_tls_or_in_a_transaction() -> None:
    server = ready_server(secure=True, mechanisms=("PLAIN",))
    assert server.lines(b"AUTH CRAM-MD5\r\n") == ["504 5.5.4 Unrecognized authentication mechanism"]
    for name in (b"EXTERNAL", b"LAIN", b"PLAI", b"P", b"PLAIN-CLIENTTOKEN"):
        assert server.codes(b"AUTH %s =\r\n" % name) == [504]
    assert server.codes(b"AUTH\r\nAUTH !\r\nAUTH PLAIN =x\r\n") == [501, 501, 501]
    assert server.lines(b"AUTH PLAIN !!!\r\n")[0].startswith("501 5.5.2 ")
    assert server.codes(b"MAIL FROM:<>\r\nAUTH PLAIN\r\nRSET\r\n") == [250, 503, 250]
    assert server.codes(b"auth plain =\r\nAUTH PLAIN\r\n") == [235, 503]
    assert ready_server(mechanisms=("PLAIN",)).lines(b"AUTH PLAIN %s\r\n" % SECRET) == [
        "538 5.7.11 Encryption required for authentication"
    ]


@pytest.mark.req(
    "RFC4954-4-07",
    "RFC4954-4-13",
    "RFC4954-4-15/server",
    "RFC4954-4-17",
    "RFC4954-4-33",
    "RFC4422-3.5-01/server",
)
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"*", "501 5.7.0 Authentication cancelled"),
        (b"!!!", "501 5.5.2 Cannot decode base64"),
        (b"=AAA", "501 5.5.2 Cannot decode base64"),
        (b"AAA=BBB=", "501 5.5.2 Cannot decode base64"),
        (b"AAA", "501 5.5.2 Cannot decode base64"),
        (b"AA AA", "501 5.5.2 Cannot decode base64"),
        (b" *", "501 5.5.2 Cannot decode base64"),
        (b"* ", "501 5.5.2 Cannot decode base64"),
        (b"**", "501 5.5.2 Cannot decode base64"),
        (b"*AAA", "501 5.5.2 Cannot decode base64"),
        (b"MAIL FROM:<>", "501 5.5.2 Cannot decode base64"),
        (b"x" * 12287, "500 5.5.6 Authentication exchange line is too long"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_cancelled_or_unreadable_response_ends_the_exchange(line: bytes, reply: str) -> None:
    server = server_in_exchange()
    server.machine.receive(line + b"\r\nNOOP\r\n")
    event = server.machine.next_event()
    assert isinstance(event, Rejected)
    assert event.line == "***"
    assert (server.machine.phase, server.machine.terms.authenticated) == (Phase.READY, False)
    assert server.lines() == [reply]
    assert server.codes(b"AUTH PLAIN =\r\n") == [250, 235]


@pytest.mark.req("RFC4954-4-16/server", "RFC4954-4-17")
def test_a_response_line_may_have_12288_octets() -> None:
    """The limit includes CRLF. A line of 12286 octets is within it, but is not base64."""
    assert server_in_exchange().ask(b"A" * 12284 + b"\r\n") == AuthResponse(Secret(bytes(9213)))
    for length, reply in ((12286, b"501 5.5.2 "), (12287, b"500 5.5.6 ")):
        server = server_in_exchange()
        assert isinstance(server.ask(b"A" * length + b"\r\n"), Rejected)
        assert server.machine.data_to_send().startswith(reply)


@pytest.mark.parametrize("line", [b"QUIT", b"NOOP", b"RSET", b"DATA", b"AUTH"])
def test_a_response_that_looks_like_a_command_is_a_response(line: bytes) -> None:
    event = server_in_exchange().ask(line + b"\r\n")
    assert event == AuthResponse(Secret(base64.b64decode(line)))


@pytest.mark.req("RFC4954-9-02", "RFC4954-9-04")
def test_the_third_failed_login_closes_with_421() -> None:
    server = ready_server(secure=True, mechanisms=("PLAIN",))
    for count in (1, 2, 3):
        server.ask(b"AUTH PLAIN %s\r\n" % SECRET)
        server.machine.answer(Reply(535, "5.7.8", "No"))
        assert (server.machine.phase is Phase.CLOSED) == (count == 3)
    assert server.codes() == [535, 535, 535, 421]


def test_temporary_failures_and_cancels_do_not_count_as_failed_logins() -> None:
    server = ready_server(secure=True, mechanisms=("PLAIN",))
    for _ in range(5):
        server.ask(b"AUTH PLAIN %s\r\n" % SECRET)
        server.machine.answer(Reply(454, "4.7.0", "Later"))
        server.ask(b"AUTH PLAIN\r\n")
        server.machine.challenge(b"")
        assert isinstance(server.ask(b"*\r\n"), Rejected)
    assert server.codes() == [454, 334, 501] * 5
    assert server.machine.phase is Phase.READY


@pytest.mark.parametrize("lead", [b"AUTH PLAIN ", b"auth plain ", b"AUTH PLAIN  ", b"AUTHPLAIN ",
                                  b"AUTH\t", b" AUTH PLAIN ", b"AUTH FOO "])  # fmt: skip
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("tail", [b"", b"!", b" x", b"\0"])
def test_events_never_show_the_argument_of_auth(lead: bytes, secure: bool, tail: bytes) -> None:
    server = ready_server(secure=secure, mechanisms=("PLAIN",))
    events, sent = server.feed_events(lead + SECRET + tail + b"\r\n")
    assert SECRET.decode() not in repr(events) + "".join(map(str, events))
    assert "hunter2" not in repr(events) + "".join(map(str, events))
    assert SECRET not in sent


def test_events_never_show_a_response() -> None:
    for tail in (b"", b"!", b"=", b"\n"):
        events, sent = server_in_exchange().feed_events(SECRET + tail + b"\r\n")
        assert len(events) == 1
        assert SECRET.decode() not in repr(events)
        assert "hunter2" not in repr(events)
        assert SECRET not in sent


@pytest.mark.req("RFC4954-8-02/server")
@pytest.mark.parametrize("option", ["secure", "auth_in_clear"])
def test_keywords_and_mechanisms_ignore_case_and_base64_does_not(option: str) -> None:
    encoded = base64.b64encode(b"\0ann\0secret")
    secrets = []

    def application(question: object) -> Reply | None:
        assert isinstance(question, Auth) and question.initial is not None
        assert question.mechanism == "PLAIN"
        secrets.append(question.initial.reveal())
        return None if secrets[-1] == b"\0ann\0secret" else Reply(535, "5.7.8", "No")

    server = ready_server(mechanisms=("PLAIN",), application=application, **{option: True})
    assert server.codes(b"AUTH PLAIN %s\r\n" % encoded.swapcase()) == [535]
    assert server.codes(b"auth PlAiN %s\r\n" % encoded.swapcase()) == [535]
    assert server.codes(b"auth PlAiN %s\r\n" % encoded) == [235]
    assert secrets[0] == secrets[1] != secrets[2]
    client = ready_client("auth plain", "starttls")
    assert client.extensions.mechanisms == ("PLAIN",)
    assert "STARTTLS" in client.extensions


# -- refused tokens: the refusal is sent in a challenge --------------------------------------------


def test_a_cancelled_login_does_not_count_if_its_334_was_a_plain_reply() -> None:
    """A server may also challenge by answer(Reply(334)). The refusal of an earlier login has no
    effect on that."""
    server = ready_server(secure=True, mechanisms=("OAUTHBEARER",))
    for number in range(5):
        assert isinstance(server.ask(b"AUTH OAUTHBEARER\r\n"), Auth)
        if number:
            server.machine.answer(Reply(334, None, ""))
        else:
            server.machine.challenge(b"", refused=True)
        assert isinstance(server.ask(b"*\r\n"), Rejected)
    assert server.codes() == [334, 501] * 5
    assert server.machine.phase is Phase.READY


def test_cancelling_counts_as_a_failure_only_after_a_refusal() -> None:
    """The third refusal is followed by 421."""
    server = ready_server(secure=True, mechanisms=("OAUTHBEARER",))
    for refused in (True, False, False, False, True, True):
        assert server.machine.phase is Phase.READY
        assert isinstance(server.ask(b"AUTH OAUTHBEARER\r\n"), Auth)
        server.machine.challenge(b"", refused=refused)
        assert isinstance(server.ask(b"*\r\n"), Rejected)
    assert server.codes() == [334, 501] * 6 + [421]
