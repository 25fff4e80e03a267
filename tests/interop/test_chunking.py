"""BDAT (RFC 3030): our clients to Postfix and Exim, Exim to our servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from smtpproto import Client, Envelope, NotOffered, Outcome, Reply
from smtpproto.mail.planning import CHUNK
from tests.interop.exim import Exim
from tests.interop.mailboxes import trace_above
from tests.interop.peers import DOTS, EIGHT_BIT, LARGE, PLAIN, Inbox, converse, send, serving
from tests.interop.postfix import Postfix

ENVELOPE = Envelope("ann@a.test", "alice@box.test")
CUT = 1000  # octets of a piece: some end between CR and LF
TOO_MANY = 4_000_000  # octets; both servers take 2,000,000


def of_size(size: int) -> bytes:
    """Content of *size* octets, with dots and octets above 127."""
    whole, rest = divmod(size - len(EIGHT_BIT) - 2, len(DOTS))
    return EIGHT_BIT + DOTS * whole + b"." * rest + b"\r\n"


def pieces(content: bytes) -> Iterator[bytes]:
    """Content whose size nobody knows beforehand."""
    return (content[at : at + CUT] for at in range(0, len(content), CUT))


async def _later(content: bytes) -> AsyncIterator[bytes]:
    for piece in pieces(content):
        yield piece


class Said:
    """A trace that keeps the commands about content."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def __call__(self, who: str, line: str) -> None:
        if who == "C" and line.startswith(("BDAT", "DATA", "RSET", "QUIT")):
            self.commands.append(line)


@pytest.mark.req("RFC3030-2-04")
@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        (CHUNK - 1, [f"BDAT {CHUNK - 1} LAST"]),
        (CHUNK, [f"BDAT {CHUNK} LAST"]),
        (CHUNK + 1, [f"BDAT {CHUNK}", "BDAT 1 LAST"]),  # between CR and LF
        (5 * CHUNK + 9, [*[f"BDAT {CHUNK}"] * 5, "BDAT 9 LAST"]),  # more than are in flight
    ],
    ids=["less", "one", "more", "many"],
)
def test_unknown_size(
    flavour: str, size: int, chunks: list[str], mail_server: Postfix | Exim
) -> None:
    content, said = of_size(size), Said()
    outcome = send(flavour, mail_server.port, pieces(content), ENVELOPE, trace=said)
    trace_above(mail_server.mailboxes.next("alice"), content)
    assert said.commands == [*chunks, "QUIT"]
    assert list(outcome.accepted) == list(ENVELOPE.recipients)
    assert len(outcome.queue_ids) == 1


@pytest.mark.parametrize(
    ("size", "commands"),
    [(CHUNK, ["DATA"]), (CHUNK + 2, [f"BDAT {CHUNK}", "BDAT 2 LAST"])],
    ids=["DATA", "BDAT"],
)
def test_known_size(
    flavour: str, size: int, commands: list[str], mail_server: Postfix | Exim
) -> None:
    content, said = of_size(size), Said()
    send(flavour, mail_server.port, content, ENVELOPE, trace=said)
    trace_above(mail_server.mailboxes.next("alice"), content)
    assert said.commands == [*commands, "QUIT"]


@pytest.mark.req("RFC3030-2-17")
def test_line_ends_become_crlf(flavour: str, mail_server: Postfix | Exim) -> None:
    """The last line has none at all."""
    content, said = DOTS.removesuffix(b"\r\n").replace(b"\r\n", b"\n"), Said()
    send(flavour, mail_server.port, pieces(content), ENVELOPE, trace=said)
    assert said.commands == [f"BDAT {len(DOTS)} LAST", "QUIT"]
    trace_above(mail_server.mailboxes.next("alice"), DOTS)


def test_several_in_one_session(flavour: str, mail_server: Postfix | Exim) -> None:
    contents = [of_size(2 * CHUNK), PLAIN, DOTS, LARGE]

    async def talk(client: Client) -> list[Outcome]:
        first = await client.send(_later(contents[0]), ENVELOPE)
        return [first, *[await client.send(content, ENVELOPE) for content in contents[1:]]]

    outcomes = converse(flavour, mail_server.port, talk)
    assert len({outcome.queue_ids for outcome in outcomes}) == len(contents)
    delivered = [mail_server.mailboxes.next("alice") for _ in contents]
    for content in contents:
        assert sum(octets.endswith(content) for octets in delivered) == 1


def test_too_large_and_nobody_knew(flavour: str, mail_server: Postfix | Exim) -> None:
    """No chunk goes beyond the limit: of such a one Exim 4.96 takes the rest for commands. What was
    sent is dropped, and the session goes on."""

    async def talk(client: Client) -> Outcome:
        with pytest.raises(NotOffered, match=str(client.extensions.size)):
            await client.send(pieces(of_size(TOO_MANY)), ENVELOPE)
        return await client.send(PLAIN, ENVELOPE)

    outcome = converse(flavour, mail_server.port, talk)
    trace_above(mail_server.mailboxes.next("alice"), PLAIN)
    assert list(outcome.accepted) == list(ENVELOPE.recipients)


@pytest.mark.peer("exim")
@pytest.mark.req("RFC3030-2-05", "RFC3030-2-06")
def test_from_exim(flavour: str, content: bytes, exim: Exim, inbox: Inbox) -> None:
    said = Said()
    with serving(flavour, inbox, trace=said) as port:
        send(flavour, exim.port, content, Envelope("ann@a.test", f"bob@{port}.smtp.test"))
        arrival = inbox.next()
    trace_above(arrival.body, content)
    sizes = [int(command.split()[1]) for command in said.commands if command.startswith("BDAT")]
    assert sum(sizes) == len(arrival.body)
    assert "DATA" not in said.commands
    assert len(sizes) > 1 or content != LARGE


@pytest.mark.peer("exim")
def test_last_chunk_of_exim_refused(flavour: str, exim: Exim, inbox: Inbox) -> None:
    inbox.once["DATA"] = Reply(554, "5.6.0", "Not this one")
    with serving(flavour, inbox) as port:
        send(flavour, exim.port, LARGE, Envelope("alice@box.test", f"bob@{port}.smtp.test"))
        report = exim.mailboxes.next("alice")
    assert b"554 5.6.0 Not this one" in report
    assert inbox.empty
