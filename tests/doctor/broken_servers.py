"""Servers in memory, each of them broken in one way: how, and which fault a probe must find."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import trustme
from attrs import define, field, frozen

from smtpproto.errors import ConnectFailed, SMTPError
from smtpproto.testing import SimulatedStream, Simulation
from smtpproto.tls.stream import TLSFilter, TLSStream
from tests.support.certificates import CA, LEAF, expired, old_server_context, self_signed
from tests.support.certificates import server_context as context_of

HOST = "mx.example.org"
OFFERS = ("SIZE 52428800", "PIPELINING", "8BITMIME", "STARTTLS")
_BASE = tuple(it for it in OFFERS if it != "STARTTLS")
_GOOD = context_of(LEAF)
_STRANGER = trustme.CA()


@frozen(kw_only=True)
class BrokenServer:
    """A server that keeps to SMTP but for what its attributes say."""

    greeting: bytes = b"220 mx.example.org ESMTP\r\n"
    offers: tuple[str, ...] = OFFERS
    under_tls: tuple[str, ...] = ()
    """What it offers under TLS, if not the same and logins."""
    replies: Mapping[str, bytes] = field(factory=dict)
    """Replies by the verb that they answer instead of the usual ones. b"": the connection ends."""
    context: ssl.SSLContext = _GOOD
    implicit: bool = False
    """Whether TLS begins at once."""
    handshake: bytes = b""
    """Octets that are sent in clear instead of a handshake; ``b"close"``: the connection ends."""
    forgets_groups: bool = False
    """Whether it reads only the first command of those that arrive together."""
    seconds_per_octet: float = 0
    """How slowly it writes."""
    closes: bool = False
    """Whether it closes the connection at once."""
    ehlo_under_tls: bytes | None = None
    """The reply to EHLO under TLS; b"": the connection ends."""

    def note(self, verb: str) -> None:
        """Note that a command has arrived."""

    async def serve(self, stream: SimulatedStream, net: BrokenNet) -> None:
        """Talk to one client."""
        talk = _Talk(self, stream, net)
        try:
            if self.closes:
                return
            if self.implicit:
                await talk.start_tls()
            await talk.write(self.greeting)
            while await talk.answer():
                pass
        except SMTPError:
            pass  # the client has gone
        finally:
            await stream.close()


@define
class _Talk:
    server: BrokenServer
    stream: SimulatedStream | TLSStream
    net: BrokenNet
    pending: bytes = b""

    async def answer(self) -> bool:
        """Answer one command. Return whether the talk goes on."""
        while b"\r\n" not in self.pending:
            if not (octets := await self.stream.read(None)):
                return False
            self.pending += octets
        line, _, self.pending = self.pending.partition(b"\r\n")
        if self.server.forgets_groups:
            self.pending = b""
        verb = line.split(b" ")[0].split(b":")[0].decode("latin-1").upper()
        self.server.note(verb)
        reply = self.server.replies.get(verb)
        if verb == "EHLO" and isinstance(self.stream, TLSStream):
            reply = self.server.ehlo_under_tls
        if reply is None:
            reply = self._usual(verb)
        await self.write(reply)
        if verb == "STARTTLS" and reply.startswith(b"220"):
            await self.start_tls()
        return bool(reply) and verb != "QUIT"

    def _usual(self, verb: str) -> bytes:
        if verb == "EHLO":
            tls = isinstance(self.stream, TLSStream)
            offers = self.server.offers
            if tls:
                same = (it for it in offers if not it.startswith(("STARTTLS", "AUTH")))
                offers = self.server.under_tls or (*same, "AUTH PLAIN SCRAM-SHA-256")
            lines = ["mx.example.org", *offers]
            ends = ["-"] * (len(lines) - 1) + [" "]
            text = "".join(f"250{end}{it}\r\n" for end, it in zip(ends, lines, strict=True))
            return text.encode()
        return {"QUIT": b"221 bye\r\n", "STARTTLS": b"220 go\r\n"}.get(verb, b"250 ok\r\n")

    async def start_tls(self) -> None:
        if self.server.handshake:
            await self.stream.read(None)
            if self.server.handshake == b"close":
                await self.stream.close()
                return
            await self.write(self.server.handshake)
            return
        layer = TLSFilter(self.server.context, server_side=True)
        stream = TLSStream(self.stream, layer, self.net.now)
        self.stream, self.pending = stream, b""
        await stream.handshake(None)

    async def write(self, octets: bytes) -> None:
        if not (pause := self.server.seconds_per_octet):
            await self.stream.write(octets, None)
            return
        for at in range(len(octets)):
            await self.net.sleep(pause)
            await self.stream.write(octets[at : at + 1], None)


class BrokenNet(Simulation):
    """A network with one server on every port; None: nobody listens."""

    server: BrokenServer | None = None
    refused: frozenset[int] = frozenset()

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> SimulatedStream:
        if self.server is None or port in self.refused:
            error = ConnectFailed(f"nothing listens on port {port}", phase="connect")
            error.fault = "connection-refused"
            raise error
        near, far = self.pair()
        near.peername = (host, port)
        self.start(self.server.serve(far, self))
        return near


@frozen
class Case:
    """One row: the name, how the server is broken, the fault to find, and where."""

    name: str
    server: BrokenServer | None
    fault: str
    port: int = 25
    recipient: str = ""
    """The recipient of a dry run, if there is one."""


def _server(**how: Any) -> BrokenServer:
    return BrokenServer(**how)


def _mail(reply: bytes) -> BrokenServer:
    return _server(replies={"RCPT": reply})


_BOB = "bob@example.net"
CASES = (
    # -- connecting and greeting
    Case("nobody listens", None, "connection-refused"),
    Case("accepts and is silent", _server(greeting=b""), "silent"),
    Case("closes at once", _server(closes=True), "closed-at-once"),
    Case("HTTP", _server(greeting=b"HTTP/1.1 400 Bad Request\r\n"), "http"),
    Case("IMAP", _server(greeting=b"* OK [CAPABILITY IMAP4rev1] ready\r\n"), "imap"),
    Case("POP3", _server(greeting=b"+OK ready\r\n"), "pop3"),
    Case("SSH", _server(greeting=b"SSH-2.0-OpenSSH_9.2\r\n"), "ssh"),
    Case("greets with 554", _server(greeting=b"554 5.7.1 blocked by zen.spamhaus.org\r\n"),
         "blocklisted"),
    Case("greets with 421", _server(greeting=b"421 4.7.0 too many connections\r\n"),
         "rate-limited"),
    Case("a greeting without an end", _server(greeting=b"220-hello\r\n" * 3), "unfinished-reply"),
    Case("a greeting that is too long", _server(greeting=b"220 " + b"x" * 70000),
         "reply-too-long"),
    Case("a binary greeting", _server(greeting=b"\x00\xff\x13\x37\r\n"), "not-smtp"),
    Case("lines that end with LF alone", _server(greeting=b"220 mx ESMTP\n"), "bare-newline"),
    Case("a slow dribble", _server(seconds_per_octet=3), "unfinished-reply"),
    # -- EHLO and commands
    Case("knows HELO only", _server(replies={"EHLO": b"502 unknown\r\n"}), "no-extensions"),
    Case("refuses EHLO and HELO", _server(replies={
        "EHLO": b"550 5.7.1 HELO rejected\r\n"}), "bad-hello"),
    Case("malformed reply to EHLO", _server(replies={"EHLO": b"250-mx\r\n251 SIZE\r\n"}),
         "protocol-error"),
    Case("malformed line of EHLO", _server(offers=("SIZE lots", "STARTTLS")),
         "malformed-extension"),
    Case("closes after EHLO", _server(replies={"EHLO": b""}), "closed-after-hello"),
    Case("a tiny SIZE", _server(offers=("SIZE 65536", "STARTTLS")), "size-tiny"),
    Case("forgets commands that are sent together", _server(forgets_groups=True),
         "pipelining-broken"),
    # -- TLS
    Case("TLS only, spoken to in clear", _server(implicit=True), "tls-on-clear-port"),
    Case("in clear on a port for TLS", _server(), "clear-on-tls-port", 465),
    Case("no STARTTLS", _server(offers=("SIZE 52428800",)), "starttls-not-offered"),
    Case("refuses STARTTLS with 454",
         _server(replies={"STARTTLS": b"454 4.7.0 TLS not available\r\n"}), "tls-not-available"),
    Case("garbage after STARTTLS", _server(handshake=b"\x00" * 40), "tls-garbage"),
    Case("closes after STARTTLS", _server(handshake=b"close"), "tls-closed"),
    Case("injects a reply after STARTTLS",
         _server(replies={"STARTTLS": b"220 go\r\n250 injected\r\n"}), "starttls-injection"),
    Case("TLS 1.1", _server(context=old_server_context(LEAF)), "tls-version"),
    Case("an expired certificate", _server(context=context_of(expired(CA))), "certificate-expired"),
    Case("a certificate for another name",
         _server(context=context_of(CA.issue_cert("www.example.org"))), "certificate-name"),
    Case("a self-signed certificate", _server(context=context_of(self_signed())),
         "certificate-self-signed"),
    Case("a certificate of an unknown CA", _server(context=context_of(_STRANGER.issue_cert(HOST))),
         "certificate-issuer-unknown"),
    Case("offers less after TLS", _server(under_tls=("SIZE 52428800", "8BITMIME")),
         "offers-differ"),
    Case("closes at EHLO after TLS", _server(ehlo_under_tls=b""), "closed-after-hello"),
    # -- logins
    Case("offers passwords before TLS", _server(offers=(*OFFERS, "AUTH PLAIN LOGIN")),
         "login-in-clear-offered"),
    Case("offers LOGIN only", _server(under_tls=(*_BASE, "AUTH LOGIN")), "only-login", 587),
    Case("offers unknown mechanisms only", _server(under_tls=(*_BASE, "AUTH NTLM X-OWN")),
         "no-mechanism", 587),
    # -- a dry run
    Case("refuses to relay", _mail(b"554 5.7.1 Relay access denied\r\n"), "relaying-denied",
         25, _BOB),
    Case("knows no such user", _mail(b"550 5.1.1 User unknown\r\n"), "unknown-user", 25, _BOB),
    Case("greylists", _mail(b"451 4.7.1 Greylisted, try again later\r\n"), "greylisted", 25, _BOB),
    Case("wants a login", _server(replies={"MAIL": b"530 5.7.0 Authentication required\r\n"}),
         "login-required", 587, _BOB),
)  # fmt: skip
"""Each broken server, with the fault that a probe of it must find."""
