"""XCLIENT and XFORWARD, on both machines."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address
from typing import Any

import pytest

from smtpproto.errors import NotOffered
from smtpproto.grammar.extension_command import Auth, XClient, XForward
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO,
    MAIL,
    MAIL_LINE,
    PROXY_EXTENSIONS,
    assert_refused,
    exchange,
    ready_client,
    ready_server,
    receive,
    reply_to,
)

PROXY_OPTIONS: dict[str, Any] = {
    "mechanisms": ("PLAIN",),
    "auth_in_clear": True,
    "extensions": PROXY_EXTENSIONS,
}


@pytest.mark.req("XCLIENT-02", "XCLIENT-03")
def test_after_xclient_the_session_restarts() -> None:
    server = ready_server(**PROXY_OPTIONS)
    lines = server.lines(b"XCLIENT NAME=a.example ADDR=192.0.2.1\r\n")
    assert lines == ["220 mx.example.org ESMTP ready"], "a greeting has no enhanced code"
    assert server.events == [
        XClient(XClientAttributes(name="a.example", addr=IPv4Address("192.0.2.1")))
    ]
    assert server.machine.phase is Phase.START
    assert [*server.machine.terms.negotiated] == []
    assert server.codes(MAIL_LINE, b"EHLO a.example\r\n", MAIL_LINE) == [503, 250, 250]
    assert server.codes(b"XCLIENT NAME=a.example\r\n") == [503], "it is refused in a transaction"


def test_xclient_states_whether_the_client_is_logged_in() -> None:
    server = ready_server(b"AUTH PLAIN AGEAYg==\r\n", **PROXY_OPTIONS)
    assert server.machine.terms.authenticated
    server.feed(b"XCLIENT LOGIN=ann\r\nEHLO a.example\r\n")
    assert server.machine.terms.authenticated
    server.feed(b"XCLIENT LOGIN=[UNAVAILABLE]\r\n")
    assert not server.machine.terms.authenticated


def test_after_a_refused_xclient_only_quit_is_accepted() -> None:
    """Otherwise the refused client would get the proxy's rights."""
    server = ready_server(
        **PROXY_OPTIONS, application=reply_to(XClient, Reply(550, "5.7.0", "Not you"))
    )
    assert server.lines(b"XCLIENT NAME=a.example\r\n") == ["550 5.7.0 Not you"]
    assert server.machine.phase is Phase.REFUSED
    assert server.codes(b"MAIL FROM:<>\r\n", b"XCLIENT NAME=b.example\r\n") == [503, 503]
    assert server.codes(b"QUIT\r\n") == [221]


def test_a_malformed_xclient_changes_nothing() -> None:
    server = ready_server(**PROXY_OPTIONS)
    assert server.codes(b"XCLIENT\r\n", b"XCLIENT FOO\r\n") == [501, 501]
    assert server.machine.phase is Phase.READY
    assert "SIZE" in server.machine.terms.negotiated


def test_after_xclient_a_client_restarts_the_session() -> None:
    client = ready_client("XCLIENT NAME LOGIN", "AUTH PLAIN")
    exchange(client, XClient(XClientAttributes(login="ann")), reply=b"220 mx ready\r\n")
    assert client.phase is Phase.START
    assert client.authenticated
    assert [*client.extensions] == []
    assert_refused(client, lambda: client.send(MAIL), match="EHLO")
    client.send(EHLO)
    receive(client, b"250-mx\r\n250-XCLIENT LOGIN\r\n250 AUTH PLAIN\r\n")
    client.data_to_send()
    assert_refused(client, lambda: client.send(Auth("PLAIN")), match="already")
    gone = XClient(XClientAttributes(login=Unavailable.UNAVAILABLE))
    exchange(client, gone, reply=b"220 mx ready\r\n")
    exchange(client, EHLO, reply=b"250-mx\r\n250 AUTH PLAIN\r\n")
    client.send(Auth("PLAIN"))


@pytest.mark.req("XCLIENT-04/client", "XCLIENT-05")
def test_a_client_writes_the_values_in_xtext_and_only_if_xclient_is_offered() -> None:
    stated = XClient(XClientAttributes(name="a+b=c", login="carl x"))
    client = ready_client("XCLIENT NAME LOGIN")
    client.send(stated)
    assert client.data_to_send() == b"XCLIENT NAME=a+2Bb+3Dc LOGIN=carl+20x\r\n"
    unoffered = ready_client()
    assert_refused(unoffered, partial(unoffered.send, stated), NotOffered)


@pytest.mark.req("XCLIENT-04/server")
def test_a_server_reads_xtext_and_names_in_any_case_and_each_name_once() -> None:
    server = ready_server(**PROXY_OPTIONS)
    bad = [
        b"NAME=a NAME=b",
        b"NAME=a name=a",
        b"NAME=" + b"x" * 256,
        b"NAME=a+2",
        b"FOO=a",
        b"NAME",
    ]
    assert server.codes(*(b"XCLIENT %s\r\n" % attributes for attributes in bad)) == [501] * 6
    assert server.codes(b"XCLIENT nAmE=a+2Bb login=carl+20x\r\n") == [220]
    assert server.events[-1] == XClient(XClientAttributes(name="a+b", login="carl x"))


def test_a_refused_xclient_changes_nothing_on_a_client() -> None:
    client = ready_client("XCLIENT NAME", "PIPELINING")
    exchange(client, XClient(XClientAttributes(name="a.example")), reply=b"550 no\r\n")
    assert client.phase is Phase.READY
    assert "PIPELINING" in client.extensions


@pytest.mark.req("XFORWARD-02")
def test_xforward_is_accepted_outside_transactions_if_offered() -> None:
    line = b"XFORWARD NAME=a.example ADDR=[UNAVAILABLE]\r\n"
    server = ready_server(**PROXY_OPTIONS)
    assert server.codes(line, line, MAIL_LINE) == [250, 250, 250]
    assert server.events[0] == server.events[1]
    assert isinstance(server.events[0], XForward)
    assert server.events[0].attributes.name == "a.example"
    assert server.events[0].attributes.addr is Unavailable.UNAVAILABLE
    assert server.codes(line) == [503]
    assert ready_server().codes(line) == [502]
    client = ready_client("XFORWARD NAME")
    exchange(client, XForward(XForwardAttributes(name="a.example")))
    assert client.phase is Phase.READY
    assert_refused(
        ready_client(),
        partial(ready_client().send, XForward(XForwardAttributes(name="a.example"))),
        NotOffered,
    )


@pytest.mark.parametrize("line", [b"XCLIENT NAME=a.example\r\n", b"XFORWARD NAME=a.example\r\n"])
def test_xclient_and_xforward_need_neither_login_nor_tls(line: bytes) -> None:
    for server in (
        ready_server(extensions=PROXY_EXTENSIONS, require_auth=True),
        ready_server(extensions=PROXY_EXTENSIONS, require_tls=True),
    ):
        assert server.codes(line) == [220 if line.startswith(b"XCLIENT") else 250]
