"""``smtpproto record``: record the sessions of two programs, as a proxy between them."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from typing import TextIO

from ..testing.recording_proxy import RecordingProxy
from ..testing.transcript import Transcript
from .command_errors import writing
from .options import add_json_option
from .options import port as port_number
from .terminal import print_json_line

DESCRIPTION = """Record SMTP sessions as readable text: stand between a client and a server as a
proxy. Configure the client to connect to LISTEN instead of TARGET. Each session is printed when it
ends; Ctrl-C stops. Secrets of AUTH are masked; the content of messages is recorded, unless --short
leaves it out. Of what TLS encrypts, only the size is recorded."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    help_ = "where the client connects, for example 2525 or 127.0.0.1:2525; port 0 finds a free one"
    add("listen", metavar="LISTEN", type=_listen, help=help_)
    help_ = "the server, for example mail.example.org:25 or [::1]:2525"
    add("target", metavar="TARGET", type=_address, help=help_)
    add("-o", "--output", metavar="FILE", help="file to write to (default: standard output)")
    add("--short", action="store_true", help="leave out the content of messages, but for its size")
    add_json_option(parser, "print one line of JSON for each session")
    add("--sessions", type=_count, metavar="N", help="stop after N sessions")


def run(args: argparse.Namespace) -> int:
    """Record until the sessions are over, or until SIGINT. Return 0."""
    if args.output is None:
        return _record(args, sys.stdout)
    with writing(args.output, "--output"):
        file = open(args.output, "w", encoding="utf-8", opener=_open_privately)  # noqa: SIM115
    with file:
        return _record(args, file)


def _record(args: argparse.Namespace, file: TextIO) -> int:
    with suppress(KeyboardInterrupt):  # the usual end
        asyncio.run(_serve(args, file))
    return 0


async def _serve(args: argparse.Namespace, file: TextIO) -> None:
    count, over = 0, asyncio.Event()

    def show(transcript: Transcript) -> None:
        nonlocal count
        count += 1
        shown = transcript.shortened() if args.short else transcript
        if args.json:
            print_json_line({"session": count, "lines": str(shown).splitlines()}, file)
        else:
            print(f"*: session {count}\n{shown}", file=file, flush=True)
        if count == args.sessions:
            over.set()

    host, port = args.listen
    async with RecordingProxy(*args.target, host=host, port=port, on_session=show) as proxy:
        print(f"listening on {proxy.host} port {proxy.port}", file=sys.stderr, flush=True)
        await over.wait()


def _open_privately(path: str, flags: int) -> int:
    """Open a file that only its owner can read: there may be private mail in it."""
    return os.open(path, flags, 0o600)


def _listen(text: str) -> tuple[str, int]:
    return _address(text if ":" in text else f"127.0.0.1:{text}")


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise argparse.ArgumentTypeError(f"not HOST:PORT: {text!r}; use mail.example.org:25")
    return host.removeprefix("[").removesuffix("]"), port_number(port)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"not a number of sessions: {text!r}; use 1 or more")
    return int(text)
