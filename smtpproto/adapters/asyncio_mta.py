"""An MTA over asyncio."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Unpack

from ..server.config import ServerOptions
from ..transfer.intake import Intake
from ..transfer.receive import Receiver
from .asyncio_runtime import Runtime
from .asyncio_server import Server, serve
from .listening import HostOption
from .mta_base import AsyncMTA
from .serving import GRACE


class MTA(AsyncMTA):
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
