"""The target of the server's machine: any octets from a client, any answers of the application."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from attrs import evolve

from smtpproto.events import BodyChunk, Disconnected, Question, Rejected, ServerEvent
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from tests.fuzz.pieces import splits
from tests.protocol.machines import HOST, PROXY_EXTENSIONS, ServerDriver, merge_content

SMALL = Limits(message_size=65536, recipients=3, errors=20, junk_commands=20)
ALL = dict.fromkeys(("BINARYMIME", "DSN", "ETRN", "EXPN", "DELIVERBY", "MT-PRIORITY", "RRVS"), "")
OPTIONS: list[dict[str, Any]] = [
    {},
    {"lmtp": True},
    {"extensions": ALL, "limits": SMALL},
    {"extensions": PROXY_EXTENSIONS},
    {"mechanisms": ("PLAIN", "LOGIN"), "auth_in_clear": True},
    {"mechanisms": ("PLAIN",), "secure": True, "lmtp": True, "extensions": ALL, "limits": SMALL},
    {"starttls": True, "mechanisms": ("PLAIN",)},
]
REFUSAL, CLOSING, CHALLENGE = Reply(550, "5.7.1", "No"), Reply(421, "4.3.2", "Bye"), Reply(334)


class _Application:
    """Refuses the n-th question if the n-th bit of *bits* is set."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.asked = 0

    def __call__(self, question: Question) -> Reply | None:
        self.asked += 1
        if self.bits >> self.asked % 8 & 1:
            return CLOSING if self.asked % 16 == 9 else REFUSAL
        return CHALLENGE if isinstance(question, Auth) and question.initial is None else None


def fuzz(data: bytes) -> None:
    """The first octet chooses the options, the second the answers, the next four are cuts."""
    if len(data) < 2:
        return
    options = OPTIONS[data[0] % len(OPTIONS)]
    whole, others = splits(data[2:])
    if options.get("starttls"):  # what follows STARTTLS in one read is refused, else it is TLS
        _history([*others[0]], options, data[1])
        return
    expected = _history([whole], options, data[1])
    for parts in others:
        assert _history(parts, options, data[1]) == expected


def _history(
    parts: list[bytes], options: dict[str, Any], bits: int
) -> tuple[list[ServerEvent], bytes]:
    """Return the events and the octets sent. The replies must be right, and the end the last."""
    server = ServerDriver(_Application(bits), hostname=HOST, **options)
    server.handle_events()
    sent = server.machine.data_to_send()
    for part in parts:
        if server.machine.phase is Phase.TLS:
            server.machine.tls_started()
        sent += server.feed(part)
        assert len(server.machine.buffer) < 16384 + len(part)
    sent += server.end() if server.machine.phase is not Phase.TLS else b""
    assert server.machine.next_event() is None
    assert sum(isinstance(event, Disconnected) for event in server.events) <= 1
    for reply in replies_in(sent):
        assert 200 <= Reply.parse(reply).code < 600
    return list(_comparable(merge_content(server.events))), sent


def _comparable(events: list[ServerEvent]) -> Iterator[ServerEvent]:
    """Yield *events* without what depends on the split: how much arrived of content that is refused
    or cut off later, and of the line of a binary protocol."""
    for event, after in pairwise([*events, None]):
        if isinstance(event, Rejected) and event.reply.code == 421:
            yield evolve(event, line="")
        elif not (isinstance(event, BodyChunk) and isinstance(after, Rejected | Disconnected)):
            assert event is not None
            yield event


def replies_in(octets: bytes) -> Iterator[bytes]:
    """Yield each reply in *octets*, which end with the end of one."""
    reply = b""
    for line in octets.splitlines(keepends=True):
        reply += line
        if line[3:4] != b"-":
            yield reply
            reply = b""
    assert not reply, "the last reply has no end"
