"""The scenarios of the RFCs, replayed on both machines with the octets split everywhere.

Files in ``transcripts/`` have ``C:`` and ``S:`` lines as on the wire, ``;`` comments, and ``*``
lines for the options of the server and the start of TLS. The octets of a chunk are lines, too.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from smtpproto.events import Answer, BodyChunk, BodyEnd, Disconnected, Question, is_question
from smtpproto.grammar.command import Ehlo
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.extension_command import Bdat
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol

FILES = sorted(Path(__file__).parent.glob("transcripts/*.txt"))


@frozen
class Turn:
    """The lines that one side sends before it waits for the other; *side* is "C", "S" or "*"."""

    side: str
    lines: tuple[str, ...]

    @property
    def octets(self) -> bytes:
        return "".join(f"{line}\r\n" for line in self.lines).encode()


@frozen
class Transcript:
    """A transcript: the options of its server, and its turns."""

    options: dict[str, Any]  # of the server; empty if the transcript is for clients only
    turns: tuple[Turn, ...]

    @property
    def replies(self) -> list[Reply]:
        lines = [line for turn in self.turns if turn.side == "S" for line in turn.lines]
        ends = [i for i, line in enumerate(lines, 1) if line[3:4] != "-"]
        return [
            Reply.from_lines([line.encode() for line in lines[start:end]])
            for start, end in zip([0, *ends], ends, strict=False)
        ]

    @property
    def messages(self) -> list[bytes]:
        """The content of each message: the lines between 354 and the dot, and that of chunks."""
        found = []
        for before, turn in zip(self.turns, self.turns[1:], strict=False):
            if before.lines[-1].startswith("354"):
                lines = turn.lines[: turn.lines.index(".")]
                found.append("".join(f"{line.removeprefix('.')}\r\n" for line in lines).encode())
        return found + self.chunked

    @property
    def chunked(self) -> list[bytes]:
        """The content of each message sent in chunks."""
        rest = [line for turn in self.turns if turn.side == "C" for line in turn.lines]
        found, content = [], b""
        while rest:
            if (bdat := as_chunk(rest.pop(0))) is None:
                continue
            content += take_chunk(bdat, rest)
            if bdat.last:
                found.append(content)
                content = b""
        return found


def as_chunk(line: str) -> Bdat | None:
    """Return *line* as BDAT, or None for any other line."""
    command = parse_command(line.encode()) if line.startswith("BDAT ") else None
    return command if isinstance(command, Bdat) else None


def take_chunk(bdat: Bdat, rest: list[str]) -> bytes:
    """Remove the lines of the chunk of *bdat* from *rest*, and return their octets."""
    content = b""
    while len(content) < bdat.size:
        content += f"{rest.pop(0)}\r\n".encode()
    assert len(content) == bdat.size, "in transcripts a chunk ends with a line"
    return content


def load(path: Path) -> Transcript:
    """Parse the transcript at *path*."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith(";")]
    marks = [line[2:].split() for line in lines if line.startswith("* server")]
    options: dict[str, Any] = {}
    for word in marks[0][2:] if marks else []:
        name, _, values = word.partition("=")
        options[name] = tuple(values.split(",")) if values else True
    if marks:
        options["hostname"] = marks[0][1]
        options["extensions"] = dict.fromkeys(options.get("extensions", ()), "")
    marked_lines = [
        (line[0], line[3:]) for line in lines if not line.startswith(("* server", "* client-only"))
    ]
    turns = [
        Turn(side, tuple(text for _, text in group))
        for side, group in groupby(marked_lines, lambda x: x[0])
    ]
    return Transcript(options, tuple(turns))


def cuts(octets: bytes) -> Iterator[list[bytes]]:
    """Yield *octets* whole, octet by octet, and in two pieces cut everywhere."""
    yield [octets]
    yield [octets[i : i + 1] for i in range(len(octets))]
    for cut in range(1, len(octets)):
        yield [octets[:cut], octets[cut:]]


# -- the server --------------------------------------------------------------------------------


