"""The fixture that reads a page of the documentation."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from smtpproto.adapters import asyncio_server, blocking, blocking_server
from smtpproto.adapters.listening import Listeners
from smtpproto.adapters.serving import ServerBase
from smtpproto.testing import ReceivedMessage
from tests.pages import mail_host
from tests.pages.loopback import Loopback
from tests.pages.page import Page
from tests.pages.terminal import Screen, Thread

Visit = Callable[[str], Page]


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ReceivedMessage]]:
    """What has arrived at mail.example.org, whose certificate the system trusts."""
    Loopback(monkeypatch)
    ca = tmp_path / "system-ca.pem"
    mail_host.authority().cert_pem.write_to_path(str(ca))
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    with mail_host.running() as messages:
        yield messages


@pytest.fixture
def visit(
    mail: list[ReceivedMessage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Visit]:
    """Return a function that makes a page, by its path in docs/. Its programs end with the test."""
    directory, screen = tmp_path / "here", Screen()
    directory.mkdir()
    modules = set(sys.modules)
    monkeypatch.chdir(directory)
    monkeypatch.syspath_prepend(directory)
    monkeypatch.setattr(logging.root, "handlers", [])  # so that basicConfig has its effect
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    monkeypatch.setattr(threading, "Thread", Thread)
    monkeypatch.setattr(blocking.Runtime, "sleep", AsyncMock())  # after a wrong password
    pages: list[Page] = []

    def make(name: str) -> Page:
        pages.append(Page(name, directory, screen, runner))
        return pages[-1]

    with asyncio.Runner() as runner:
        with _stopping_servers(monkeypatch):
            yield make
        for each in pages:
            for terminal in each.screens:
                terminal.wait()
    for name in set(sys.modules) - modules:
        if str(directory) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@contextmanager
def _stopping_servers(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop the servers of programs that would run until a signal arrives."""
    started: list[ServerBase] = []
    for kind in (asyncio_server.Server, blocking_server.Server):
        patch.setattr(kind, "_listen", _recording(kind._listen, started))
    yield
    for kind in (asyncio_server.Server, blocking_server.Server):  # a slow program may listen now
        patch.setattr(kind, "_listen", _refuse)
    for server in started:
        if isinstance(server, blocking_server.Server):
            server.stop()
        elif isinstance(server, asyncio_server.Server) and not server._loop.is_closed():
            server._loop.call_soon_threadsafe(server._must_stop.set)


def _refuse(server: ServerBase) -> Listeners:
    raise OSError("the test is over")


def _recording(
    listen: Callable[[ServerBase], Listeners], started: list[ServerBase]
) -> Callable[[ServerBase], Listeners]:
    def recording(server: ServerBase) -> Listeners:
        started.append(server)
        return listen(server)

    return recording
