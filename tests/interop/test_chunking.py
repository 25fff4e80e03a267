"""BDAT (RFC 3030): from our clients to Postfix and Exim, and from Exim to our servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smtpproto import Client, Envelope, NotOffered, Outcome, Reply
from smtpproto.mail.planning import BDAT_SIZE
from tests.interop.contents import ALICE, DOTS, EIGHT_BIT, LARGE, PLAIN, TO_ALICE
from tests.interop.exim import Exim
from tests.interop.mailboxes import assert_delivered
from tests.interop.our_client import converse, send
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix
from tests.support.pieces import async_pieces

PIECE = 1000  # octets; some pieces end between CR and LF
TOO_LARGE = 4_000_000  # octets; both servers accept 2,000,000


def content_of_size(size: int) -> bytes:
    """Return content of *size* octets, with dots and octets above 127."""
    whole, rest = divmod(size - len(EIGHT_BIT) - 2, len(DOTS))
    return EIGHT_BIT + DOTS * whole + b"." * rest + b"\r\n"


def pieces(content: bytes) -> Iterator[bytes]:
    """Return *content* in pieces, so that the client does not know its size."""
    return (content[at : at + PIECE] for at in range(0, len(content), PIECE))


class ContentCommands:
    """A trace that records BDAT, DATA, RSET and QUIT."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def __call__(self, side: str, line: str) -> None:
        if side == "C" and line.startswith(("BDAT", "DATA", "RSET", "QUIT")):
            self.commands.append(line)


@pytest.mark.req("RFC3030-2-04")
@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        (BDAT_SIZE - 1, [f"BDAT {BDAT_SIZE - 1} LAST"]),
        (BDAT_SIZE, [f"BDAT {BDAT_SIZE} LAST"]),
        (BDAT_SIZE + 1, [f"BDAT {BDAT_SIZE}", "BDAT 1 LAST"]),  # cut between CR and LF
        (
            5 * BDAT_SIZE + 9,
            [*[f"BDAT {BDAT_SIZE}"] * 5, "BDAT 9 LAST"],
        ),  # more chunks than are in flight
    ],
    ids=["less", "one", "more", "many"],
)
def test_content_of_unknown_size_is_sent_in_chunks(
    adapter: str, size: int, chunks: list[str], mail_server: Postfix | Exim
) -> None:
    content, trace = content_of_size(size), ContentCommands()
    outcome = send(adapter, mail_server.port, pieces(content), TO_ALICE, trace=trace)
    assert_delivered(mail_server.mailboxes.next("alice"), content)
    assert trace.commands == [*chunks, "QUIT"]
    assert list(outcome.accepted) == list(TO_ALICE.recipients)
    assert len(outcome.queue_ids) == 1


@pytest.mark.parametrize(
    ("size", "commands"),
    [(BDAT_SIZE, ["DATA"]), (BDAT_SIZE + 2, [f"BDAT {BDAT_SIZE}", "BDAT 2 LAST"])],
    ids=["DATA", "BDAT"],
)
def test_content_of_known_size_is_sent_by_data_unless_it_is_large(
    adapter: str, size: int, commands: list[str], mail_server: Postfix | Exim
) -> None:
    content, trace = content_of_size(size), ContentCommands()
    send(adapter, mail_server.port, content, TO_ALICE, trace=trace)
    assert_delivered(mail_server.mailboxes.next("alice"), content)
    assert trace.commands == [*commands, "QUIT"]


@pytest.mark.req("RFC3030-2-17")
def test_line_ends_become_crlf_in_chunks(adapter: str, mail_server: Postfix | Exim) -> None:
    """The last line has no line end."""
    content, trace = DOTS.removesuffix(b"\r\n").replace(b"\r\n", b"\n"), ContentCommands()
    send(adapter, mail_server.port, pieces(content), TO_ALICE, trace=trace)
    assert trace.commands == [f"BDAT {len(DOTS)} LAST", "QUIT"]
    assert_delivered(mail_server.mailboxes.next("alice"), DOTS)


def test_several_messages_are_sent_in_one_session(
    adapter: str, mail_server: Postfix | Exim
) -> None:
    contents = [content_of_size(2 * BDAT_SIZE), PLAIN, DOTS, LARGE]

    async def talk(client: Client) -> list[Outcome]:
        first = await client.send(async_pieces(pieces(contents[0])), TO_ALICE)
        return [first, *[await client.send(content, TO_ALICE) for content in contents[1:]]]

    outcomes = converse(adapter, mail_server.port, talk)
    assert len({outcome.queue_ids for outcome in outcomes}) == len(contents)
    delivered = [mail_server.mailboxes.next("alice") for _ in contents]
    for content in contents:
        assert sum(octets.endswith(content) for octets in delivered) == 1


def test_the_size_limit_stops_content_of_unknown_size(
    adapter: str, mail_server: Postfix | Exim
) -> None:
    """No chunk exceeds the limit, because Exim 4.96 takes the rest of such a chunk for commands.

    The server drops the earlier chunks, and the session continues.
    """

    async def talk(client: Client) -> Outcome:
        with pytest.raises(NotOffered, match=str(client.extensions.size)):
            await client.send(pieces(content_of_size(TOO_LARGE)), TO_ALICE)
        return await client.send(PLAIN, TO_ALICE)

    outcome = converse(adapter, mail_server.port, talk)
    assert_delivered(mail_server.mailboxes.next("alice"), PLAIN)
    assert list(outcome.accepted) == list(TO_ALICE.recipients)


@pytest.mark.peer("exim")
@pytest.mark.req("RFC3030-2-05", "RFC3030-2-06")
def test_our_server_accepts_chunks_from_exim(
    adapter: str, content: bytes, exim: Exim, inbox: Inbox
) -> None:
    trace = ContentCommands()
    with serving(adapter, inbox, trace=trace) as port:
        send(adapter, exim.port, content, Envelope("ann@a.test", f"bob@{port}.smtp.test"))
        arrival = inbox.next()
    assert_delivered(arrival.body, content)
    sizes = [int(command.split()[1]) for command in trace.commands if command.startswith("BDAT")]
    assert sum(sizes) == len(arrival.body)
    assert "DATA" not in trace.commands
    assert len(sizes) > 1 or content != LARGE


@pytest.mark.peer("exim")
def test_exim_reports_that_our_server_refused_the_last_chunk(
    adapter: str, exim: Exim, inbox: Inbox
) -> None:
    inbox.replies_once["DATA"] = Reply(554, "5.6.0", "Not this one")
    with serving(adapter, inbox) as port:
        send(adapter, exim.port, LARGE, Envelope(ALICE, f"bob@{port}.smtp.test"))
        report = exim.mailboxes.next("alice")
    assert b"554 5.6.0 Not this one" in report
    assert inbox.empty
