"""smtplib and aiosmtplib: ``peer_client NAME``."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .asking import Work, work_on_request
from .messages import BODY, MEBIBYTE, RECIPIENT, SENDER, big_body

if TYPE_CHECKING:
    import aiosmtplib

HOST = "127.0.0.1"


# -- smtplib -------------------------------------------------------------------------------------


def connect(port: int) -> smtplib.SMTP:
    return smtplib.SMTP(HOST, port, local_hostname="client.example")


def sessions(port: int, count: int) -> None:
    for _ in range(count):
        with connect(port) as client:
            client.sendmail(SENDER, RECIPIENT, BODY)


def session(port: int, count: int) -> None:
    with connect(port) as client:
        for _ in range(count):
            client.sendmail(SENDER, RECIPIENT, BODY)


def big(port: int, count: int) -> None:
    body = big_body(count * MEBIBYTE)
    with connect(port) as client:
        client.sendmail(SENDER, RECIPIENT, body)


def at_once(port: int, count: int) -> None:
    with ThreadPoolExecutor(count) as threads:
        for _ in range(count):
            threads.submit(sessions, port, 1)


def over_tls(port: int, count: int, context: ssl.SSLContext | None = None) -> None:
    for _ in range(count):
        used = context or ssl.create_default_context()
        with smtplib.SMTP_SSL("localhost", port, "client.example", context=used) as client:
            client.ehlo()


def over_tls_with_one_context(port: int, count: int) -> None:
    over_tls(port, count, ssl.create_default_context())


SMTPLIB: Mapping[str, Work] = {
    "C1": sessions,
    "C2": session,
    "C2f": session,
    "C3": big,
    "C4": at_once,
    "TLS": over_tls,
}


# -- aiosmtplib ----------------------------------------------------------------------------------


class Aiosmtplib:
    """What a program does with aiosmtplib. *run* is that of asyncio or uvloop."""

    def __init__(self, run: Any) -> None:
        import aiosmtplib

        self._run = run
        self._make = aiosmtplib.SMTP

    def _client(self, port: int, host: str = HOST, use_tls: bool = False) -> aiosmtplib.SMTP:
        return self._make(
            hostname=host,
            port=port,
            local_hostname="client.example",
            start_tls=False,
            use_tls=use_tls,
        )

    async def sessions(self, port: int, count: int) -> None:
        for _ in range(count):
            async with self._client(port) as client:
                await client.sendmail(SENDER, RECIPIENT, BODY)

    async def session(self, port: int, count: int) -> None:
        async with self._client(port) as client:
            for _ in range(count):
                await client.sendmail(SENDER, RECIPIENT, BODY)

    async def big(self, port: int, count: int) -> None:
        async with self._client(port) as client:
            await client.sendmail(SENDER, RECIPIENT, big_body(count * MEBIBYTE))

    async def at_once(self, port: int, count: int) -> None:
        await asyncio.gather(*[self.sessions(port, 1) for _ in range(count)])

    async def over_tls(self, port: int, count: int) -> None:
        for _ in range(count):
            async with self._client(port, "localhost", use_tls=True) as client:
                await client.ehlo()

    def loads(self) -> Mapping[str, Work]:
        return {
            "C1": self._work(self.sessions),
            "C2": self._work(self.session),
            "C2f": self._work(self.session),
            "C3": self._work(self.big),
            "C4": self._work(self.at_once),
            "TLS": self._work(self.over_tls),
        }

    def _work(self, method: Callable[[int, int], Awaitable[None]]) -> Work:
        return lambda port, count: self._run(method(port, count))


def loads(name: str) -> Mapping[str, Work]:
    """Return what the client called *name* can do."""
    if name == "smtplib":
        return SMTPLIB
    if name == "smtplib-one-context":
        return {"TLS": over_tls_with_one_context}
    if name == "aiosmtplib":
        return Aiosmtplib(asyncio.run).loads()
    import uvloop

    return Aiosmtplib(uvloop.run).loads()


if __name__ == "__main__":
    work_on_request(loads(sys.argv[1]))
