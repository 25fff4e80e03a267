"""Groups of commands (RFC 2920) as a server takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.events import BodyEnd
from smtpproto.grammar.command import Rcpt
from smtpproto.grammar.reply import Reply

from .machines import MAIL_LINE, ServerDriver, ready_server


def known(good: list[bool]) -> tuple[ServerDriver, bytes]:
    """A server that knows the recipients whose number is *good*, and RCPT for all."""

    def application(question: object) -> Reply | None:
        no = isinstance(question, Rcpt) and not good[int(str(question.path)[0])]
        return Reply(550, "5.1.1", "Unknown") if no else None

    lines = b"".join(b"RCPT TO:<%d@b.example>\r\n" % number for number in range(len(good)))
    return ready_server(application=application), lines


@pytest.mark.req("RFC2920-3.2-03")
@given(st.lists(st.booleans(), max_size=5))
def test_data_is_for_who_has_a_recipient(good: list[bool]) -> None:
    """Whichever it is: 354 if and only if one at least was accepted."""
    server, rcpts = known(good)
    replies = server.codes(MAIL_LINE + rcpts + b"DATA\r\n")
    assert replies == [250, *[250 if yes else 550 for yes in good], 354 if any(good) else 503]


@pytest.mark.req("RFC2920-3.2-04")
@pytest.mark.parametrize("content", [b"DATA\r\n.\r\n", b"BDAT 0 LAST\r\n", b"DATA\r\nx\r\n.\r\n"])
@pytest.mark.parametrize("good", [[], [False], [False, False]])
def test_no_message_goes_to_nobody(content: bytes, good: list[bool]) -> None:
    server, rcpts = known(good)
    server.feed(MAIL_LINE + rcpts + content)
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.codes(b"RSET\r\n" + MAIL_LINE) == [250, 250]
