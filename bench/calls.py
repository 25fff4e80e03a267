"""Count the function calls that a message costs, in process: ``python -m bench.calls S2 C2``.

Times differ from run to run. Calls repeat exactly, so the tests can assert them. Each dialogue
runs over a stream that returns prepared octets. Counted is what the library calls, and not what
this file calls. With names of dialogues, the program lists the functions that each one calls.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from concurrent.futures import Future
from types import FrameType
from typing import Any, TypeVar

from attrs import define, field, frozen

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.client import ClientConfig, TLSMode, open_client
from smtpproto.errors import TimedOut
from smtpproto.limits import Limits
from smtpproto.server import Conversation
from smtpproto.server.config import ServerConfig
from smtpproto.server.usage import Usage

T = TypeVar("T")

Calls = Counter[str]
"""How often each function was called."""


# -- counting ------------------------------------------------------------------------------------


def count_calls(function: Callable[[], object]) -> Calls:
    """Return the calls that *function* makes outside of this file.

    Garbage is not collected meanwhile, because finalizers would count too.
    """
    calls: Calls = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_filename == __file__:
            return
        if event == "call":
            calls[_place(frame)] += 1
        elif event == "c_call":
            calls[f"{argument.__qualname__}()  in {_place(frame)}"] += 1

    gc.disable()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def _place(frame: FrameType) -> str:
    file = frame.f_code.co_filename.rpartition("smtpproto/")[2]
    return f"{file}: {frame.f_code.co_qualname}"


def is_profiled() -> bool:
    """Return whether another profiler runs, which would change the counts or lose its own."""
    if sys.getprofile() is not None:
        return True
    if sys.version_info < (3, 12):
        return False
    return any(sys.monitoring.get_tool(number) is not None for number in range(6))


# -- the dialogues -------------------------------------------------------------------------------


@define(eq=False)
class PreparedStream:
    """A stream whose reads return prepared octets, whatever was written before."""

    _reads: deque[bytes]
    written: list[bytes] = field(factory=list, init=False)
    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("127.0.0.1", 49152)

    async def read(self, timeout: float | None) -> bytes:
        if timeout == 0:
            raise TimedOut("nothing has arrived")
        return self._reads.popleft() if self._reads else b""

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written.append(data)

    async def end(self) -> None: ...

    async def close(self) -> None: ...

    def interrupt(self) -> None: ...


class NeverWaiting:
    """A runtime that never suspends. All that it dials is the stream that is passed."""

    def __init__(self, stream: PreparedStream) -> None:
        self._stream = stream

    now = staticmethod(time.monotonic)
    utc = staticmethod(time.time)

    def random(self, size: int) -> bytes:
        return bytes(size)

    async def checkpoint(self) -> None: ...

    async def sleep(self, seconds: float) -> None: ...

    def semaphore(self, number: int) -> Any:
        raise NotImplementedError

    def event(self) -> Any:
        raise NotImplementedError

    def tasks(self) -> Any:
        raise NotImplementedError

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        return await awaitable

    async def finish_within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        return await awaitable

    async def in_thread(self, function: Callable[[], T]) -> T:
        return function()

    async def wait_for(self, future: Future[T]) -> T:
        return future.result()

    def shared(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        return make()

    async def dial(self, *_: object, **options: object) -> PreparedStream:
        return self._stream


def run(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the coroutine suspended")


BODY = b"Subject: hello\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 74 + b"\r\n") * 19
SIZE_AND_BODY = b" SIZE=%d BODY=8BITMIME" % len(BODY)
SERVER = ServerConfig(hostname="mx.example.org", limits=Limits(message_size=None))
CLIENT = ClientConfig(hello="client.example", tls=TLSMode.NONE)
OFFER = (
    b"250-mx.example.org\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n"
    b"250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n"
)
ACCEPTED, REFUSED = b"250 2.1.5 Ok\r\n", b"550 5.1.1 No such user\r\n"


class Accepting(Handler):
    """Accepts every message."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


class RefusingOthers(Accepting):
    """Accepts only the first recipient."""

    _first: ForwardPath | None = None

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if self._first is None:
            self._first = recipient
            return None
        return NO_SUCH_USER


NO_SUCH_USER = Reply(550, "5.1.1", "No such user")


def commands(parameters: bytes = b"", to: int = 1) -> list[bytes]:
    """Return the command lines of a transaction with *to* recipients, up to DATA."""
    rcpts = [b"RCPT TO:<bob%d@example.org>\r\n" % number for number in range(to)]
    return [b"MAIL FROM:<ann@client.example>%b\r\n" % parameters, *rcpts, b"DATA\r\n"]


def one_by_one(parameters: bytes = b"") -> list[bytes]:
    """Return what a client sends for a message if it waits for each reply."""
    return [*commands(parameters), BODY + b".\r\n"]


