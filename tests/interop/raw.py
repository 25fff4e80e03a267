"""Both sides without our library: a server that keeps what it hears; words for smtplib."""

from __future__ import annotations

import contextlib
import queue
import smtplib
import socketserver
import threading
from collections.abc import Iterator
from itertools import takewhile

from attrs import define, field

from tests.interop.programs import PATIENCE


@define
class Heard:
    """One message: its commands without CRLF; the octets of its chunks, or of its DATA as they
    came, the doubled dots too. The commands of the session stand with its first message."""

    commands: list[str] = field(factory=list)
    octets: bytes = b""

    def parameters(self, verb: str) -> set[str]:
        """What follows the paths of the commands *verb*."""
        own = (line for line in self.commands if line.upper().startswith(verb))
        return {parameter for line in own for parameter in line.partition("> ")[2].split()}

    @property
    def recipients(self) -> list[str]:
        paths = (line[9:] for line in self.commands if line.upper().startswith("RCPT TO:<"))
        return [path.partition(">")[0] for path in paths]


class Ear(socketserver.ThreadingTCPServer):
    """Takes every message, but not for ``refused@``; ``full@`` is refused after the content, in
    LMTP (RFC 2033). *keywords* are what it offers."""

    daemon_threads = True

    def __init__(self, keywords: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.keywords = keywords
        self.messages: queue.Queue[Heard] = queue.Queue()

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port

    def next(self) -> Heard:
        """The next message, waited for."""
        return self.messages.get(timeout=PATIENCE)


@contextlib.contextmanager
def listening(*keywords: str) -> Iterator[Ear]:
    """An :class:`Ear` in a thread."""
    with Ear(["ear.test", *keywords]) as ear, in_thread(ear):
        yield ear


def offered(client: smtplib.SMTP) -> dict[str, str]:
    """The keywords that a server offers, and their parameters."""
    assert client.ehlo()[0] == 250
    return {keyword.upper(): rest for keyword, rest in client.esmtp_features.items()}


def bdat(client: smtplib.SMTP, chunk: bytes, *last: str) -> int:
    """Send a chunk (RFC 3030); the code of the reply, the first of them in LMTP."""
    client.send(" ".join(["BDAT", str(len(chunk)), *last]).encode() + b"\r\n" + chunk)
    return client.getreply()[0]


@contextlib.contextmanager
def in_thread(server: socketserver.BaseServer) -> Iterator[None]:
    """Run *server* in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class _Connection(socketserver.StreamRequestHandler):
    server: Ear
    timeout = PATIENCE

    def handle(self) -> None:
        self.lmtp, self.heard = False, Heard()
        self.say("220 ear.test")
        for line in self.rfile:
            self.heard.commands.append(line.decode().removesuffix("\r\n"))
            self.answer(line.decode().split())

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def answer(self, words: list[str]) -> None:
        match words[0].upper():
            case "EHLO" | "LHLO" as verb:
                self.lmtp = verb == "LHLO"
                *first, last = self.server.keywords
                self.say(*(f"250-{keyword}" for keyword in first), f"250 {last}")
            case "RCPT" if words[1].upper().startswith("TO:<REFUSED@"):
                self.heard.commands.pop()
                self.say("550 5.1.1 No such mailbox")
            case "DATA":
                self.say("354 Go on")
                self.heard.octets = b"".join(takewhile(b".\r\n".__ne__, self.rfile))
                self.end()
            case "BDAT":
                self.heard.octets += self.rfile.read(int(words[1]))
                if words[2:]:
                    self.end()
                else:
                    self.say("250 2.0.0 Go on")
            case "QUIT":
                self.say("221 2.0.0 Bye")
            case _:
                self.say("250 2.0.0 OK")

    def end(self) -> None:
        """Reply to the message: once, or in LMTP once for each recipient."""
        for recipient in self.heard.recipients if self.lmtp else ["all"]:
            full = recipient.startswith("full@")
            self.say("552 5.2.2 Mailbox full" if full else "250 2.0.0 Kept")
        self.server.messages.put(self.heard)
        self.heard = Heard()
