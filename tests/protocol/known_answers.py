"""What both machines make of 100,000 lines and 20,000 replies, known by their digests.

    python -m tests.protocol.known_answers server 17     show the lines of a block, and the answers
    python -m tests.protocol.known_answers --write       take the answers of now for the right ones

The answers were recorded before the machines got a short way to read common commands. So they show
that this way changes nothing, whatever is near a common command. A change on purpose changes
digests, too; compare what the first command shows before and after it.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from attrs import asdict

from smtpproto import ClientProtocol, Leniencies, ServerProtocol, Tolerance
from smtpproto.commands import Ehlo, Mail, Noop, Rcpt
from smtpproto.errors import SMTPError
from smtpproto.events import Answer, BodyChunk, Rejected, Tolerated, is_question
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import Command
from tests.support.near_legal import command_line, reply

MAIL, RCPT = Mail(ReversePath.of("ann@a.test")), Rcpt(ForwardPath.of("bob@b.test"))
FILE = Path(__file__).with_suffix(".csv")
BLOCK = 500  # answers that share a digest
BLOCKS = {"server": 200, "client": 40}

_EVERYTHING = {
    "DSN": "", "BINARYMIME": "", "DELIVERBY": "60", "FUTURERELEASE": "3600 2040-01-01T00:00:00Z",
    "MT-PRIORITY": "", "RRVS": "", "NO-SOLICITING": "", "ETRN": "", "EXPN": "",
    "XCLIENT": "NAME ADDR LOGIN", "XFORWARD": "NAME PROTO",
}  # fmt: skip
_LENIENT = Leniencies(**dict.fromkeys(asdict(Leniencies()), Tolerance.REPORT))
_SERVERS: tuple[dict[str, Any], ...] = (
    {},
    {"leniencies": _LENIENT},
    {"leniencies": Leniencies.strict(), "extensions": _EVERYTHING},
    {"extensions": _EVERYTHING, "secure": True, "mechanisms": ("PLAIN", "CRAM-MD5")},
    {"submission": True, "starttls": True, "mechanisms": ("PLAIN",), "auth_in_clear": True},
    {"lmtp": True, "leniencies": _LENIENT, "auth_in_clear": True, "mechanisms": ("PLAIN",)},
)
_HELLO = b"EHLO a.test\r\n"
_LOGIN = b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
_OPENINGS = {  # by the verb that is in order after it
    b"MAIL": _HELLO,
    b"RCPT": _HELLO + b"MAIL FROM:<ann@a.test>\r\n",
    b"DATA": _HELLO + b"MAIL FROM:<ann@a.test> SMTPUTF8\r\nRCPT TO:<bob@b.test>\r\n",
    b"BDAT": _HELLO + b"MAIL FROM:<ann@a.test>\r\nRCPT TO:<bob@b.test>\r\nBDAT 1\r\nx",
    b"HELP": b"HELO a.test\r\n",
    b"EHLO": b"",
}


def server_answer(number: int) -> tuple[bytes, str]:
    """Return a line, and what a server machine makes of it: events, replies, and its phase."""
    dice = Random(f"server {number}")
    options = _SERVERS[dice.randrange(len(_SERVERS))]
    server = ServerProtocol(hostname="mx.example.org", **options)
    line = command_line(dice)
    server.next_event()
    server.answer()
    _drive(server, _opening(dice, line, options))
    return line, " | ".join(_drive(server, line + b"\r\n"))


def _opening(dice: Random, line: bytes, options: dict[str, Any]) -> bytes:
    """Return what the client sends before *line*, so that most often *line* is in order."""
    openings = [*_OPENINGS.values()]
    opening = openings[dice.randrange(len(openings))]
    if dice.randrange(4):
        opening = _OPENINGS.get(line[:4].upper(), opening)
    if "submission" in options:
        opening = opening.replace(_HELLO, _HELLO + _LOGIN)
    return opening.replace(b"EHLO", b"LHLO") if "lmtp" in options else opening


def _drive(server: ServerProtocol, octets: bytes) -> list[str]:
    """Let *server* read *octets*, and accept all it asks. Return what it reports and sends."""
    if octets:
        server.receive(octets)
    seen = []
    while (event := server.next_event()) is not None:
        seen.append(_described(event))
        if is_question(event):
            server.answer()
    return [*seen, repr(server.data_to_send()), server.phase.value]


def _described(event: object) -> str:
    match event:
        case Command():
            parameters = getattr(event, "parameters", "")
            return f"{type(event).__name__} {bytes(event)!r} {event} {parameters}"
        case Rejected(line, refusal):
            return f"Rejected {line!r} {bytes(refusal)!r}"
        case Tolerated(leniencies, line):
            return f"Tolerated {leniencies} {line!r}"
        case BodyChunk(data):
            return f"BodyChunk {data!r}"
    return type(event).__name__


def client_answer(number: int) -> tuple[bytes, str]:
    """Return a reply, and what a client machine makes of it: an event or an error, and its
    phase."""
    dice = Random(f"client {number}")
    leniencies = (Leniencies(), _LENIENT, Leniencies.strict())[dice.randrange(3)]
    client = ClientProtocol(lmtp=False, leniencies=leniencies)
    client.receive(b"220 mx.example.org\r\n")
    client.next_event()
    client.send(Ehlo("client.example"))
    client.data_to_send()
    offers = dice.randrange(3) == 0
    if not offers:
        client.receive(b"250-mx.example.org\r\n250 PIPELINING\r\n")
        client.next_event()
        for command in (MAIL, RCPT, Noop())[: dice.randrange(1, 4)]:
            client.send(command)
        client.data_to_send()
    octets = reply(dice, offers=offers)
    client.receive(octets)
    return octets, " | ".join((*_answers(client), client.phase.value, str(client.extensions)))


def _answers(client: ClientProtocol) -> Iterator[str]:
    try:
        while (event := client.next_event()) is not None:
            if isinstance(event, Answer):
                yield f"{event.sent}: {event.reply!r} {event.leniencies}"
            else:
                yield type(event).__name__
    except SMTPError as error:
        yield f"{type(error).__name__}: {error}"


_ANSWERS = {"server": server_answer, "client": client_answer}


def block(side: str, number: int) -> list[tuple[bytes, str]]:
    """Return the lines and answers of a block."""
    return [_ANSWERS[side](one) for one in range(number * BLOCK, (number + 1) * BLOCK)]


def digest(answers: list[tuple[bytes, str]]) -> str:
    """Return 16 hexadecimal digits that stand for *answers*."""
    text = "\n".join(f"{line!r}: {answer}" for line, answer in answers)
    return sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def known() -> dict[tuple[str, int], str]:
    """Return the recorded digest of each block."""
    with FILE.open(newline="") as file:
        return {(side, int(number)): text for side, number, text in csv.reader(file)}


def _write() -> None:
    rows = [
        (side, n, digest(block(side, n))) for side, blocks in BLOCKS.items() for n in range(blocks)
    ]
    with FILE.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        _write()
    else:
        for line, answer in block(sys.argv[1], int(sys.argv[2])):
            sys.stdout.write(f"{line!r}\n    {answer}\n")
