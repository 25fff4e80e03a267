"""The loads: what servers and clients have to do while their CPU time is measured."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Sequence, Set

from attrs import field, frozen

from .generator import Lane, Step, lanes, say_all
from .processes import WORKING, BenchError, find
from .programs.messages import BODY, MEBIBYTE, RECIPIENT, SENDER, big_body

SMTP_SOURCE = find("smtp-source")
LANES = 10
"""Sessions at a time, where a load has several."""

Run = Callable[[Sequence[Lane], int, int], float]
"""Does *count* times what the load is, over the connections or to the port; returns the units."""


@frozen
class Load:
    """One load: its name, its title in the report, and the unit that the CPU time is divided by."""

    name: str
    title: str
    unit: str = "message"
    least: int = 1
    """The lowest count that makes sense."""
    most: int = 100_000
    """The highest count."""

    def concerns(self, can: Set[str]) -> bool:
        """Return whether a contender that can do *can* has a part in it at all."""
        return True

    def unfit(self, can: Set[str]) -> str | None:
        """Return what a contender that can do *can* lacks, or None."""
        return None


@frozen
class ServerLoad(Load):
    """A load that this process puts on a server: *run*, over as many connections as *lanes*."""

    run: Run = field(kw_only=True)
    lanes: int = 0
    mode: str = "whole"
    """How our servers take a message: whole, or to a sink that discards it."""
    needs: str | None = None
    """What not every server offers: tls, bdat."""

    def unfit(self, can: Set[str]) -> str | None:
        return f"has no {self.needs.upper()}" if self.needs and self.needs not in can else None


@frozen
class ClientLoad(Load):
    """A load that a client puts on a sink."""

    sink: str | None = "smtp-sink"
    """The server that clients send to, or None for work without sockets."""

    def concerns(self, can: Set[str]) -> bool:
        return self.name in can


# -- dialogues -----------------------------------------------------------------------------------


def commands(parameters: str = "", recipients: int = 1) -> list[bytes]:
    """Return the commands of a message, up to DATA."""
    paths = [RECIPIENT] if recipients == 1 else [f"bob{n}@example.org" for n in range(recipients)]
    lines = [f"MAIL FROM:<{SENDER}>{parameters}", *[f"RCPT TO:<{path}>" for path in paths], "DATA"]
    return [line.encode() + b"\r\n" for line in lines]


def one_by_one(parameters: str = "") -> list[Step]:
    """Return a message whose commands each wait for the reply to the one before."""
    return [*[(line, 1) for line in commands(parameters)], (BODY + b".\r\n", 1)]


def in_a_group(recipients: int = 1) -> list[Step]:
    """Return a message whose commands leave in one write (RFC 2920)."""
    lines = commands(recipients=recipients)
    return [(b"".join(lines), len(lines)), (BODY + b".\r\n", 1)]


def by_data(content: bytes) -> list[Step]:
    """Return a message sent by DATA."""
    lines = commands()
    return [(b"".join(lines), len(lines)), (content + b".\r\n", 1)]


def by_bdat(content: bytes) -> list[Step]:
    """Return a message sent by BDAT, in chunks of 1 MiB."""
    lines = commands()[:-1]
    chunks = [content[at : at + MEBIBYTE] for at in range(0, len(content), MEBIBYTE)]
    ends = [b"" for _ in chunks[:-1]] + [b" LAST"]
    return [
        (b"".join(lines), len(lines)),
        *[(b"BDAT %d%b\r\n%b" % (len(c), end, c), 1) for c, end in zip(chunks, ends, strict=True)],
    ]


# -- what a load does ----------------------------------------------------------------------------


def repeat(steps: Sequence[Step], units: float = 1) -> Run:
    """Return a load that takes *steps* again and again in sessions that stay open."""

    def run(opened: Sequence[Lane], port: int, count: int) -> float:
        times = max(count // len(opened), 1)
        for _ in range(times):
            say_all(opened, steps)
        return times * len(opened) * units

    return run


def one_each(opened: Sequence[Lane], port: int, count: int) -> float:
    """Send one message in each session."""
    for _ in range(count // LANES):
        with lanes(port, LANES) as several:
            say_all(several, one_by_one())
            for lane in several:
                lane.quit()
    return count // LANES * LANES


def by_smtp_source(*options: str) -> Run:
    """Return a load that Postfix's smtp-source sends, which is faster than this process."""

    def run(opened: Sequence[Lane], port: int, count: int) -> float:
        numbers = "-s", str(LANES), "-l", str(len(BODY)), "-m", str(count)
        command = [str(SMTP_SOURCE), *options, *numbers, "-f", SENDER, "-t", RECIPIENT]
        done = subprocess.run(
            [*command, f"127.0.0.1:{port}"], capture_output=True, timeout=WORKING, check=False
        )
        if done.returncode:
            raise BenchError(done.stderr.decode().strip())
        return count

    return run


