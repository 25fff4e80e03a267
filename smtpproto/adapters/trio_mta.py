"""An MTA over trio."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, Unpack

from ..grammar.envelope import Envelope
from ..mail import Source
from ..mta.store import Entry
from ..server.config import ServerOptions
from ..transfer.intake import Intake
from ..transfer.receive import Receiver
from .listening import HostOption
from .mta_base import MTABase
from .serving import GRACE
from .trio_runtime import Runtime
from .trio_server import Server, serve


class MTA(MTABase):
    """A mail transfer agent: it takes mail, keeps it in *queue*, and delivers it.

    ::

        async with MTA("mx.example.org", SQLiteQueue("queue.db")) as mail:
            async with mail.serve("0.0.0.0", 25):
                name = await mail.send(message)
                print(await mail.explain(name))

    *hostname* is the name of this server. *routes* say where mail goes, by domain: see
    :class:`.Routes`; the default is to look up the MX of each. Options: see :class:`.MTAConfig`.
    Raises ImportError if the DNS is needed, *resolver* is not given and dnspython is not installed.
    """

    _runtime_type = Runtime

    async def __aenter__(self) -> Self:
        """Open the queue, and begin to deliver what is in it. Raises QueueFailed."""
        await self._start()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Stop: deliveries that run have *grace* seconds to end. Then close the queue."""
        await self._stop(*error)

    def serve(
        self,
        host: HostOption = "127.0.0.1",
        port: int = 0,
        *,
        receiver: Callable[[Intake], Receiver] = Receiver,
        grace: float = GRACE,
        **options: Unpack[ServerOptions],
    ) -> AbstractAsyncContextManager[Server]:
        """Take mail on *host* and *port* until the block ends.

        *receiver* is :class:`.Receiver` or a subclass with checks of your own; each connection has
        an instance. *grace*: see :meth:`Server.stop`. Options: see
        :class:`.ServerConfig`.
        """
        handler = self._receiver(receiver)
        return serve(handler, host, port, grace=grace, **self._serve_options(options))

    async def send(self, message: Source, envelope: Envelope | None = None) -> str:
        """Put *message* into the queue, and return its id. It is durable then.

        Without *envelope*, the header makes one. A message without Date or Message-ID gets them.
        Raises GrammarError, QueueFull and QueueFailed.
        """
        return await self._running.send(message, envelope)

    async def status(self, name: str) -> Entry | None:
        """Return what is known of the message *name*: each recipient with its attempts. None if the
        queue does not remember it."""
        return await self._running.status(name)

    async def explain(self, name: str) -> str | None:
        """Return the story of the message *name* in words; None if the queue does not remember
        it."""
        return await self._running.explain(name)
