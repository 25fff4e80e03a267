"""Laws that hold for every mail program, as functions that raise AssertionError.

They are for tests with Hypothesis, for which ``strategies`` draws the values, but need none::

    @given(mailboxes())
    def test_an_address_is_read_back(mailbox):
        laws.check_round_trip(mailbox, my_parser, my_writer)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from ..errors import SMTPError
from ..events import BodyChunk, Question, Rejected, ServerEvent, is_question
from ..grammar.reply import Reply
from ..protocol.server import ServerProtocol

__all__ = [
    "ACCEPTING_CODES", "check_reply", "check_round_trip", "check_same_for_any_split",
    "check_stored_once", "only_smtp_errors", "server_events",
]  # fmt: skip

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

ACCEPTING_CODES: Mapping[str, frozenset[int]] = {
    verb: frozenset(codes)
    for verb, codes in {
        "": {220}, "EHLO": {250}, "HELO": {250}, "LHLO": {250}, "MAIL": {250}, "RCPT": {250, 251},
        "DATA": {354}, "BDAT": {250}, ".": {250}, "RSET": {250}, "NOOP": {250},
        "VRFY": {250, 251, 252}, "EXPN": {250, 252}, "HELP": {211, 214}, "QUIT": {221},
        "STARTTLS": {220}, "AUTH": {235, 334}, "ETRN": {250, 251, 252, 253}, "XCLIENT": {220},
        "XFORWARD": {250},
    }.items()
}  # fmt: skip
"""The codes by which a server accepts, by verb: those of RFC 5321 4.3.2, and of the RFCs of the
extensions. ``""`` is the connection itself, ``"."`` the end of a content."""


def check_reply(verb: str, reply: Reply) -> None:
    """Check that *reply* may answer *verb*: it refuses (4yz, 5yz), or has one of the
    :data:`ACCEPTING_CODES`. A verb that is not among them is one that servers do not know."""
    known = ACCEPTING_CODES.get(verb.upper(), frozenset())
    assert reply.code >= 400 or reply.code in known, (
        f"{reply.code} is no answer to {verb or 'a new connection'}: it is"
        f" {' or '.join(map(str, sorted(known))) or 'refused'} (RFC 5321 4.3.2)"
    )


def check_round_trip(
    value: T, parse: Callable[[bytes], T], write: Callable[[Any], bytes] = bytes
) -> None:
    """Check that *parse* reads *value* from what *write* writes."""
    written = write(value)
    read = parse(written)
    assert read == value, f"{written!r} was written for {value!r}, and read as {read!r}"


def check_same_for_any_split(read: Callable[[list[bytes]], T], pieces: Sequence[bytes]) -> T:
    """Check that *read* returns the same for *pieces* as for all octets in one piece, and return
    it. ``strategies.splits`` draws pieces."""
    whole, split = read([b"".join(pieces)]), read([*pieces])
    assert split == whole, f"in one piece: {whole!r}; as {list(pieces)!r}: {split!r}"
    return whole


def only_smtp_errors(
    function: Callable[P, T], *arguments: P.args, **named: P.kwargs
) -> T | SMTPError:
    """Call *function*, and return its result, or the SMTPError that it raised. Check that it raises
    nothing else."""
    try:
        return function(*arguments, **named)
    except SMTPError as error:
        return error
    except Exception as error:
        text = f"{type(error).__name__} was raised, which is no SMTPError: {error}"
        raise AssertionError(text) from error


def check_stored_once(accepted: Iterable[K], stored: Iterable[K]) -> None:
    """Check that *stored* has all that was *accepted*, as often, and nothing else (RFC 5321 4.2.5,
    6.1). Pass for both, for example, pairs of the address of a recipient and a content."""
    wanted, found = Counter(accepted), Counter(stored)
    for one in wanted | found:
        assert found[one] == wanted[one], (
            f"accepted {_times(wanted[one])}, but stored {_times(found[one])}: {one!r:.300}"
        )


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")


def server_events(
    machine: ServerProtocol,
    pieces: Iterable[bytes],
    answer: Callable[[Question], Reply | None] = lambda question: None,
) -> tuple[list[ServerEvent], bytes]:
    """Serve a client that sends *pieces*, and return the events of *machine* and its replies.

    *answer* returns the reply to each question; None is the default reply, which accepts. How
    the octets were split cannot be seen: slices of content become one, and none are left of a
    content that is refused or has not ended.
    """
    events: list[ServerEvent] = []
    _take_events(machine, answer, events)
    for piece in filter(None, pieces):
        if machine.question is None:
            machine.receive(piece)
        _take_events(machine, answer, events)
    if events and isinstance(events[-1], BodyChunk):
        events.pop()
    return events, machine.data_to_send()


def _take_events(
    machine: ServerProtocol,
    answer: Callable[[Question], Reply | None],
    events: list[ServerEvent],
) -> None:
    while (event := machine.next_event()) is not None:
        last = events[-1] if events else None
        if isinstance(last, BodyChunk) and isinstance(event, BodyChunk | Rejected):
            events.pop()
            event = event if isinstance(event, Rejected) else BodyChunk(last.data + event.data)
        events.append(event)
        while is_question(event) and machine.question is event:
            machine.answer(answer(event))
