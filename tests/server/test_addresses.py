"""Addresses on their way from MAIL and RCPT to the handler (RFC 5321 2.4, 4.1.2, 4.5.1)."""

from __future__ import annotations

import pytest
from attrs import define, field

from smtpproto import (
    Envelope,
    ForwardPath,
    MailParameters,
    RcptParameters,
    ReversePath,
    Session,
)
from tests.support.handlers import Inbox
from tests.support.scripted_client import replies

MAIL = "MAIL FROM:<ann@example.org>"


@define(eq=False)
class PathRecorder(Inbox):
    """Accepts every message, and keeps the paths that the hooks for MAIL and RCPT receive."""

    senders: list[ReversePath] = field(factory=list, init=False)
    recipients: list[ForwardPath] = field(factory=list, init=False)

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        self.senders.append(sender)

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> None:
        self.recipients.append(recipient)

    @property
    def envelope(self) -> Envelope:
        """The envelope of the only message."""
        ((_, envelope, _),) = self.messages
        return envelope


def deliver(*lines: str) -> PathRecorder:
    """Send MAIL and RCPT as *lines* say, and an empty message, all of which is accepted. Return
    the handler."""
    handler = PathRecorder()
    answers = replies(handler, *lines, "DATA", ".")
    assert [line[:3] for line in answers] == [*["250"] * len(lines), "354", "250"]
    return handler


# -- local-parts and domains ---------------------------------------------------------------------


@pytest.mark.req("RFC5321-2.3.11-01/server", "RFC5321-2.4-02/server")
@pytest.mark.parametrize(
    "local_part",
    ["smith", "SMITH", "sMiTh+Box", "Smith.J", "s%Relay!User", "=?utf-8?q?A?=", '"A b"', '"A..B"'],
)
def test_the_local_part_keeps_its_case_and_its_characters_up_to_the_handler(
    local_part: str,
) -> None:
    address = f"{local_part}@Example.org"
    handler = deliver(f"MAIL FROM:<{address}>", f"RCPT TO:<{address}>")
    (sender,), (recipient,) = handler.senders, handler.recipients
    assert str(sender) == str(recipient) == address
    assert str(handler.envelope.sender) == address
    assert [str(path) for path in handler.envelope.recipients] == [address]
    assert recipient.local_part == local_part.strip('"')


@pytest.mark.req("RFC5321-2.4-02/server")
def test_recipients_whose_local_parts_differ_in_case_are_different_recipients() -> None:
    addresses = ["bob@example.org", "Bob@example.org", "BOB@example.org"]
    handler = deliver(MAIL, *(f"RCPT TO:<{address}>" for address in addresses))
    assert [str(path) for path in handler.envelope.recipients] == addresses
    assert len(set(handler.recipients)) == 3


@pytest.mark.req("RFC5321-2.4-03/server")
@pytest.mark.parametrize("written", ["example.org", "EXAMPLE.ORG", "eXample.Org"])
def test_a_handler_compares_domains_without_regard_to_case(written: str) -> None:
    handler = deliver(f"MAIL FROM:<ann@{written}>", f"RCPT TO:<bob@{written}>")
    (sender,), (recipient,) = handler.senders, handler.recipients
    assert sender.mailbox is not None
    for domain in (sender.mailbox.domain, recipient.domain):
        assert domain == "example.org"
        assert domain == "ExAmPlE.oRg"
        assert domain in {"example.org"}
        assert domain != "example.net"
    assert recipient == ForwardPath.of("bob@Example.ORG")


@pytest.mark.req("RFC5321-4.1.2-05/server", "RFC5321-4.1.2-10/server", "RFC5321-4.1.2-11")
def test_each_quoted_form_of_a_local_part_reaches_the_handler_as_its_meaning() -> None:
    """Each printable character alone and inside a word, with and without a backslash before it."""
    written, meant = [], []
    for character in map(chr, range(32, 127)):
        forms = [f"\\{character}"] if character in '"\\' else [f"\\{character}", character]
        written += [f'"{form}"' for form in forms] + [f'"a{form}z"' for form in forms]
        meant += [character] * len(forms) + [f"a{character}z"] * len(forms)
    handler = deliver(MAIL, *(f"RCPT TO:<{form}@example.org>" for form in written))
    assert [path.local_part for path in handler.recipients] == meant
    assert [path.local_part for path in handler.envelope.recipients] == meant


