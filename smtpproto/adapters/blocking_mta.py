"""An MTA over blocking sockets, with a thread for each delivery and each connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Self, Unpack

from ..grammar.envelope import Envelope
from ..mail import Source
from ..mta.store import Entry
from ..server.config import ServerOptions
from ..transfer.intake import Intake
from ..transfer.receive import Receiver
from .blocking_runtime import Runtime
from .blocking_server import Server, serve
from .facade import run
from .listening import HostOption
from .mta_base import MTABase
from .serving import GRACE


class MTA(MTABase):
    """A mail transfer agent: it takes mail, keeps it in *queue*, and delivers it.

    ::

        with MTA("mx.example.org", SQLiteQueue("queue.db")) as mail:
            with mail.serve("0.0.0.0", 25):
                name = mail.send(message)
                print(mail.explain(name))

    *hostname* is the name of this server. *routes* say where mail goes, by domain: see
    :class:`.Routes`; the default is to look up the MX of each. Options: see :class:`.MTAConfig`.
    Raises ImportError if the DNS is needed, *resolver* is not given and dnspython is not installed.
    The methods of *queue* are those of the asynchronous MTA: call them with
    :func:`.blocking.run`.
    """

    _runtime_type = Runtime

    def __enter__(self) -> Self:
        """Open the queue, and begin to deliver what is in it. Raises QueueFailed."""
        run(self._start())
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop: wait for the deliveries that run, and close the queue."""
        run(self._stop(*error))

    def serve(
        self,
        host: HostOption = "127.0.0.1",
        port: int = 0,
        *,
        receiver: Callable[[Intake], Receiver] = Receiver,
        grace: float = GRACE,
        **options: Unpack[ServerOptions],
    ) -> AbstractContextManager[Server]:
        """Take mail on *host* and *port* until the block ends.

        *receiver* is :class:`.Receiver` or a subclass with checks of your own; each connection has
        an instance. *grace*: see :meth:`Server.stop`. Options: see
        :class:`.ServerConfig`.
        """
        handler = self._receiver(receiver)
        return serve(handler, host, port, grace=grace, **self._serve_options(options))

    def send(self, message: Source, envelope: Envelope | None = None) -> str:
        """Put *message* into the queue, and return its id. It is durable then.

        Without *envelope*, the header makes one. A message without Date or Message-ID gets them.
        Raises GrammarError, QueueFull and QueueFailed.
        """
        return run(self._running.send(message, envelope))

    def status(self, name: str) -> Entry | None:
        """Return what is known of the message *name*: each recipient with its attempts. None if the
        queue does not remember it."""
        return run(self._running.status(name))

    def explain(self, name: str) -> str | None:
        """Return the story of the message *name* in words; None if the queue does not remember
        it."""
        return run(self._running.explain(name))
