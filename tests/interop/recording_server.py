"""A server without our library, which records the commands and the content that it receives."""

from __future__ import annotations

import contextlib
import queue
import socketserver
import threading
from collections.abc import Iterator
from itertools import takewhile

from attrs import define, field

from tests.interop.programs import TIMEOUT


@define
class ReceivedMessage:
    """The commands of one message, without CRLF, and the octets of its chunks or of DATA.

    After DATA, the octets still have their doubled dots. The first message of a session also has
    the commands before it.
    """

    commands: list[str] = field(factory=list)
    octets: bytes = b""

    def parameters(self, verb: str) -> set[str]:
        """Return all parameters of the commands with this verb, MAIL or RCPT."""
        lines = (line for line in self.commands if line.upper().startswith(verb))
        return {parameter for line in lines for parameter in line.partition("> ")[2].split()}

    @property
    def recipients(self) -> list[str]:
        """The recipients of the accepted RCPT commands."""
        paths = (line[9:] for line in self.commands if line.upper().startswith("RCPT TO:<"))
        return [path.partition(">")[0] for path in paths]


class RecordingServer(socketserver.ThreadingTCPServer):
    """A server that offers *keywords* and accepts every message. It refuses the recipient
    ``refused@``; in LMTP (RFC 2033) it refuses the message for ``full@``."""

    daemon_threads = True

    def __init__(self, keywords: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.keywords = keywords
        self.messages: queue.Queue[ReceivedMessage] = queue.Queue()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self.server_address[1]
        return port

    def next(self) -> ReceivedMessage:
        """Wait for the next message and return it."""
        return self.messages.get(timeout=TIMEOUT)


@contextlib.contextmanager
def recording_server(*keywords: str) -> Iterator[RecordingServer]:
    """Run a recording server, in a thread, while the block runs."""
    with RecordingServer(["recorder.test", *keywords]) as server, in_thread(server):
        yield server


@contextlib.contextmanager
def in_thread(server: socketserver.BaseServer) -> Iterator[None]:
    """Run *server* in a thread while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class _Connection(socketserver.StreamRequestHandler):
    server: RecordingServer
    timeout = TIMEOUT

    def handle(self) -> None:
        self.lmtp, self.message = False, ReceivedMessage()
        self.reply("220 recorder.test")
        for line in self.rfile:
            self.message.commands.append(line.decode().removesuffix("\r\n"))
            self.handle_command(line.decode().split())

    def reply(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def handle_command(self, words: list[str]) -> None:
        match words[0].upper():
            case "EHLO" | "LHLO" as verb:
                self.lmtp = verb == "LHLO"
                *first, last = self.server.keywords
                self.reply(*(f"250-{keyword}" for keyword in first), f"250 {last}")
            case "RCPT" if words[1].upper().startswith("TO:<REFUSED@"):
                self.message.commands.pop()
                self.reply("550 5.1.1 No such mailbox")
            case "DATA":
                self.reply("354 Go on")
                self.message.octets = b"".join(takewhile(b".\r\n".__ne__, self.rfile))
                self.end_message()
            case "BDAT":
                self.message.octets += self.rfile.read(int(words[1]))
                if words[2:]:
                    self.end_message()
                else:
                    self.reply("250 2.0.0 Go on")
            case "QUIT":
                self.reply("221 2.0.0 Bye")
            case _:
                self.reply("250 2.0.0 OK")

    def end_message(self) -> None:
        """Reply to the message: once, or once for each recipient in LMTP."""
        for recipient in self.message.recipients if self.lmtp else ["all"]:
            full = recipient.startswith("full@")
            self.reply("552 5.2.2 Mailbox full" if full else "250 2.0.0 Kept")
        self.server.messages.put(self.message)
        self.message = ReceivedMessage()