# -- source routes -------------------------------------------------------------------------------


@pytest.mark.req(
    "RFC5321-3.3-05", "RFC5321-4.1.1.3-02", "RFC5321-4.1.2-02", "RFC5321-F.2-01", "RFC5321-F.2-03"
)
@pytest.mark.parametrize(
    "route",
    [
        "@a.example:",
        "@a.example,@b.example:",
        "@mx1.a-b.example,@x:",
        "@A,@b,@c,@d,@e.example:",
        "@1.example:",
    ],
)
def test_a_source_route_in_mail_and_rcpt_is_accepted_and_ignored(route: str) -> None:
    handler = deliver(f"MAIL FROM:<{route}v@c.example>", f"RCPT TO:<{route}u@c.example>")
    assert handler.senders == [ReversePath.of("v@c.example")]
    assert handler.recipients == [ForwardPath.of("u@c.example")]
    assert str(handler.envelope.sender) == "v@c.example"
    assert list(map(str, handler.envelope.recipients)) == ["u@c.example"]


@pytest.mark.req("RFC5321-C-04")
@pytest.mark.parametrize(
    "host", ["", "[192.0.2.1]", "[IPv6:2001:db8::1]", "a..b", ".a", "-a", "a-", "a b", "a/b", "#7"]
)
@pytest.mark.parametrize("route", ["@{}:", "@{},@b.example:", "@b.example,@{}:"])
def test_each_host_of_a_source_route_must_be_a_domain(host: str, route: str) -> None:
    handler, written = PathRecorder(), route.format(host)
    lines = [f"MAIL FROM:<{written}v@c.example>", MAIL, f"RCPT TO:<{written}u@c.example>"]
    assert [line[:3] for line in replies(handler, *lines)] == ["501", "250", "501"]
    assert not handler.recipients


# -- special paths -------------------------------------------------------------------------------


@pytest.mark.req(
    "RFC5321-2.3.5-05", "RFC5321-4.1.1.3-07", "RFC5321-4.5.1-02", "RFC5321-4.5.1-04"
)  # fmt: skip
@pytest.mark.parametrize(
    "name", ["postmaster", "Postmaster", "POSTMASTER", "PostMaster", "pOSTmASTER"]
)
def test_postmaster_in_any_case_with_or_without_a_domain_reaches_the_handler(name: str) -> None:
    handler = deliver("MAIL FROM:<>", f"RCPT TO:<{name}>", f"RCPT TO:<{name}@served.example>")
    bare, qualified = handler.recipients
    assert bare == ForwardPath(None) and bare.domain is None
    assert qualified.local_part == name and qualified.domain == "served.example"
    assert bare.is_postmaster and qualified.is_postmaster
    assert list(handler.envelope.recipients) == handler.recipients
    assert not ForwardPath.of(f"x{name}@served.example").is_postmaster


@pytest.mark.req("RFC5321-4.1.1.2-02")
@pytest.mark.parametrize("parameters", ["", " SIZE=100", " BODY=8BITMIME SMTPUTF8"])
def test_the_null_reverse_path_is_accepted(parameters: str) -> None:
    handler = deliver(f"MAIL FROM:<>{parameters}", "RCPT TO:<bob@example.org>")
    assert handler.senders == [ReversePath(None)]
    assert handler.envelope.sender == ReversePath(None)
    assert str(handler.envelope.sender) == ""


@pytest.mark.req("RFC5321-2.3.1-01/server")
def test_the_envelope_is_that_of_the_commands_whatever_the_header_says() -> None:
    handler = PathRecorder()
    header = ["From: eve@x.example", "Sender: eve@x.example", "Return-Path: <eve@x.example>"]
    header += [f"{name}: all@x.example" for name in ("To", "Cc", "Bcc", "Resent-To", "Resent-Bcc")]
    replies(handler, MAIL, "RCPT TO:<bob@example.org>", "DATA", *header, "", "text", ".")
    ((_, envelope, body),) = handler.messages
    assert envelope == Envelope("ann@example.org", ["bob@example.org"])
    assert body.decode().split("\r\n") == [*header, "", "text", ""]
