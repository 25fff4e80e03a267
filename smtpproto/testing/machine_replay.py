"""Replay a transcript on a machine of :mod:`smtpproto.protocol`, without any input or output."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from ..events import Answer, BodyChunk, Disconnected, Question, ServerEvent, is_question
from ..grammar.command import Ehlo
from ..grammar.command_line import parse_command
from ..grammar.extension_command import Bdat
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..protocol.client import ClientProtocol
from ..protocol.phases import Phase
from ..protocol.server import ServerProtocol
from .player import Player, Splits, players, turns_of
from .roles import CRLF, Role
from .transcript import Line, Side, Transcript, roles

__all__ = ["replay_on_machine"]


def replay_on_machine(
    transcript: Transcript,
    make: Callable[[], ServerProtocol | ClientProtocol],
    *,
    splits: Splits = "every",
) -> None:
    """Play one side to a machine, and compare what it sends, and the content that it reports.

    *make* returns a new machine for each of *splits*. A server machine gets its answers from the
    transcript, a client machine its commands. Errors: see :mod:`.replay`.
    """
    plays: Side = "C" if isinstance(make(), ServerProtocol) else "S"
    for player in players(transcript, plays, splits):
        machine = make()
        peer: _Server | _Client
        if isinstance(machine, ServerProtocol):
            peer = _Server(machine, transcript)
        else:
            peer = _Client(machine, transcript)
        _play(player, peer)
        player.finish()
        peer.check()


def _play(player: Player, peer: _Server | _Client) -> None:
    while not player.is_over:
        if player.awaits_tls:
            peer.start_tls()
            player.tls_started()
        elif piece := player.next_piece():
            peer.send(piece)
        elif data := peer.receive():
            player.take(data)
        else:
            player.end("says nothing more")


class _Server:
    """A server machine whose application answers with the replies of the transcript."""

    def __init__(self, machine: ServerProtocol, transcript: Transcript) -> None:
        self._machine = machine
        self._replies = _replies(transcript)
        self._expected = _content(transcript)
        self._content = b""
        self._serve()

    def send(self, piece: bytes) -> None:
        self._machine.receive(piece)
        self._serve()

    def receive(self) -> bytes:
        return self._machine.data_to_send()

    def start_tls(self) -> None:
        self._machine.tls_started()

    def check(self) -> None:
        assert self._content == self._expected, "the server reports other content"

    def _serve(self) -> None:
        while (event := self._machine.next_event()) is not None:
            if isinstance(event, BodyChunk):
                self._content += event.data
            elif isinstance(event, Bdat):
                self._machine.answer()
            else:
                self._react(event)

    def _react(self, event: ServerEvent) -> None:
        reply = self._next_reply()
        if is_question(event):
            self._answer(event, reply)
        while self._machine.question is not None:  # in LMTP, for the next recipient
            self._machine.answer(self._next_reply())

    def _next_reply(self) -> Reply:
        if (reply := next(self._replies, None)) is None:
            raise AssertionError("the server asks for more replies than the transcript has")
        return reply

    def _answer(self, question: Question, reply: Reply) -> None:
        """Answer with *reply*, without the host name and the keywords that the machine adds."""
        hello = isinstance(question, Ehlo) and reply.positive
        lines = list(reply.lines[:1] if hello else reply.lines)
        if hello or reply.code in (220, 421):
            lines[0] = lines[0].removeprefix(f"{self._machine.settings.hostname} ")
        self._machine.answer(Reply(reply.code, reply.enhanced, lines))


class _Client:
    """A client machine that sends the commands of the transcript."""

    def __init__(self, machine: ClientProtocol, transcript: Transcript) -> None:
        self._machine = machine
        self._turns = iter([lines for side, lines in turns_of(transcript) if side == "C"])
        self._expected = list(_replies(transcript))
        self._replies: list[Reply] = []

    def send(self, piece: bytes) -> None:
        self._machine.receive(piece)
        while (event := self._machine.next_event()) is not None:
            if isinstance(event, Answer):
                self._replies.append(event.reply)
            else:
                assert isinstance(event, Disconnected), f"the client reports {event}"

    def receive(self) -> bytes:
        for lines in self._turns:
            self._send([it.octets for it in lines if isinstance(it, Line)])
            break
        return self._machine.data_to_send()

    def start_tls(self) -> None:
        self._machine.tls_started()

    def check(self) -> None:
        assert self._replies == self._expected, "the client reports other replies"

    def _send(self, rest: list[bytes]) -> None:
        machine = self._machine
        while rest:
            if machine.phase is Phase.BODY and not machine.unanswered:
                end = rest.index(b".\r\n")
                for line in rest[:end]:
                    machine.send_body(line.removeprefix(b"."))
                machine.end_body()
                del rest[: end + 1]
                continue
            line = rest.pop(0).removesuffix(CRLF)
            if machine.phase is Phase.AUTH:
                machine.respond(None if line == b"*" else Secret(base64.b64decode(line)))
            elif isinstance(command := parse_command(line), Bdat):
                machine.send_chunk(_take_chunk(command.size, rest), last=command.last)
            else:
                machine.send(command)


def _take_chunk(size: int, rest: list[bytes]) -> bytes:
    chunk = b""
    while len(chunk) < size and rest:
        chunk += rest.pop(0)
    return chunk


def _replies(transcript: Transcript) -> Iterator[Reply]:
    lines: list[bytes] = []
    for entry in transcript.entries:
        if isinstance(entry, Line) and entry.side == "S":
            lines.append(entry.octets.removesuffix(CRLF))
            if lines[-1][3:4] != b"-":
                yield Reply.from_lines(lines)
                lines = []


def _content(transcript: Transcript) -> bytes:
    """Return the content of all messages, without the dots that are stuffed."""
    found = b""
    for entry, role in roles(transcript.entries):
        if isinstance(entry, Line) and role in (Role.CONTENT, Role.CHUNK):
            found += entry.octets.removeprefix(b"." if role is Role.CONTENT else b"")
    return found