def in_a_group(to: int = 1) -> list[bytes]:
    """Return what a client sends for a message if it pipelines the commands (RFC 2920)."""
    return [b"".join(commands(to=to)), BODY + b".\r\n"]


def serve(*sessions: list[bytes], handler: Handler | None = None) -> Callable[[], None]:
    """Return a function that serves sessions, each given as what the client sends after EHLO."""
    ends = b"EHLO client.example\r\n", b"QUIT\r\n"
    streams = [PreparedStream(deque([ends[0], *session, ends[1]])) for session in sessions]
    usage = Usage(SERVER.limits)
    chosen = handler or Accepting()

    def serve_all() -> None:
        for stream in streams:
            run(Conversation(stream, chosen, SERVER, NeverWaiting(stream), usage).run())
            assert stream.written[-1].startswith(b"221"), stream.written

    return serve_all


def make_envelope(recipients: int = 1) -> Envelope:
    """Return a new envelope."""
    return Envelope("ann@client.example", [f"bob{n}@example.org" for n in range(recipients)])


def send(
    messages: int, envelope: Callable[[], Envelope], rcpts: bytes = ACCEPTED
) -> Callable[[], None]:
    """Return a function that sends *messages* over one connection.

    It calls *envelope* for each message. *rcpts* are the replies to the RCPT commands of each.
    """
    reads = [b"220 mx.example.org ESMTP\r\n", OFFER]
    for number in range(messages):
        reads.append(b"250 2.1.0 Ok\r\n%b354 End data with <CR><LF>.<CR><LF>\r\n" % rcpts)
        reads.append(b"250 2.0.0 Ok: queued as %05X\r\n" % number)
    stream = PreparedStream(deque([*reads, b"221 2.0.0 Bye\r\n"]))

    async def send_all() -> None:
        client = await open_client(NeverWaiting(stream), "127.0.0.1", 25, CLIENT)
        for _ in range(messages):
            assert (await client.send(BODY, envelope())).accepted
        await client.quit()

    return lambda: run(send_all())


def send_to(recipients: int, rcpt: bytes) -> Callable[[], None]:
    """Return a function that sends a message, and gets *rcpt* for all recipients but the first."""
    envelope = make_envelope(recipients)
    return send(1, lambda: envelope, ACCEPTED + rcpt * (recipients - 1))


def one_after_the_other(functions: list[Callable[[], None]]) -> Callable[[], None]:
    """Return a function that calls all *functions*."""

    def call_all() -> None:
        for function in functions:
            function()

    return call_all


@frozen
class Dialogue:
    """A dialogue whose calls are counted: what one *unit* is, and how to make it with n units."""

    unit: str
    make: Callable[[int], Callable[[], None]]

    def calls(self) -> Calls:
        """Return the calls of a hundred units, without those of the session around them."""
        few, many = self.make(10), self.make(110)
        for size in (10, 110):
            self.make(size)()  # what is cached is in the caches now
        calls = count_calls(many)
        calls.subtract(count_calls(few))
        return +calls


TO_BOB = make_envelope()
DIALOGUES = {
    "S1": Dialogue("server: session of one message", lambda n: serve(*[one_by_one()] * n)),
    "S2": Dialogue("server: message of a session", lambda n: serve(one_by_one() * n)),
    "S2 SIZE BODY": Dialogue(
        "server: message with SIZE and BODY", lambda n: serve(one_by_one(SIZE_AND_BODY) * n)
    ),
    "S2p": Dialogue("server: pipelined message", lambda n: serve(in_a_group() * n)),
    "S7": Dialogue("server: accepted recipient", lambda n: serve(in_a_group(n))),
    "S7 refused": Dialogue(
        "server: refused recipient", lambda n: serve(in_a_group(n), handler=RefusingOthers())
    ),
    "C1": Dialogue(
        "client: session of one message",
        lambda n: one_after_the_other([send(1, lambda: TO_BOB) for _ in range(n)]),
    ),
    "C2": Dialogue("client: message of a session", lambda n: send(n, lambda: TO_BOB)),
    "C2 fresh": Dialogue("client: message with a new envelope", lambda n: send(n, make_envelope)),
    "C7": Dialogue("client: accepted recipient", lambda n: send_to(n, ACCEPTED)),
    "C7 refused": Dialogue("client: refused recipient", lambda n: send_to(n, REFUSED)),
}
UNITS = 100
"""How many units :meth:`Dialogue.calls` counts."""


def listing(calls: Calls) -> str:
    """Return the functions of *calls*, the most frequent first, with their calls for a unit."""
    return "\n".join(f"{number / UNITS:8.2f}  {place}" for place, number in calls.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DIALOGUES))
    names = parser.parse_args().names
    for name, dialogue in DIALOGUES.items():
        if name in names or not names:
            calls = dialogue.calls()
            print(f"{name:13} {calls.total() / UNITS:8.1f}  {dialogue.unit}")
            if names:
                print(listing(calls))


if __name__ == "__main__":
    main()
