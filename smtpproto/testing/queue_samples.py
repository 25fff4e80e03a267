"""Messages for tests of the queue and its stores. The strategies need Hypothesis."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Sequence
from typing import BinaryIO, cast

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.parameters import MailParameters
from ..mail import Source
from ..mta.queue import Attempt, Delivery, Forwarding, Message, Result, State
from ..mta.store import Queued
from . import strategies

NOW = 1_000_000.0
WAIT = 60.0  # seconds that a claim of these tests lasts, if its process dies


def make_queued(  # noqa: PLR0913 - each is an attribute that tests vary
    name: str = "m1",
    *recipients: str,
    sender: str = "ann@example.org",
    content: bytes = b"Subject: hi\r\n\r\nhello\r\n",
    due: float = NOW,
    priority: int | None = None,
    not_before: float = 0,
    origin: str = "",
) -> Queued:
    """Return a message for the queue, whose id is *name*, with a delivery for each of
    *recipients*."""
    message = Message(
        id=name,
        sender=ReversePath.of(sender or None),
        parameters=MailParameters(mt_priority=priority),
        size=len(content),
        arrived=NOW,
        expires=NOW + 1000,
        not_before=not_before,
        origin=origin,
    )
    deliveries = tuple(
        Delivery(message=name, number=number, recipient=ForwardPath.of(recipient), due=due)
        for number, recipient in enumerate(recipients or ["bob@example.com"])
    )
    return Queued(message=message, deliveries=deliveries, content=content)


_times = st.floats(0, 1e11)
_words = st.text(max_size=20)


@functools.cache
def attempts() -> SearchStrategy[Attempt]:
    """Attempts with anything in them."""
    return st.builds(
        Attempt,
        at=_times,
        result=st.sampled_from(Result),
        host=_words,
        address=_words,
        tls=_words,
        reply=st.none() | strategies.replies(),
        command=_words,
        error=_words,
        dsn=st.booleans(),
        seconds=_times,
    )


@functools.cache
def queued_messages() -> SearchStrategy[Queued]:
    """Messages for the queue with anything in them."""
    message = st.builds(
        Message,
        id=st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=26, max_size=26),
        sender=strategies.reverse_paths(smtputf8=True),
        parameters=strategies.mail_parameters(),
        size=st.just(0),
        arrived=_times,
        expires=_times,
        not_before=_times,
        origin=_words,
        authenticated=st.booleans(),
        tls_optional=st.booleans(),
    )
    delivery = st.builds(
        Delivery,
        message=st.just(""),
        number=st.just(0),
        recipient=strategies.forward_paths(smtputf8=True),
        parameters=strategies.rcpt_parameters(),
        due=_times,
        state=st.sampled_from([State.WAITING, State.HELD]),
        attempts=st.integers(0, 1000),
        warned=st.booleans(),
        reason=_words,
        log=st.lists(attempts(), max_size=2).map(tuple),
        via=st.lists(strategies.forward_paths(smtputf8=True), max_size=2).map(tuple),
        forwarding=st.sampled_from(Forwarding),
    )
    deliveries = st.lists(delivery, min_size=1, max_size=3)
    return st.builds(_queued, message, deliveries, strategies.messages())


def _queued(message: Message, deliveries: Sequence[Delivery], content: bytes) -> Queued:
    """Return a message whose parts belong together."""
    numbered = (evolve(it, message=message.id, number=i) for i, it in enumerate(deliveries))
    return Queued(
        message=evolve(message, size=len(content)), deliveries=tuple(numbered), content=content
    )


async def read(source: Source) -> bytes:
    """Return the octets of what :meth:`.QueueStore.content` returned, read from its start."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, AsyncIterable):
        return b"".join([piece async for piece in source])
    file = cast(BinaryIO, source)
    file.seek(0)
    return file.read()


def due_if_lost(delivery: Delivery) -> float:
    return NOW + WAIT * (delivery.attempts + 1)
