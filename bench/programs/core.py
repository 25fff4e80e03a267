"""Work without sockets, of floors and peers: ``core NAME``.

P1 answers commands, P2 decodes content, P3 encodes content, P4 reads addresses.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Mapping

from .asking import Work, work_on_request
from .messages import CHUNKS, COMMANDS

ADDRESSES = [f"name.{number}+tag@mail{number}.example.org" for number in range(100)]


def for_each_address(read: Callable[[str], object]) -> Work:
    """Return a load that reads *count* addresses."""

    def work(port: int, count: int) -> None:
        for number in range(count):
            read(ADDRESSES[number % 100])

    return work


def for_each_chunk(encode: Callable[[bytes], object]) -> Work:
    """Return a load that encodes *count* MiB, in slices of 64 KiB."""

    def work(port: int, count: int) -> None:
        for _ in range(count):
            for chunk in CHUNKS:
                encode(chunk)

    return work


def floor() -> Mapping[str, Work]:
    from .floor_server import Canned

    def answer(port: int, count: int) -> None:
        canned = Canned()
        for number in range(count):
            canned.answer(COMMANDS[number % 4])

    def decode(port: int, count: int) -> None:
        canned = Canned()
        canned.in_content = True
        for _ in range(count):
            for chunk in CHUNKS:
                canned.answer(chunk)

    encode = for_each_chunk(lambda chunk: chunk.replace(b"\r\n.", b"\r\n.."))
    pattern = re.compile(r"[^@\s<>]+@[^@\s<>]+")
    return {"P1": answer, "P2": decode, "P3": encode, "P4": for_each_address(pattern.fullmatch)}


def smtplib() -> Mapping[str, Work]:
    import smtplib as library

    quote = library._quote_periods  # type: ignore[attr-defined]
    return {"P3": for_each_chunk(quote), "P4": for_each_address(library.quoteaddr)}


def aiosmtplib() -> Mapping[str, Work]:
    from aiosmtplib import protocol
    from aiosmtplib.email import parse_address

    def encode(chunk: bytes) -> bytes:
        lines: bytes = protocol.LINE_ENDINGS_REGEX.sub(b"\r\n", chunk)
        encoded: bytes = protocol.PERIOD_REGEX.sub(b"..", lines)
        return encoded

    return {"P3": for_each_chunk(encode), "P4": for_each_address(parse_address)}


def aiosmtpd() -> Mapping[str, Work]:
    from aiosmtpd.smtp import SMTP

    server = SMTP(object(), loop=asyncio.new_event_loop())
    return {"P4": for_each_address(lambda address: server._getaddr(f"<{address}>"))}


def email() -> Mapping[str, Work]:
    from email.headerregistry import Address

    return {"P4": for_each_address(lambda address: Address(addr_spec=address))}


LIBRARIES = {
    "floor": floor,
    "smtplib": smtplib,
    "aiosmtplib": aiosmtplib,
    "aiosmtpd": aiosmtpd,
    "email": email,
}

if __name__ == "__main__":
    work_on_request(LIBRARIES[sys.argv[1]]())
