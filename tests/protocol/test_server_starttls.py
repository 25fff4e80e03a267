"""STARTTLS on a server, and commands that need TLS."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.events import (
    Rejected,
)
from smtpproto.grammar.command import (
    Command,
)
from smtpproto.grammar.extension_command import StartTLS
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Timeouts
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO_LINE,
    MAIL_LINE,
    codes_of,
    greeted_server,
    ready_server,
    reply_to,
)


@pytest.mark.req("RFC3207-4-05", "RFC3207-4-06", "RFC3207-6-01/server")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"EHLO a.example", 250), (b"NOOP", 250), (b"QUIT", 221), (b"STARTTLS", 220),
        (b"MAIL FROM:<>", 530), (b"MAIL", 530), (b"RCPT TO:<a@b.example>", 530), (b"DATA", 530),
        (b"RSET", 530), (b"VRFY a", 530), (b"EXPN a", 530), (b"HELP", 530), (b"AUTH PLAIN", 530),
    ],
)  # fmt: skip
@pytest.mark.parametrize("require_auth", [False, True])
def test_with_require_tls_other_commands_are_refused_with_530(
    line: bytes, code: int, require_auth: bool
) -> None:
    options: dict[str, Any] = {"mechanisms": ("PLAIN",), "require_auth": require_auth}
    server = ready_server(require_tls=True, starttls=True, **options)
    lines = server.lines(line + b"\r\n")
    assert codes_of(lines) == [code]
    assert code != 530 or lines == ["530 5.7.0 Must issue a STARTTLS command first"]
    server = ready_server(require_tls=True, secure=True, mechanisms=("PLAIN",))
    assert 530 not in server.codes(line + b"\r\n")


@pytest.mark.req("RFC3207-6-01/server")
def test_with_require_tls_helo_is_refused_with_530() -> None:
    assert greeted_server(require_tls=True).lines(b"HELO a.example\r\n") == [
        "530 Must issue a STARTTLS command first"
    ]


@pytest.mark.req("RFC3207-6-04", "RFC3207-4-01", "RFC3207-4-02")
def test_octets_after_starttls_are_refused_with_421() -> None:
    """They may arrive in the same read, or later but before the answer."""
    server = ready_server(starttls=True)
    events, sent = server.feed_events(b"STARTTLS\r\nRSET\r\n")
    assert [type(event) for event in events] == [Rejected]
    assert sent.startswith(b"421 4.7.0 mx.example.org Octets after STARTTLS")
    assert server.machine.phase is Phase.CLOSED

    server = ready_server(starttls=True)
    assert isinstance(server.ask(b"STARTTLS\r\n"), StartTLS)
    server.machine.receive(b"R")
    server.machine.answer()
    assert server.machine.data_to_send().startswith(b"421 4.7.0 ")
    assert server.machine.phase is Phase.CLOSED

    server = ready_server(starttls=True)
    assert isinstance(server.ask(b"STARTTLS\r\n"), StartTLS)
    server.machine.answer(Reply(454, "4.7.0", "TLS not available now"))
    assert server.codes(b"NOOP\r\nSTARTTLS x\r\n") == [454, 250, 501]


@pytest.mark.req(
    "RFC3207-4.2-01",
    "RFC3207-4.2-04",
    "RFC3207-4.2-07",
    "RFC3207-4.2-08",
    "RFC4954-3-02",
    "RFC3207-4-02",
)
def test_after_the_handshake_the_session_restarts() -> None:
    server = ready_server(starttls=True, mechanisms=("PLAIN",))
    events, sent = server.feed_events(b"STARTTLS\r\n")
    assert events == [StartTLS()]
    assert sent == b"220 2.0.0 Ready to start TLS\r\n"
    assert server.machine.timeout == Timeouts().tls
    with pytest.raises(LocalProtocolError):
        server.machine.receive(b"\x16\x03\x01")
    server.machine.tls_started()
    assert server.feed_events() == ([], b"")
    assert (server.machine.phase, server.machine.terms.secure) == (Phase.START, True)
    assert server.codes(b"MAIL FROM:<>\r\nAUTH PLAIN\r\nSTARTTLS\r\n") == [503, 503, 503]
    lines = server.lines(EHLO_LINE)
    assert "250-AUTH PLAIN" in lines or "250 AUTH PLAIN" in lines
    assert not any("STARTTLS" in line for line in lines)
    assert server.lines(b"STARTTLS\r\n") == ["503 5.5.1 TLS is already active"]


@pytest.mark.req("RFC3207-4.2-01")
def test_after_the_handshake_a_login_is_forgotten() -> None:
    server = ready_server(
        starttls=True, mechanisms=("PLAIN",), auth_in_clear=True, require_auth=True
    )
    assert server.codes(b"AUTH PLAIN =\r\n", b"STARTTLS\r\n") == [235, 220]
    server.machine.tls_started()
    assert not server.machine.terms.authenticated
    assert server.codes(EHLO_LINE, b"MAIL FROM:<>\r\n") == [250, 530]


@pytest.mark.req("RFC8314-3.3-03")
def test_under_implicit_tls_starttls_is_not_offered_and_is_refused_with_503() -> None:
    server = ready_server(starttls=True, secure=True)
    assert not any("STARTTLS" in keyword for keyword in server.keywords())
    assert server.lines(b"STARTTLS\r\n") == ["503 5.5.1 TLS is already active"]


@pytest.mark.req("RFC3207-4.1-03", "RFC3207-4.1-01/server", "RFC3207-4.2-08")
def test_after_too_weak_tls_all_commands_but_quit_are_refused() -> None:
    server = ready_server(starttls=True)
    assert server.codes(b"STARTTLS\r\n") == [220]
    server.machine.tls_started(Reply(554, "5.7.0", "Not with this cipher"))
    assert server.feed_events() == ([], b""), "nothing is sent before the next command"
    for command in (b"EHLO client.example", b"MAIL FROM:<a@b.example>", b"NOOP", b"RSET", b"DATA"):
        assert isinstance(server.ask(command + b"\r\n"), Rejected)
        reply = server.machine.data_to_send()
        assert reply[:4] == b"554 "
        assert reply.endswith(b"Not with this cipher\r\n")
    assert server.codes(b"QUIT\r\n") == [221]
    assert server.machine.phase is Phase.CLOSED


@pytest.mark.req("RFC3207-4-02", "RFC3207-6-07")
def test_starttls_may_be_refused_and_takes_no_argument() -> None:
    no = Reply(454, "4.7.0", "TLS not available due to temporary reason")
    server = ready_server(starttls=True, application=reply_to(Command, no))
    assert server.lines(b"STARTTLS\r\n") == [bytes(no).decode().rstrip()]
    assert server.machine.phase is Phase.READY
    assert server.codes(b"STARTTLS now\r\n") == [501]
    assert ready_server().codes(b"STARTTLS\r\n") == [502]
    assert "STARTTLS" not in ready_server().keywords()
    server = ready_server(MAIL_LINE, starttls=True)
    assert server.codes(b"STARTTLS\r\n") == [503], "it is refused in a transaction"
    assert server.codes(b"RSET\r\nSTARTTLS\r\n") == [250, 220]


def test_a_positive_reply_to_the_handshake_is_not_a_refusal() -> None:
    server = ready_server(starttls=True)
    server.machine.receive(b"STARTTLS\r\n")
    server.machine.next_event()
    server.machine.answer()
    server.machine.tls_started(Reply(250, None, "TLS is fine"))
    server.machine.data_to_send()
    assert server.codes(b"EHLO a.example\r\n", b"MAIL FROM:<>\r\n") == [250, 250]
    assert server.machine.transaction.mail is not None
