"""A page of the documentation, read as a reader does who types everything that it shows.

* A ``python`` block runs, with the names of the blocks before it; it may use ``await``. What
  follows ``#`` after a ``print`` is what it prints.
* A block that begins with ``# name.py`` is saved under this name, and does not run.
* An indented ``$ command`` runs in a terminal of its own; the lines below it are its output. A
  server, which prints "listening on", keeps its terminal.
* A fenced block without a language is more output: of the block before it, or of the last server.

Hosts and ports are those of :mod:`tests.pages.loopback`.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.pages import terminal
from tests.pages.terminal import Output, Screen, is_like
from tests.test_public_face import check_imports

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```|((?:^(?:    [^\n]*)?\n)+)", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]+\.\w+)\n")
_PRINTED = re.compile(r"^\s*print\(.*\)\s+# (.*)$", re.MULTILINE)
_LISTENING = "listening on"  # what a server prints, which does not end
_NOT_RUN = ("pip install", "python -m venv", ". ", "sudo ", "systemctl ", "celery ", "uvicorn ")


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield each block of a page, as its language and text; "$" is the language of commands."""
    for language, block, indented in _BLOCK.findall(text):
        if not indented:
            yield language, block
            continue
        for step in re.split(r"^    \$ ", indented, flags=re.MULTILINE)[1:]:
            yield "$", re.sub("^    ", "", step, flags=re.MULTILINE)


@define
class Page:
    """A page that is being read, in *directory*."""

    name: str
    directory: Path
    screen: Screen
    """What the blocks of the page itself print."""
    runner: asyncio.Runner
    names: dict[str, Any] = field(factory=lambda: {"__name__": "page"})
    """What the blocks have defined."""
    files: dict[str, str] = field(factory=dict)
    """What it has saved, by name."""
    screens: list[Screen] = field(factory=list)
    """The terminals, from the first to the last."""
    _running: Screen | None = None  # of the last server
    _shown: str = ""  # by the last block

    @property
    def text(self) -> str:
        """The page as it is written."""
        return (DOCS / self.name).read_text()

    def blocks(self, language: str) -> list[str]:
        """Return the blocks of the page that are in *language*."""
        return [block for its, block in steps(self.text) if its == language]

    def read(self) -> None:
        """Do all that the page says."""
        with self.watching():
            for language, block in steps(self.text):
                self._do(language, block)

    def run_with(self, changes: Mapping[str, str]) -> str:
        """Run the ``python`` blocks of the page with other texts in the place of some; return what
        they print."""
        with self.watching():
            for block in self.blocks("python"):
                for old, new in changes.items():
                    block = block.replace(old, new)  # noqa: PLW2901
                self._run(block)
        return self._shown

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Show what the block prints on :attr:`screen`, and what each program prints on its own."""
        output = Output(self.screen)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            yield

    def _do(self, language: str, block: str) -> None:
        saved = _FILE.match(block)
        if saved and language != "$":
            self._save(saved[1], block)
        elif language == "python":
            self._run(block)
        elif language == "$":
            command, _, output = block.partition("\n")
            self._type(command, output)
        elif not language:
            self._compare(block)

    def _save(self, name: str, block: str) -> None:
        if name.endswith(".py"):
            check_imports(block)
        self.files[name] = block
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block)

    def _run(self, block: str) -> None:
        check_imports(block)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(block, self.name, "exec", flags=flags, dont_inherit=True)
        self.screen.take()
        if code.co_flags & inspect.CO_COROUTINE:
            self.runner.run(_await(code, self.names))
        else:
            exec(code, self.names)
        self._shown = self.screen.take()
        expected = _PRINTED.findall(block)
        if expected:
            assert is_like(self._shown, "\n".join(expected)), self._shown

    def _type(self, command: str, expected: str) -> None:
        if command.startswith(_NOT_RUN):
            return
        screen = terminal.start(command, self.directory)
        self.screens.append(screen)
        if _LISTENING in expected:
            self._running = screen
            shown = screen.read(expected)
        else:
            screen.wait()
            shown = screen.take()
        assert is_like(shown, expected), f"{command} printed\n{shown}"

    def _compare(self, expected: str) -> None:
        if self._running is not None and not self._shown:
            shown = self._running.read(expected)
        else:
            shown, self._shown = self._shown, ""
        assert is_like(shown, expected), shown


async def _await(code: Any, names: dict[str, Any]) -> None:
    await eval(code, names)
