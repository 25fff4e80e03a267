"""The server of aiosmtpd, which does not offer PIPELINING."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

from aiosmtpd.controller import Controller

from tests.interop.programs import TIMEOUT, free_port


class AiosmtpdInbox:
    """A handler of aiosmtpd that keeps each message and refuses the recipient ``refused@``."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Any] = queue.Queue()

    async def handle_RCPT(  # noqa: N802 - a name of aiosmtpd
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused@"):
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - a name of aiosmtpd
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        envelope.session = session
        self.messages.put(envelope)
        return "250 OK: queued as 42"

    def next(self) -> Any:
        """Wait for the next message and return it."""
        return self.messages.get(timeout=TIMEOUT)


@contextlib.contextmanager
def aiosmtpd_server(inbox: AiosmtpdInbox, **options: Any) -> Iterator[int]:
    """Run aiosmtpd while the block runs. Return its port."""
    port = free_port()
    controller = Controller(inbox, "127.0.0.1", port, enable_SMTPUTF8=True, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
