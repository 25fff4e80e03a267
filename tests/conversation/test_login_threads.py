"""Hashing for logins runs in a thread, so that other sessions go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio

from smtpproto import BadCredentials, ClientConfig, Handler, ServerConfig, TLSMode
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.server.conversation import Conversation
from smtpproto.testing.script import ScriptedStream
from tests.support.accounts import Accounts
from tests.support.logins import ANN, OFFER, REFUSED, base64
from tests.support.scripted_client import ScriptedClient
from tests.support.scripted_client import octets as lines

T = TypeVar("T")
PLAIN = base64("\0ann\0secret")


class ThreadRuntime(Runtime):
    """Counts the functions that run in a thread."""

    def __init__(self) -> None:
        self.threads = 0

    async def in_thread(self, function: Callable[[], T]) -> T:
        self.threads += 1
        results: list[T] = []
        thread = threading.Thread(target=lambda: results.append(function()))
        thread.start()
        thread.join()
        return results[0]

    async def sleep(self, seconds: float) -> None: ...


def test_a_server_hashes_passwords_in_a_thread() -> None:
    runtime = ThreadRuntime()
    client = ScriptedClient([lines("EHLO a.example", f"AUTH PLAIN {PLAIN}", "QUIT")])
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True)
    run(Conversation(client, Handler(), config, runtime).run())
    assert runtime.threads == 1 and any(line.startswith("235 ") for line in client.lines)


def test_a_client_computes_its_responses_in_a_thread() -> None:
    runtime = ThreadRuntime()
    script = (
        f"{OFFER.format('LOGIN')}C: AUTH LOGIN\nS: 334 \nC: YW5u\n{REFUSED}C: QUIT\nS: 221 bye\n"
    )
    stream = ScriptedStream(script.replace("192.0.2.2", "127.0.0.1"))
    client_config = ClientConfig(login=ANN, login_in_clear=True, tls="none")
    with pytest.raises(BadCredentials):
        run(start_client(runtime, stream, "mx", client_config, TLSMode.NONE))
    assert runtime.threads == 1


def test_logins_do_not_use_up_the_threads_that_a_trio_program_shares() -> None:
    async def main() -> int:
        shared = trio.to_thread.current_default_thread_limiter()
        return await on_trio.Runtime().in_thread(lambda: shared.borrowed_tokens)

    assert trio.run(main) == 0
