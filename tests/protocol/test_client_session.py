"""Offers, STARTTLS, timeouts and the end of a client's session."""

from __future__ import annotations

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.events import Answer, Disconnected, Sent, Step
from smtpproto.grammar.address import ReversePath
from smtpproto.grammar.command import (
    Data,
    Helo,
    Mail,
    Noop,
    Quit,
    Vrfy,
)
from smtpproto.grammar.extension_command import Auth, StartTLS
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.limits import Timeouts
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO,
    MAIL,
    OFFER,
    RCPT,
    DrivenClient,
    assert_protocol_error,
    assert_refused,
    client_in_body,
    ehlo_reply,
    exchange,
    greeted_client,
    ready_client,
    ready_server,
    receive,
    receive_codes,
    receive_events,
)


def upgrading() -> ClientProtocol:
    client = ready_client(*OFFER)
    client.send(StartTLS())
    client.data_to_send()
    return client


def ended(client: ClientProtocol, *but: Sent) -> tuple[Sent, ...]:
    (event,) = receive_events(client, b"")
    assert isinstance(event, Disconnected)
    return tuple(sent for sent in event.unanswered if sent not in but)


TIMES = Timeouts(
    tls=1, greeting=2, hello=3, auth=4, mail=5, rcpt=6, data=7, block=8, final=9, other=10, quit=11
)


@pytest.mark.req("RFC5321-4.1.1.1-13", "RFC5321-4.1.4-04")
def test_only_the_keywords_of_the_last_ehlo_reply_count() -> None:
    client = ready_client(*OFFER)
    assert "pipelining" in client.extensions
    client.send(EHLO)
    receive(client, b"550 no\r\n")
    assert "PIPELINING" in client.extensions, "a refused EHLO changes nothing"
    client.send(EHLO)
    receive(client, ehlo_reply("8BITMIME"))
    assert list(client.extensions) == ["8BITMIME"]
    client.send(Helo(EHLO.host))
    receive(client, ehlo_reply("SIZE"))
    assert list(client.extensions) == []


@pytest.mark.req("RFC5321-4.2-11")
def test_a_session_opens_with_ehlo_or_with_helo_after_its_refusal() -> None:
    client = greeted_client()
    client.send(EHLO)
    receive(client, b"502 what?\r\n")
    client.send(Helo(EHLO.host))
    receive(client, b"250 hi\r\n")
    assert client.phase is Phase.READY
    assert client.data_to_send() == b"EHLO client.example\r\nHELO client.example\r\n"
    client = DrivenClient()
    assert receive_codes(client, b"220-mx.example.org\r\n220-warning\r\n220 go\r\n") == [220]
    client.send(EHLO)
    assert receive_codes(client, b"250 mx\r\n") == [250]
    assert client.phase is Phase.READY


@pytest.mark.req("RFC3207-6-05")
@pytest.mark.parametrize("injected", [b"2", b"250 fake\r\n", b"\x16\x03\x03", b"\r\n", b"\0"])
def test_octets_after_220_to_starttls_are_a_protocol_error(injected: bytes) -> None:
    assert_protocol_error(upgrading(), b"220 go\r\n" + injected, "injecting")
    client = upgrading()
    client.receive(b"220 g")
    assert_protocol_error(client, b"o\r\n" + injected, "injecting")
    client = upgrading()
    assert receive_codes(client, b"220 go\r\n") == [220]
    with pytest.raises(LocalProtocolError):
        client.receive(injected)  # they belong to the TLS handshake, which rejects them


@pytest.mark.req("RFC3207-4.2-02", "RFC3207-4.2-05", "RFC5321-4.1.1.1-06")
def test_after_the_handshake_the_session_restarts() -> None:
    client = ready_client(*OFFER)
    client.send(Auth("PLAIN", Secret(b"x")))
    receive(client, b"235 yes\r\n")
    client.send(StartTLS())
    client.data_to_send()
    assert client.authenticated and not client.secure
    assert receive_codes(client, b"220 go\r\n") == [220]
    assert client.phase is Phase.TLS
    assert_refused(client, lambda: client.send(EHLO))
    client.tls_started()
    assert (client.phase, client.secure) == (Phase.START, True)
    assert not client.authenticated
    assert list(client.extensions) == []
    for command in (MAIL, StartTLS(), Auth("PLAIN")):
        assert_refused(client, lambda command=command: client.send(command))
    client.send(EHLO)
    receive(client, ehlo_reply("AUTH PLAIN"))
    client.data_to_send()
    assert_refused(client, lambda: client.send(StartTLS()), match="offer")
    exchange(client, EHLO, reply=ehlo_reply("STARTTLS", "AUTH PLAIN"))  # a server must not
    assert_refused(client, lambda: client.send(StartTLS()), match="offer")
    implicit = ready_client("STARTTLS", secure=True)
    assert_refused(implicit, lambda: implicit.send(StartTLS()), match="offer")
    client.send(Auth("PLAIN", Secret(b"x")))
    assert client.data_to_send() == b"AUTH PLAIN eA==\r\n"


