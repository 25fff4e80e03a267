"""Terminals in which the programs of a page run, each in a thread."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path

from smtpproto.cli import main

TIMEOUT = 20.0  # seconds; only a test that fails waits for so long

_REDIRECTIONS = re.compile(r"\s(>>?|<)\s*(\S+)")


class Screen:
    """What a program has written so far."""

    def __init__(self) -> None:
        self._text = ""
        self._changed = threading.Condition()
        self.ended = False

    def write(self, text: str) -> None:
        """Append *text*."""
        with self._changed:
            self._text += text
            self._changed.notify_all()

    def end(self) -> None:
        """Note that the program has ended."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait(self, seconds: float = TIMEOUT) -> None:
        """Wait until the program has ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended, timeout=seconds), self._text

    def take(self) -> str:
        """Return what has been written since the last call."""
        with self._changed:
            text, self._text = self._text, ""
            return text

    def read(self, expected: str) -> str:
        """Return what is on the screen as soon as *expected* is there, or the program has ended."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.ended or is_like(self._text, expected), timeout=TIMEOUT
            )
        return self.take()


_screen: ContextVar[Screen] = ContextVar("screen")


class Output(io.TextIOBase):
    """Standard output and error: each thread and task writes to the screen of its program."""

    def __init__(self, default: Screen) -> None:
        self._default = default

    def write(self, text: str) -> int:
        _screen.get(self._default).write(text)
        return len(text)


class Thread(threading.Thread):
    """A thread that has the screen of the one that started it."""

    def start(self) -> None:
        self.run = partial(copy_context().run, self.run)  # type: ignore[method-assign]
        super().start()


def is_like(text: str, expected: str) -> bool:
    """Return whether *text* is what a page shows, where ``...`` stands for anything."""
    pattern = ".*?".join(map(re.escape, expected.strip().split("...")))
    return re.fullmatch(pattern, _stripped(text), re.DOTALL) is not None


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def start(command: str, directory: Path) -> Screen:
    """Run *command* in a new terminal; return its screen."""
    screen = Screen()

    def run() -> None:
        _screen.set(screen)
        try:
            _run(command, directory, screen)
        except SystemExit:
            pass
        except BaseException:
            screen.write(traceback.format_exc())
        finally:
            screen.end()

    threading.Thread(target=run, name=command, daemon=True).start()
    return screen


def _run(command: str, directory: Path, screen: Screen) -> None:
    words = shlex.split(_REDIRECTIONS.sub("", command))
    program = {"smtpproto": _run_ours, "python": _run_python}.get(words[0])
    if program is None or "|" in words:
        screen.write(_run_in_shell(command, directory))
        return
    with _redirected(command, directory, screen):
        program(words[1:])


def _run_ours(arguments: list[str]) -> None:
    main(arguments)


def _run_python(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        before, sys.argv = sys.argv, arguments[1:]
        try:
            runpy.run_module(arguments[1], run_name="__main__")
        finally:
            sys.argv = before
        return
    [file] = arguments
    code = compile(Path(file).read_text(), file, "exec")
    exec(code, {"__name__": "__main__", "__file__": file})


def _run_in_shell(command: str, directory: Path) -> str:
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.stdout


@contextlib.contextmanager
def _redirected(command: str, directory: Path, screen: Screen) -> Iterator[None]:
    """Let the block read the file after ``<``, and append what it wrote to that after ``>``."""
    targets = dict(_REDIRECTIONS.findall(command))
    before = sys.stdin
    if source := targets.get("<"):
        sys.stdin = open(directory / source, encoding="utf-8")  # noqa: SIM115
    try:
        yield
    finally:
        if source:
            sys.stdin.close()
            sys.stdin = before
    for mark, target in targets.items():
        if mark != "<":
            with open(directory / target, "a" if mark == ">>" else "w", encoding="utf-8") as file:
                file.write(screen.take())