def over_tls(opened: Sequence[Lane], port: int, count: int) -> float:
    """Send one message in each session, after STARTTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(count):
        with lanes(port, 1) as several:
            several[0].start_tls(context)
            say_all(several, one_by_one())
            several[0].quit()
    return count


def _by_smtp_source() -> list[ServerLoad]:
    title, source = "messages of a session", "sent by smtp-source"
    return [
        ServerLoad(
            "S1",
            f"a session of one message, {source}",
            "session",
            run=by_smtp_source(),
            least=2 * LANES,
        ),
        ServerLoad("S2", f"{title}, {source}", run=by_smtp_source("-d"), least=5 * LANES),
    ]


def _by_this_process() -> list[ServerLoad]:
    return [
        ServerLoad("S1", "a session of one message", "session", run=one_each, least=LANES),
        ServerLoad(
            "S2", "messages of a session", run=repeat(one_by_one()), lanes=LANES, least=2 * LANES
        ),
    ]


def server_loads(big: int) -> list[ServerLoad]:
    """Return the loads of servers; a big message has *big* MiB."""
    return [
        *(_by_smtp_source() if SMTP_SOURCE else _by_this_process()),
        ServerLoad(
            "S2x",
            "messages with SIZE= and BODY=",
            run=repeat(one_by_one(f" SIZE={len(BODY)} BODY=8BITMIME")),
            lanes=LANES,
            least=2 * LANES,
        ),
        ServerLoad(
            "S2p", "pipelined messages", run=repeat(in_a_group()), lanes=LANES, least=2 * LANES
        ),
        ServerLoad(
            "S3",
            f"{big} MiB by DATA, to a sink",
            "MiB",
            run=repeat(by_data(big_body(big * MEBIBYTE)), big),
            lanes=1,
            mode="sink",
            most=20,
        ),
        ServerLoad(
            "S4",
            f"{big} MiB by BDAT, to a sink",
            "MiB",
            run=repeat(by_bdat(big_body(big * MEBIBYTE)), big),
            lanes=1,
            mode="sink",
            needs="bdat",
            most=20,
        ),
        ServerLoad(
            "S7", "100 pipelined recipients", run=repeat(in_a_group(100)), lanes=LANES, least=LANES
        ),
        ServerLoad("S8", "a session with STARTTLS", "session", run=over_tls, needs="tls", least=5),
    ]


def client_loads(big: int) -> list[ClientLoad]:
    """Return the loads of clients; a big message has *big* MiB."""
    return [
        ClientLoad("C1", "a session of one message", "session", least=5),
        ClientLoad("C2", "messages of a session", least=20),
        ClientLoad("C2f", "messages with new envelopes", least=20),
        ClientLoad("C3", f"{big} MiB by DATA", "MiB", least=big, most=big),
        ClientLoad("C4", "100 sends at once", "session", least=100, most=100),
        ClientLoad("TLS", "connect over TLS", "connection", sink="floor-tls", least=3),
    ]


CORE_LOADS = [
    ClientLoad("P1", "read and answer a command", "command", least=1000, most=10**6, sink=None),
    ClientLoad("P2", "decode the content of DATA", "MiB", least=5, most=10**4, sink=None),
    ClientLoad("P3", "encode content for DATA", "MiB", least=5, most=10**4, sink=None),
    ClientLoad("P4", "read an address", "address", least=1000, most=10**6, sink=None),
]
"""Work without sockets, on content in lines of 76 octets and slices of 64 KiB."""
