"""Lines of other protocols: the server closes, and executes no further line."""

from __future__ import annotations

import pytest
from attrs import frozen

from smtpproto.grammar.command import Noop, TextCommand
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.verbs import Verb
from smtpproto.wire.proxy import ProxyHeader
from tests.protocol.machines import (
    ENVELOPE_LINES,
    ServerDriver,
    greeted_server,
    ready_server,
    server_with_recipient,
)

PROXY = ProxyHeader(("192.0.2.7", 1234), ("192.0.2.8", 25))
SMTP = b"EHLO x.example\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"
CLOSED = "421 4.7.0 mx.example.org This is not SMTP; closing transmission channel"
AT_ANY_TIME = [
    *(b"%s / HTTP/1.1" % method for method in (
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"FOO",
    )),
    b"GET /", b"get / http/1.0", b"POST", b"CONNECT mx.example:25 HTTP/1.1", b"PRI * HTTP/2.0",
    b"GET http://x.example/ HTTP/1.1 ", b"GET /" + b"x" * 600,
    b"POST /" + b"x" * 600 + b" HTTP/1.1",
    b"DESCRIBE rtsp://x.example/ RTSP/1.0", b"INVITE sip:bob@example.org SIP/2.0",
    b"Host: mx.example", b"User-Agent: x", b"Content-Length: 12", b"Accept:*/*", b"Subject: hi",
    b"X-Y:", b"From: ann@example.org", b"From: <a@b.example>", b"Host : x", b"Host\t: x", b"X.Y: z",
    b"Mailing-List: x", b" folded: x", b" GET /", b"\tGET /", b"GET\t/", b"GET\t/\tHTTP/1.1",
    *(b"%s /%s HTTP/1.1" % (b"POST", b"x" * size) for size in (12_000, 12_300, 70_000)),
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1 25", b"PROXY UNKNOWN",
]  # fmt: skip
WITH_BARE_LINE_ENDS = [
    *(b"PROPFIND / HTTP/1.1" + end + b"Host: x" + end for end in (b"\n", b"\r", b"\n\n")),
    b"PROPFIND / HTTP/1.1\n", b"PROPFIND / HTTP/1.1\r", b"PROPFIND /\nHost: x",
    b"\nGET /", b"\rGET /",
]  # fmt: skip
BEFORE_EHLO = [
    b"SSH-2.0-OpenSSH_9.2", b"ssh-2.0-x", b"*1", b"$4", b'{"a": 1}', b"<x/>", b"0", b"\0", b"\xff",
    b"\x03\x00\x00\x13\x0e\xe0\x00\x00", b"\x05\x01\x00", b"\x04\x01\x00\x19", b"\x80\x2e\x01",
    "é".encode(),
]  # fmt: skip
BINARY = [line for line in BEFORE_EHLO if not 0x20 <= line[0] < 0x7F]
ONLY_ERRORS = [
    b"", b" NOOP", b"\tNOOP", b"FOO", b"XFOO bar", b"MAILFROM:<>", b"RCPTTO:<a@b.example>",
    b"RTo:<a@b>", b"FROM:<a@b.example>", b"rcpt-too :<a@b.example>",
    b"Return-Path:<>", b"MAIL: x", b"DATA:", b"MAIL-FROM:<>", b"RCPT_TO:<a@b.example>",
    b"MAIL FROM : <>",
    b"GETT / x", b"HELO", b"EHLO a\0b", b"EHLO[::1]", b"FOO\0", b"HTTP/1.1 200 OK", b"FOO\nBAR",
    b"x" * 70_000,
]  # fmt: skip


def assert_closed(server: ServerDriver, line: bytes) -> None:
    """Feed *line* and a whole message; the server must close before the message."""
    assert server.lines(line + b"\r\n" + SMTP)[-1] == CLOSED
    assert server.machine.phase is Phase.CLOSED
    assert server.content == b"" and not any(isinstance(event, Noop) for event in server.events)


@pytest.mark.parametrize("line", AT_ANY_TIME + WITH_BARE_LINE_ENDS + BEFORE_EHLO)
def test_a_first_line_of_another_protocol_closes_the_connection(line: bytes) -> None:
    server = greeted_server()
    assert_closed(server, line)
    assert [event.reply.code for event in server.rejected] == [421]


@pytest.mark.parametrize("line", AT_ANY_TIME + WITH_BARE_LINE_ENDS)
def test_a_request_or_a_header_field_closes_the_connection_at_any_time(line: bytes) -> None:
    for server in (ready_server(), ready_server(b"MAIL FROM:<>\r\n"), server_with_recipient()):
        assert_closed(server, line)
    server = ready_server(b"FOO\r\n\r\n" + ENVELOPE_LINES + b"DATA\r\nx\r\n.\r\n")
    assert server.lines(line + b"\r\nNOOP\r\n") == [CLOSED]


@pytest.mark.parametrize("line", ONLY_ERRORS)
@pytest.mark.parametrize("greeted", [False, True])
def test_other_errors_do_not_close_the_connection(line: bytes, greeted: bool) -> None:
    server = ready_server() if greeted else greeted_server()
    assert server.codes(line + b"\r\nNOOP\r\n")[-1] == 250


@pytest.mark.parametrize("line", BEFORE_EHLO)
def test_a_line_that_begins_without_a_letter_is_an_error_after_ehlo(line: bytes) -> None:
    assert ready_server().codes(line + b"\r\nNOOP\r\n") == [500, 250]


@pytest.mark.parametrize("octets", BINARY)
def test_a_binary_protocol_is_recognized_before_the_end_of_a_line(octets: bytes) -> None:
    assert greeted_server().lines(octets) == [CLOSED]
    assert ready_server().lines(octets) == []


def test_the_binary_proxy_header_of_an_untrusted_peer_closes_the_connection() -> None:
    assert_closed(greeted_server(), bytes(PROXY).removesuffix(b"\r\n"))


def test_such_lines_in_content_are_content() -> None:
    server = server_with_recipient()
    body = b"".join(line + b"\r\n" for line in AT_ANY_TIME)
    assert server.codes(b"DATA\r\n" + body + b".\r\n") == [354, 250]
    assert server.content == body


@frozen
class Get(TextCommand):
    """A verb of an application's own that HTTP has too."""

    verb = "GET"


def test_a_known_verb_is_never_foreign() -> None:
    server = ready_server(verbs=[Verb.own(Get, keyword="GETTING")])
    data = b"NOOP / HTTP/1.1\r\nHELP HTTP/1.1\r\nVRFY x HTTP/1.1\r\nGET x HTTP/1.1\r\n"
    assert server.codes(data) == [250, 214, 252, 502]
    assert server.codes(b"NOOP " + b"x" * 600 + b" HTTP/1.1\r\nNOOP\r\n") == [500, 250]


def test_a_binary_line_is_refused_the_same_whole_and_octet_by_octet() -> None:
    refused = []
    for pieces in ([b"\x16\x03\r\n"], [b"\x16", b"\x03\r\n"]):
        server = greeted_server()
        server.feed(*pieces)
        refused.append(server.rejected)
    assert refused[0] == refused[1]


def test_a_binary_octet_within_a_long_line_does_not_decide_what_the_line_is() -> None:
    line = b"x" * 20_000 + b"\0\r\n"
    assert greeted_server().lines(line) == greeted_server().lines(line[:20_001], line[20_001:])
