"""Delivery to programs, which read the message from their standard input."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from attrs import define, field

from ..delivery.exit_status import exit_reply
from ..delivery.place import Place, Template, are_safe
from ..grammar.address import ForwardPath
from ..grammar.reply import Reply
from ..mail import Source
from ..mta.queue import Message
from ..option_types import require_type
from .deliverers import MOST_SECONDS, NO_MAILBOX, OneByOne, octets_for

__all__ = ["Pipe"]

_NAMES = ("user", "domain", "detail", "recipient", "sender")
_KEPT = 4096  # octets of output that may explain a failure
_MOST_OUTPUT = 1024 * 1024  # octets, after which the program is killed
_LOOK = 0.2  # seconds between looks whether a program has ended that left its output to another
_READ = 64 * 1024

_TOO_LONG = Reply(451, "4.3.0", "The program took too long")
_TOO_MUCH = Reply(451, "4.3.0", "The program wrote too much")
_OPTION = Reply(501, "5.1.3", "The program could take this address for an option")


class Pipe(OneByOne):
    """Delivers to a program: ``Local(Pipe(["/usr/bin/procmail", "-d", "{user}"]))``.

    The program is called for each recipient, never through a shell. Its arguments may have the
    names of :class:`.Place`, ``{recipient}`` and ``{sender}``, which is empty for a report. It runs
    as the user of this process, in the root directory; *environment* has its variables, by default
    only PATH. It reads the message, after Return-Path and Delivered-To, with LF at the ends of
    lines, with *crlf* as they came.

    Its exit status says what came of it: see :func:`.exit_reply`. After *timeout* seconds, and if
    it writes more than 1 MiB, it is killed, with the processes that it has started. POSIX only.
    Raises ValueError for wrong arguments, or a *timeout* of more than 300.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        separator: str = "+",
        timeout: float = 60.0,
        environment: Mapping[str, str] | None = None,
        crlf: bool = False,
    ) -> None:
        if isinstance(arguments, str) or not arguments:
            raise TypeError('arguments must be a list: ["/usr/bin/program", "{user}"]')
        for argument in arguments:
            require_type("each argument", argument, str, "a str")
        if not 0 < timeout <= MOST_SECONDS:
            raise ValueError(f"timeout must be at most {MOST_SECONDS:g} seconds, not {timeout}")
        self._arguments = [Template(it, _NAMES) for it in arguments]
        self.place: Place = Place("", separator)
        self._timeout, self._crlf = timeout, crlf
        path = {"PATH": os.environ.get("PATH", os.defpath)}
        self._environment = path if environment is None else dict(environment)

    def _deliver(self, message: Message, recipient: ForwardPath, content: Source) -> Reply:
        parts = self.place.values(recipient)
        values = {**parts, "recipient": str(recipient), "sender": str(message.sender)}
        used = {name for it in self._arguments for name in it.names}
        if not are_safe(parts, used & {*parts}):
            return NO_MAILBOX
        arguments = [it.fill(values) for it in self._arguments]
        for template, argument in zip(self._arguments, arguments, strict=True):
            if argument.startswith("-") and not template.text.startswith("-"):
                return _OPTION
        octets = octets_for(message, recipient, content, crlf=self._crlf)
        with _started(arguments, self._environment) as process:
            return _Run(process, octets, time.monotonic() + self._timeout).end()


@contextlib.contextmanager
def _started(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own; kill what is left of it. Raises OSError."""
    process = subprocess.Popen(
        [it.encode() for it in arguments],
        bufsize=0,
        cwd="/",
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.returncode is None:  # else its number may be another's
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


@define(eq=False)
class _Run:
    """Writes to a program and reads from it, at the same time."""

    _process: subprocess.Popen[bytes]
    _octets: Iterator[bytes]
    _deadline: float
    _rest: memoryview = field(factory=lambda: memoryview(b""), init=False)
    _output: bytearray = field(factory=bytearray, init=False)
    _written: int = field(default=0, init=False)  # octets of output

    def end(self) -> Reply:
        """Return what came of it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with selectors.DefaultSelector() as selector:
            for pipe, event in ((stdin, selectors.EVENT_WRITE), (stdout, selectors.EVENT_READ)):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, event)
            while selector.get_map() and (left := self._deadline - time.monotonic()) > 0:
                has_ended = self._process.poll() is not None
                ready = selector.select(0 if has_ended else min(left, _LOOK))
                for key, _ in ready:
                    goes_on = self._write(stdin) if key.fileobj is stdin else self._read(stdout)
                    if not goes_on:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
                if has_ended and not ready:
                    break
                if self._written > _MOST_OUTPUT and not has_ended:
                    return _TOO_MUCH
        return self._status()

    def _status(self) -> Reply:
        try:
            status = self._process.wait(max(self._deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return _TOO_LONG
        return exit_reply(status, bytes(self._output))

    def _write(self, stdin: IO[bytes]) -> bool:
        """Write what the pipe takes; return whether there is more to write. A program need not read
        all."""
        if not self._rest:
            piece = next(self._octets, None)
            if piece is None:
                return False
            self._rest = memoryview(piece)
        with contextlib.suppress(BlockingIOError):
            try:
                self._rest = self._rest[os.write(stdin.fileno(), self._rest) :]
            except BrokenPipeError:
                return False
        return True

    def _read(self, stdout: IO[bytes]) -> bool:
        """Read what there is; return whether there may be more."""
        octets = os.read(stdout.fileno(), _READ)
        self._written += len(octets)
        self._output += octets[: _KEPT - len(self._output)]
        return bool(octets)
