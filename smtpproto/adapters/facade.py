"""Clients and pools without ``await``, for who has no event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from ..client import Client as AsyncClient
from ..client import Pool as AsyncPool
from ..commands import Command
from ..errors import LocalProtocolError
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.reply import Reply
from ..mail import Plan, Source
from ..outcome import Outcome
from ..sasl import Credential
from ..tls.filter import TLSInfo

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* to its end, which it reaches without suspending: see ``ports``."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise LocalProtocolError("with blocking sockets nothing may be awaited that suspends")


class Client:
    """:class:`smtpproto.client.Client` without ``await``."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def greeting(self) -> Reply:
        return self._client.greeting

    @property
    def extensions(self) -> Extensions:
        return self._client.extensions

    @property
    def tls(self) -> TLSInfo | None:
        return self._client.tls

    @property
    def tls_refused(self) -> Reply | None:
        return self._client.tls_refused

    @property
    def usable(self) -> bool:
        return self._client.usable

    def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        return run(self._client.send(message, envelope))

    def login(self, login: Credential | tuple[str, str]) -> None:
        run(self._client.login(login))

    def noop(self) -> Reply:
        return run(self._client.noop())

    def rset(self) -> Reply:
        return run(self._client.rset())

    def plan(self, message: Source, envelope: Envelope | None = None) -> Plan:
        return self._client.plan(message, envelope)

    def vrfy(self, name: str, *, smtputf8: bool = False) -> Reply:
        return run(self._client.vrfy(name, smtputf8=smtputf8))

    def expn(self, name: str, *, smtputf8: bool = False) -> Reply:
        return run(self._client.expn(name, smtputf8=smtputf8))

    def etrn(self, node: str) -> Reply:
        return run(self._client.etrn(node))

    def command(self, command: Command) -> Reply:
        return run(self._client.command(command))

    def help(self, topic: str = "") -> Reply:
        return run(self._client.help(topic))

    def quit(self) -> None:
        run(self._client.quit())

    def close(self) -> None:
        run(self._client.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run(self._client.__aexit__(kind, error, traceback))


class Pool:
    """:class:`smtpproto.client.Pool` without ``await``, for any number of threads."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool

    def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        return run(self._pool.send(message, envelope))

    def close(self) -> None:
        run(self._pool.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
