"""Sessions of our client with our server under TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field

from smtpproto import (
    Client,
    ClientConfig,
    Handler,
    ServerConfig,
    Session,
    TLSInfo,
    TLSMode,
    TLSVerify,
)
from smtpproto.client.connection import open_client
from smtpproto.server.dialogue import Dialogue
from smtpproto.testing.simulation import Simulation
from tests.support.certificates import CA, LEAF, NAME, server_context

TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
SERVER_CONTEXT = server_context(LEAF)
MODES = [TLSMode.REQUIRED, TLSMode.IMPLICIT]
SEEDS = range(5)

each_mode = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
each_seed = pytest.mark.parametrize("seed", SEEDS)


@define(eq=False)
class EventRecorder(Handler):
    """Records the hooks that are called, and the session's TLS at each EHLO."""

    events: list[str] = field(factory=list)
    tls_info: list[TLSInfo | None] = field(factory=list)

    def connect(self, session: Session) -> None:
        self.events.append("connect")

    def ehlo(self, session: Session, host: object) -> None:
        self.events.append("hello")
        self.tls_info.append(session.tls)

    def close(self, session: Session) -> None:
        self.events.append("close")


def converse(
    server: ServerConfig,
    client: ClientConfig,
    talk: Callable[[Client], Any],
    *,
    handler: Handler | None = None,
    seed: int = 1,
) -> Dialogue:
    """Run one session, call *talk* when the client is open, and return the server's dialogue."""
    simulation, dialogues = Simulation(seed), list[Dialogue]()
    simulation.listen(25, handler or Handler(), server)

    async def main() -> None:
        async with await open_client(simulation, NAME, 25, client) as opened:
            talk(opened)
            await opened.noop()
            dialogues.append(dialogue_of(simulation))

    simulation.run(main())
    return dialogues[0]


def dialogue_of(simulation: Simulation) -> Dialogue:
    """Return the dialogue of the first conversation of the simulation's servers, which is open."""
    dialogue = simulation.conversations[0]._dialogue
    assert dialogue is not None
    return dialogue


def serving(mode: TLSMode, **options: Any) -> ServerConfig:
    """Return the configuration of a server for clients of *mode*."""
    return ServerConfig(implicit_tls=mode is TLSMode.IMPLICIT, **options)


def do_nothing(_: Client) -> None:
    """Do nothing with the client."""
