"""Notify somebody by mail: the same on blocking sockets, asyncio and trio.

``python notify.py HOST`` sends one message on each.
"""

from __future__ import annotations

import asyncio
import sys
from email.message import EmailMessage

import trio

import smtpproto.adapters.asyncio
import smtpproto.adapters.blocking
import smtpproto.adapters.trio

SENDER, RECIPIENT = "alerts@example.org", "ann@example.org"


def notice(text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, RECIPIENT, text
    message.set_content(f"{text}\n")
    return message


def notify(text: str, host: str, port: int) -> str:
    return str(smtpproto.adapters.blocking.send(notice(text), host, port))


async def notify_with_asyncio(text: str, host: str, port: int) -> str:
    return str(await smtpproto.adapters.asyncio.send(notice(text), host, port))


async def notify_with_trio(text: str, host: str, port: int) -> str:
    return str(await smtpproto.adapters.trio.send(notice(text), host, port))


def main(host: str = "localhost", port: int = 2525) -> None:
    print(notify("The backup is done", host, port))
    print(asyncio.run(notify_with_asyncio("The disk is full", host, port)))
    print(trio.run(notify_with_trio, "The disk has room again", host, port))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost")
