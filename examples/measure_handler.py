"""Measure the CPU time that a server needs for a message: with your handler, and with none.

Each server runs in a process of its own, so the time of the client is not counted. Rounds alternate
between the two, and the result is the median, because single measurements differ by a third.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from multiprocessing.connection import Connection
from statistics import median

from smtpproto import Envelope, Handler, Session
from smtpproto.adapters.blocking import connect, serve

MESSAGE = b"Subject: hello\r\n\r\n" + b"How are you?\r\n" * 100
ENVELOPE = Envelope("ann@example.org", "bob@example.org")


class Nothing(Handler):
    """Accepts every message."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


class YourHandler(Handler):
    """Reads the header of every message."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        message = message_from_bytes(body, policy=policy.default)
        message["Subject"]


def serve_in_process(make: Callable[[], Handler], pipe: Connection) -> None:
    """Serve until something arrives from *pipe*; answer it with the CPU time used meanwhile."""
    with serve(make()) as server:
        pipe.send(server.port)
        pipe.recv()
        before = time.process_time()
        pipe.send(None)
        pipe.recv()
        pipe.send(time.process_time() - before)


def cost(make: Callable[[], Handler], messages: int) -> float:
    """Return the seconds of CPU time that a server needs for each of *messages*."""
    context = multiprocessing.get_context("spawn")
    pipe, its_pipe = context.Pipe()
    process = context.Process(target=serve_in_process, args=(make, its_pipe), daemon=True)
    process.start()
    with connect("127.0.0.1", pipe.recv()) as client:
        client.send(MESSAGE, ENVELOPE)  # what happens only once is not measured
        pipe.send("begin")
        pipe.recv()
        for _ in range(messages):
            client.send(MESSAGE, ENVELOPE)
        pipe.send("end")
        used: float = pipe.recv()
    process.join()
    return used / messages


def main(messages: int = 500, rounds: int = 5) -> None:
    costs: dict[type[Handler], list[float]] = {Nothing: [], YourHandler: []}
    for _ in range(rounds):
        for make, measured in costs.items():
            measured.append(cost(make, messages))
    for make, measured in costs.items():
        print(f"{make.__name__}: {median(measured) * 1e6:.0f} us of CPU a message")


if __name__ == "__main__":
    main()
