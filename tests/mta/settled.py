"""Strategies for messages in the queue, and for what becomes of their deliveries."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.parameters import RcptParameters
from smtpproto.grammar.reply import Reply
from smtpproto.mta.queue import Attempt, Delivery, Message, Result, make_id
from smtpproto.mta.settlement import Decision, Done, Fate, Hold, Later, Settlement
from smtpproto.testing.strategies import (
    domains,
    forward_paths,
    mail_parameters,
    rcpt_parameters,
    replies,
    reverse_paths,
)

T = 1_796_040_000.0  # a time in 2026
TIMES = st.integers(0, 4_000_000_000).map(float)
TEXTS = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" ")).filter(
    str.isprintable
)
IDS = st.builds(make_id, TIMES, st.binary(min_size=10, max_size=10))


@cache
def attempts() -> SearchStrategy[Attempt]:
    return st.builds(
        Attempt,
        at=TIMES,
        result=st.sampled_from(Result),
        host=st.just("") | domains().map(str),
        address=st.sampled_from(["", "192.0.2.1", "2001:db8::1", "/run/lmtp"]),
        reply=st.none() | replies(),
        command=st.sampled_from(["", "RCPT TO:<bob@b.example>", "end of data"]),
        error=st.just("") | TEXTS,
        dsn=st.booleans(),
        deliver_by=st.booleans(),
    )


@cache
def decisions() -> SearchStrategy[Decision]:
    return (
        st.builds(Done, st.sampled_from(Fate))
        | st.builds(Later, due=TIMES, warned=st.booleans())
        | st.builds(Hold, st.just("a person"))
    )


# Made once: it takes longer than to draw from them.
HEADERS = st.lists(st.sampled_from([
    b"Received: from c.example ([192.0.2.7])\r\n\tby mx.example.org\r\n\twith ESMTP; now\r\n",
    b"Subject: Lunch\r\n", b"Subject: =?utf-8?q?f=C3=BCr?= all\r\n", b"Subject:\r\n",
    "Subject: für alle\r\n".encode(), b"Subject: \xff\r\n", b"Subject: =?x?b?%%?= (\r\n",
    b"Message-ID: <a@b.example>\r\n", b"X: " + b"long " * 5000 + b"\r\n",
    b"Y: folded\r\n to it\r\n",
]))  # fmt: skip
BODIES = st.binary(max_size=200) | st.sampled_from([
    b"Hello\r\n", "Grüße\r\n".encode(), b"x" * 2000 + b"\r\n", b"bare\nlines\r", b"\0",
    b"--\r\n" * 50, b"large\r\n" * 12000,
])  # fmt: skip
TRIED = st.none() | attempts()
TO_COME = st.integers(1, 10**6)


@st.composite
def settled(draw: DrawFn, senders: SearchStrategy[ReversePath] | None = None) -> Any:
    """A message with its content, and settlements of its deliveries."""
    header, body = draw(HEADERS), draw(BODIES)
    content = b"".join(header) + b"\r\n" * draw(st.booleans()) + body
    arrived = draw(TIMES)
    message = Message(
        id=draw(IDS),
        sender=draw(reverse_paths(smtputf8=True) if senders is None else senders),
        parameters=draw(mail_parameters()),
        size=len(content),
        arrived=arrived,
        expires=arrived + draw(TO_COME),
        authenticated=draw(st.booleans()),
    )
    settlements = [
        Settlement(
            delivery=Delivery(
                message=message.id,
                number=number,
                recipient=draw(forward_paths(smtputf8=True)),
                parameters=draw(rcpt_parameters()),
                due=arrived,
            ),
            decision=draw(decisions()),
            attempt=draw(TRIED),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    return message, settlements, content


def message(sender: str | ReversePath = "ann@a.example", **changes: Any) -> Message:
    values: dict[str, Any] = {"id": make_id(T, bytes(10)), "size": 100, "arrived": T}
    values |= {"expires": T + 432_000, "authenticated": True, "sender": ReversePath.of(sender)}
    return Message(**values | changes)


def settlement(
    decision: Decision, *, to: str = "bob@b.example", attempt: Attempt | None = None, **rcpt: Any
) -> Settlement:
    delivery = Delivery(
        message=make_id(T, bytes(10)),
        number=0,
        recipient=ForwardPath.of(to),
        parameters=RcptParameters(**rcpt),
        due=T,
    )
    return Settlement(delivery=delivery, decision=decision, attempt=attempt)


REFUSED = Attempt(
    at=T + 5,
    result=Result.REFUSED,
    host="mx.b.example",
    address="192.0.2.9",
    reply=Reply(550, "5.1.1", ["no such user", "see http://b.example"]),
    command="RCPT TO:<bob@b.example>",
)
