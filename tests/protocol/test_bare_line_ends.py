"""The leniency ``bare_cr_or_lf``: a CR or LF alone in the content of DATA becomes a CRLF."""

from __future__ import annotations

import pytest

from smtpproto.events import BodyEnd, Rejected, Tolerated
from smtpproto.grammar.command import Noop
from smtpproto.limits import Leniencies, Limits, Tolerance

from .machines import TO_DATA, ServerDriver, codes_of, lines_of, ready_server

CONTENT = b"Subject: x\n\na\rb\r\n..c\n.d"
NORMALIZED = b"Subject: x\r\n\r\na\r\nb\r\n.c\r\n.d\r\n"
REPORTED = Tolerated(("bare_cr_or_lf",), "")


def server_with(tolerance: Tolerance, **options: object) -> ServerDriver:
    leniencies = Leniencies(bare_cr_or_lf=tolerance)
    return ready_server(leniencies=leniencies, **options)  # type: ignore[arg-type]


@pytest.mark.req("SMUGGLING-02", "SMUGGLING-03")
@pytest.mark.parametrize("lmtp", [False, True])
def test_bare_cr_and_lf_are_accepted_reported_or_rejected(lmtp: bool) -> None:
    for tolerance in Tolerance:
        server = server_with(tolerance, lmtp=lmtp)
        server.feed(TO_DATA)
        events, sent = server.feed_events(CONTENT + b"\r\n.\r\nNOOP\r\n")
        if tolerance is Tolerance.REJECT:
            assert [type(event) for event in events[-2:]] == [Rejected, Noop]
            assert codes_of(lines_of(sent)) == [554, 250]
            continue
        assert server.content == NORMALIZED
        ends = [event for event in events if isinstance(event, BodyEnd | Tolerated)]
        report = [REPORTED] if tolerance is Tolerance.REPORT else []
        assert ends == [*report, BodyEnd(len(NORMALIZED))]
        assert codes_of(lines_of(sent)) == [250, 250]


def test_the_leniency_is_not_reported_for_content_that_does_not_need_it() -> None:
    server = server_with(Tolerance.REPORT)
    server.feed(TO_DATA)
    events, _ = server.feed_events(b"a\r\n..\r\n.\r\n")
    assert REPORTED not in events
    assert server.content == b"a\r\n.\r\n"


@pytest.mark.req("SMUGGLING-03")
@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n..\n"], ids=repr)
def test_a_smuggled_end_of_data_is_refused_whatever_the_leniency(end: bytes) -> None:
    for tolerance in Tolerance:
        server = server_with(tolerance)
        server.feed(TO_DATA)
        smuggled = b"a" + end + b"MAIL FROM:<evil@example.net>\r\n"
        events, sent = server.feed_events(smuggled + b".\r\nNOOP\r\n")
        assert [type(event) for event in events[-2:]] == [Rejected, Noop]
        assert codes_of(lines_of(sent)) == [554, 250]


def test_the_size_limit_counts_normalized_octets() -> None:
    server = server_with(Tolerance.ACCEPT, limits=Limits(message_size=65536))
    server.feed(TO_DATA)
    _, sent = server.feed_events(b"\n" * 40000 + b"\r\n.\r\n")
    assert codes_of(lines_of(sent)) == [552]


def test_octets_of_a_chunk_are_never_normalized() -> None:
    server = server_with(Tolerance.ACCEPT)
    server.feed(b"MAIL FROM:<>\r\n")
    server.feed(b"RCPT TO:<bob@example.org>\r\n")
    assert server.codes(b"BDAT 5 LAST\r\na\nb\rc") == [250]
    assert server.content == b"a\nb\rc"
