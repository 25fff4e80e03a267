"""Trace fields: what a server adds, and how a loop shows in them (RFC 5321 4.4, 6.3)."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.domain import Domain, Host
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.parameters import MailParameters
from smtpproto.mail.header import header_fields
from smtpproto.mta.queue import make_id
from smtpproto.mta.trace import MAX_HOPS, Hops, Tracer, delivery_fields, received_from
from smtpproto.server.handler import Session
from smtpproto.testing.strategies import domains, forward_paths, hosts, reverse_paths, splits
from smtpproto.tls.filter import TLSInfo

from .settled import T

CEST = timezone(timedelta(hours=2))
TRACER = Tracer(hostname="mx.example.org", zone=CEST)
SESSION = Session(peer=("192.0.2.7", 4711), hello=Domain("client.example"), extended=True)
ID = make_id(T, bytes(10))


def received(*recipients: str, session: Session = SESSION, **parameters: Any) -> str:
    envelope = Envelope("ann@a.example", recipients, MailParameters(**parameters))
    return TRACER.received(session, envelope, now=T, queue_id=ID).decode()


def test_the_field_says_who_sent_the_message_how_and_when_in_local_time() -> None:
    tls = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", None)
    session = Session(peer=SESSION.peer, hello=SESSION.hello, extended=True, tls=tls, user="ann")
    assert received("bob@b.example", session=session, mt_priority=3) == (
        "Received: from client.example ([192.0.2.7])\r\n\tby mx.example.org\r\n\twith ESMTPSA\r\n"
        f"\tid {ID}\r\n\tfor <bob@b.example>\r\n\ttls TLS_AES_256_GCM_SHA384\r\n\tpriority 3;\r\n"
        "\tMon, 30 Nov 2026 14:00:00 +0200\r\n"
    )


@pytest.mark.req("RFC6710-4.1-04")
@pytest.mark.parametrize("priority", [-9, 0, 9, None])
def test_the_priority_of_the_message_is_written_if_it_has_one(priority: int | None) -> None:
    clause = f"\r\n\tpriority {priority};"
    assert (clause in received("bob@b.example", mt_priority=priority)) == (priority is not None)


@pytest.mark.req("RFC5321-7.2-01/server", "RFC5321-7.6-01", "RFC5321-4.4-05")
@given(st.lists(forward_paths(), min_size=1, max_size=3))
def test_a_recipient_is_named_only_if_there_is_no_other(recipients: list[ForwardPath]) -> None:
    envelope = Envelope("ann@a.example", recipients)
    field = TRACER.received(SESSION, envelope, now=T, queue_id=ID)
    alone = len(recipients) == 1 and recipients[0].domain is not None  # <Postmaster> is no Path
    assert (b"\r\n\tfor <" in field) == alone


@pytest.mark.req("RFC6531-3.7.3-01", "RFC6531-3.7.3-03")
def test_the_field_is_ascii_unless_the_message_has_smtputf8() -> None:
    assert received("jö@b.example").isascii()
    with_utf8 = received("jö@b.example", smtputf8=True)
    assert "\r\n\twith UTF8SMTP\r\n" in with_utf8
    assert "\r\n\tfor <jö@b.example>" in with_utf8


@pytest.mark.req("RFC5322-2.2.3-01/server")
@given(hosts(), forward_paths(smtputf8=True), st.booleans())
def test_each_clause_of_the_field_has_a_line_of_its_own(
    hello: Host, recipient: ForwardPath, utf8: bool
) -> None:
    session = Session(peer=("2001:db8::1", 25), hello=hello, extended=True)
    parameters = MailParameters(smtputf8=utf8)
    envelope = Envelope("ann@a.example", [recipient], parameters)
    field = TRACER.received(session, envelope, now=T, queue_id=ID)
    first, *others = field.removesuffix(b"\r\n").split(b"\r\n")
    assert first.startswith(b"Received: from ")
    named = [b"for"] * (recipient.domain is not None and (utf8 or recipient.isascii))
    assert [line.split()[0] for line in others] == [b"by", b"with", b"id", *named, b"Mon,"]
    assert all(line.startswith(b"\t") for line in others)
    assert all(len(line) <= 998 for line in [first, *others])


@given(domains(), st.ip_addresses(), st.binary())
def test_the_client_is_read_again_from_the_field_and_only_from_our_own(
    hello: Domain, peer: Any, rest: bytes
) -> None:
    session = Session(peer=(str(peer), 25), hello=hello)
    envelope = Envelope("ann@a.example", ["bob@b.example"])
    field = TRACER.received(session, envelope, now=T, queue_id=ID) + rest
    literal = f"[{'IPv6:' * (peer.version == 6)}{peer}]"
    assert received_from(field, TRACER.hostname) == f"{hello} ({literal})"
    assert received_from(field, Domain("mx2.example.org")) == ""
    assert received_from(b"X: y\r\n" + field, TRACER.hostname) == ""


@given(st.binary())
def test_any_content_may_be_asked_for_its_client(content: bytes) -> None:
    assert received_from(content, TRACER.hostname) == ""


@pytest.mark.req("RFC5321-4.4-09")
@given(reverse_paths(smtputf8=True), forward_paths(smtputf8=True))
def test_at_delivery_one_return_path_preserves_the_sender(
    sender: ReversePath, recipient: ForwardPath
) -> None:
    fields = header_fields(delivery_fields(sender, recipient))
    assert [(it.name, it.text) for it in fields] == [
        ("Return-Path", f" {bytes(sender).decode()}"),
        ("Delivered-To", f" {recipient}"),
    ]


# -- hops ----------------------------------------------------------------------------------------

LINES = st.sampled_from([
    b"Received: from a by b;\r\n\tMon\r\n", b"RECEIVED : x\r\n", b"Received-SPF: pass\r\n",
    b"X: y\r\n Received: folded\r\n", b"Subject: " + b"long " * 500 + b"\r\n",
    b"Delivered-To: bob@b.example\r\n",
])  # fmt: skip


@given(st.lists(LINES), st.binary(), st.data())
def test_the_hops_of_content_do_not_depend_on_its_slices(
    lines: list[bytes], body: bytes, data: Any
) -> None:
    content = b"".join(lines) + b"\r\n" + body
    hops = Hops()
    for piece in data.draw(splits(content)):
        hops.feed(piece)
    assert hops.received == sum(line[:9].strip(b" :").lower() == b"received" for line in lines)
    was_delivered = any(line.startswith(b"Delivered") for line in lines)
    assert hops.delivered(ForwardPath.of("bob@B.example")) == was_delivered
    assert not hops.delivered(ForwardPath.of("al@b.example"))
    assert hops.ended


@pytest.mark.req("RFC5321-6.3-01")
def test_by_default_a_message_with_a_hundred_received_fields_is_in_no_loop() -> None:
    hops = Hops()
    hops.feed(b"Received: x\r\n" * MAX_HOPS)
    assert (MAX_HOPS, hops.too_many) == (100, False)
    hops.feed(b"Received: x\r\n")
    assert hops.too_many


@pytest.mark.req("RFC5321-6.3-02")
@given(st.integers(1, 30))
def test_a_message_that_goes_in_a_circle_is_found_out_after_as_many_hops_as_are_allowed(
    most: int,
) -> None:
    content, passes = b"Subject: x\r\n\r\n", 0
    while passes <= most + 1:
        hops = Hops(most)
        hops.feed(content)
        if hops.too_many:
            break
        passes += 1
        content = received("bob@b.example").encode() + content
    assert passes == most + 1


@given(st.lists(st.binary(max_size=3000)))
def test_the_memory_for_a_header_is_bounded(pieces: list[bytes]) -> None:
    hops = Hops(5)
    for piece in pieces:
        hops.feed(piece)
        hops.feed(b"Delivered-To: %d@b.example\r\n" % len(piece))
    assert len(hops._line) <= 1024 and len(hops.delivered_to) <= 5