def test_a_refused_starttls_changes_nothing() -> None:
    client = upgrading()
    assert receive_codes(client, b"454 4.7.0 not now\r\n") == [454]
    assert client.phase is Phase.READY
    assert "STARTTLS" in client.extensions
    with pytest.raises(LocalProtocolError):
        client.tls_started()


@pytest.mark.parametrize("rest", [b"", b"250", b"250-a\r\n"])
def test_disconnected_names_the_unanswered_commands(rest: bytes) -> None:
    client = ready_client("PIPELINING")
    sents = [client.send(command) for command in (MAIL, RCPT, Data())]
    got = receive_events(client, b"250 ok\r\n" + rest, b"")
    assert got[1:] == [Disconnected(tuple(sents[1:]))]
    assert receive_events(client, b"") == []
    assert client.phase is Phase.CLOSED
    client.data_to_send()
    assert_refused(client, lambda: client.send(Quit()))
    assert_refused(client, lambda: client.send_body(b"x"))
    assert not client.allows("QUIT")


def test_the_end_of_the_connection_is_reported_in_each_phase() -> None:
    assert [s.what for s in ended(ClientProtocol())] == [Step.GREETING]
    assert ended(greeted_client()) == ()
    assert ended(client_in_body()) == ()
    client = client_in_body()
    assert ended(client, *client.end_body()) == ()
    client = upgrading()
    receive(client, b"220 go\r\n")
    assert ended(client) == ()
    client = ready_client()
    client.send(Quit())
    assert [type(e) for e in receive_events(client, b"221 bye\r\n", b"")] == [Answer, Disconnected]


def test_a_reply_that_arrived_before_the_end_is_read() -> None:
    client = client_in_body()
    (end,) = client.end_body()
    client.data_to_send()
    client.receive(b"250 2.0.0 accepted\r\n")
    client.receive(b"")
    assert client.next_event() == Answer(end, Reply(250, "2.0.0", "accepted"))
    assert client.next_event() == Disconnected()


@pytest.mark.req("RFC5321-4.5.3.2-02", "RFC5321-4.5.3.2-01")
def test_the_timeout_is_that_of_the_awaited_reply() -> None:
    client = DrivenClient(timeouts=TIMES)
    assert client.timeout == 2
    for command, time, reply in [
        (None, 2, b"220 hi\r\n"),
        (EHLO, 3, ehlo_reply(*OFFER)),
        (StartTLS(), 10, b"454 no\r\n"),
        (Auth("LOGIN"), 4, b"334 \r\n"),
        (Secret(b"x"), 4, b"235 yes\r\n"),
        (Noop(), 10, b"250 ok\r\n"),
        (Vrfy("a"), 10, b"252 ok\r\n"),
        (MAIL, 5, b"250 ok\r\n"),
        (RCPT, 6, b"250 ok\r\n"),
        (Data(), 7, b"354 go\r\n"),
        (b"", 9, b"250 ok\r\n"),
        (StartTLS(), 10, b"220 go\r\n"),
    ]:
        if isinstance(command, Secret):
            client.respond(command)
        elif isinstance(command, bytes):
            assert client.timeout == 8
            client.end_body()
        elif command is not None:
            client.send(command)
        assert client.timeout == time
        receive(client, reply)
    assert client.timeout == 1
    client.tls_started()
    client.send(Helo(EHLO.host))
    assert client.timeout == 3
    receive(client, b"250 ok\r\n")
    client.send(Quit())
    assert client.timeout == 11


def test_in_a_group_the_timeout_is_that_of_the_oldest_command() -> None:
    client = ready_client("PIPELINING", timeouts=TIMES)
    for command in (MAIL, RCPT, Data()):
        client.send(command)
    waits = []
    for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        waits.append(client.timeout)
        receive(client, reply)
    assert waits == [5, 6, 7]


@pytest.mark.req("RFC5321-4.5.3.2.1-01", "RFC5321-4.5.3.2.4-01", "RFC5321-4.5.3.2.6-01")
@pytest.mark.parametrize(
    ("name", "least"),
    [("greeting", 300), ("mail", 300), ("rcpt", 300), ("data", 120), ("block", 180), ("final", 600),
     ("command", 300)],
)  # fmt: skip
def test_default_timeouts_are_at_least_those_of_rfc_5321(name: str, least: float) -> None:
    assert getattr(Timeouts(), name) >= least


@pytest.mark.req("RFC9422-3-07", "RFC2920-2-01", "RFC6531-3.1-02")
def test_a_client_reads_limits_from_the_last_offer() -> None:
    client = ready_client(
        "LIMITS MAILMAX=2 RCPTMAX=5", "PIPELINING now", "SMTPUTF8 x", "8BITMIME y"
    )
    assert (client.extensions.limits.mail_max, client.extensions.limits.rcpt_max) == (2, 5)
    client.send(Mail(ReversePath.of("\u00e9@b.example"), MailParameters(smtputf8=True)))
    assert "PIPELINING" in ready_server().keywords()
    assert client.ready, "parameters after PIPELINING and SMTPUTF8 are ignored"
    receive(client, b"250 ok\r\n")
    client.data_to_send()
    exchange(client, EHLO, reply=b"250 mx\r\n")
    assert client.extensions.limits.mail_max is client.extensions.limits.rcpt_max is None