class TranscriptServer:
    """A server machine whose application answers with the replies of the transcript."""

    def __init__(self, transcript: Transcript) -> None:
        self.machine = ServerProtocol(**transcript.options)
        self.replies = iter(transcript.replies)
        self.body = b""
        self.messages: list[bytes] = []

    def answer(self, question: Question, reply: Reply) -> None:
        """Answer with *reply*, without the host name and the keywords that the machine adds."""
        lines = list(reply.lines)
        named = reply.code in (220, 421) or (isinstance(question, Ehlo) and reply.positive)
        if named and lines[0].startswith(str(self.machine.settings.hostname)):
            lines[0] = lines[0].removeprefix(f"{self.machine.settings.hostname} ")
        lines = lines[:1] if isinstance(question, Ehlo) else lines
        self.machine.answer(Reply(reply.code, reply.enhanced, lines))

    def take(self, pieces: list[bytes]) -> bytes:
        """Feed each piece. Return the octets sent."""
        for piece in pieces:
            self.machine.receive(piece)
            self.serve()
        return self.machine.data_to_send()

    def serve(self) -> None:
        while (event := self.machine.next_event()) is not None:
            if isinstance(event, BodyChunk):
                self.body += event.data
                continue
            if isinstance(event, BodyEnd):
                assert event.size == len(self.body)
                self.messages.append(self.body)
                self.body = b""
            if isinstance(event, Bdat):
                self.machine.answer()
                continue
            reply = next(self.replies)
            if is_question(event):
                self.answer(event, reply)
            while self.machine.question is not None:  # in LMTP, for the next recipient
                self.machine.answer(next(self.replies))


def serve(transcript: Transcript, cut_turn: int, pieces: list[bytes]) -> None:
    """Replay; turn *cut_turn* arrives in *pieces*, the others whole."""
    server = TranscriptServer(transcript)
    server.serve()
    sent = server.machine.data_to_send()
    for number, turn in enumerate(transcript.turns):
        if turn.side == "*":
            server.machine.tls_started()
        elif turn.side == "S":
            assert sent == turn.octets
            sent = b""
        else:
            sent = server.take(pieces if number == cut_turn else [turn.octets])
    assert next(server.replies, None) is None
    assert server.messages == transcript.messages


@pytest.mark.parametrize("path", [f for f in FILES if load(f).options], ids=lambda path: path.stem)
def test_a_server_replays_each_transcript(path: Path) -> None:
    transcript = load(path)
    for number, turn in enumerate(transcript.turns):
        if turn.side == "C":
            for pieces in cuts(turn.octets):
                serve(transcript, number, pieces)


# -- the client --------------------------------------------------------------------------------


def send_lines(client: ClientProtocol, lines: tuple[str, ...]) -> None:
    """Make the client send *lines*, as commands, content, chunks or SASL responses."""
    rest = list(lines)
    while rest:
        if client.phase is Phase.BODY and not client.unanswered:
            end = rest.index(".")
            for line in rest[:end]:
                client.send_body(f"{line.removeprefix('.')}\r\n".encode())
            client.end_body()
            del rest[: end + 1]
            continue
        line = rest.pop(0)
        if (bdat := as_chunk(line)) is not None:
            client.send_chunk(take_chunk(bdat, rest), last=bdat.last)
        elif client.phase is Phase.AUTH:
            client.respond(None if line == "*" else Secret(base64.b64decode(line)))
        else:
            client.send(parse_command(line.encode()))


def converse(transcript: Transcript, cut_turn: int, pieces: list[bytes]) -> None:
    """Replay; turn *cut_turn* of the server arrives in *pieces*, the others whole."""
    client = ClientProtocol(
        lmtp=bool(transcript.options.get("lmtp")), secure=bool(transcript.options.get("secure"))
    )
    got: list[Reply] = []
    for number, turn in enumerate(transcript.turns):
        if turn.side == "*":
            client.tls_started()
        elif turn.side == "C":
            send_lines(client, turn.lines)
            assert client.data_to_send() == turn.octets
        else:
            expected = client.unanswered
            answered = []
            for piece in pieces if number == cut_turn else [turn.octets]:
                client.receive(piece)
                while (event := client.next_event()) is not None:
                    if isinstance(event, Disconnected):
                        assert number == len(transcript.turns) - 1
                        continue
                    assert isinstance(event, Answer)
                    answered.append(event.sent)
                    got.append(event.reply)
            assert tuple(answered) == expected
    assert got == transcript.replies
    assert client.unanswered == ()
    assert client.phase is Phase.CLOSED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_client_replays_each_transcript(path: Path) -> None:
    transcript = load(path)
    for number, turn in enumerate(transcript.turns):
        if turn.side == "S":
            for pieces in cuts(turn.octets):
                converse(transcript, number, pieces)


def test_the_scenarios_of_the_rfcs_have_transcripts() -> None:
    names = {path.stem for path in FILES}
    assert {"rfc5321-d1-typical", "rfc5321-d2-aborted", "rfc5321-d3-relayed-1"} <= names
    assert {"rfc5321-d3-relayed-2", "rfc5321-d4-verifying"} <= names
    assert {"rfc3030-simple", "rfc3030-binary", "rfc2033-data", "rfc3461-submission"} <= names
