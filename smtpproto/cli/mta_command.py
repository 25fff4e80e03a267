"""``smtpproto mta``: a mail transfer agent, configured by a file."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from ..adapters.asyncio_server import on_signals
from ..errors import SMTPError
from ..grammar.printable import printable
from ..transfer import JSONFormatter
from .command_errors import CommandError, UsageError
from .mta_config import Configuration, read_configuration
from .options import add_json_option
from .terminal import print_json

_log = logging.getLogger("smtpproto.queue")

DESCRIPTION = """Take mail, keep it in a queue, and deliver it to mailboxes here, by MX, or to smart
hosts, as the file says (see docs/howto/mta.md). It prints "listening on HOST port N" when it is
ready, or "delivering" if it takes no mail itself. The first SIGINT or SIGTERM stops it: it takes no
more mail, and gives the messages in progress some time to end; all others stay in the queue. SIGHUP
reads the file and the certificates again. smtpproto queue shows and changes it."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--config", required=True, metavar="FILE", help="the configuration, in TOML")
    add("--check", action="store_true", help="check the file, and do nothing else")
    help_ = "how the log is written: json is one object a line (default: %(default)s)"
    add("--log", choices=("text", "json"), default="text", help=help_)
    add("--quiet", action="store_true", help="log only warnings and errors")
    add_json_option(parser, "with --check: print JSON")


def run(args: argparse.Namespace) -> int:
    """Run until a signal stops it. Return 0."""
    if args.json and not args.check:
        raise UsageError("--json is for --check; for a log in JSON use --log json")
    try:
        configuration = read_configuration(Path(args.config))
    except ImportError as error:
        raise CommandError(str(error)) from None
    if args.check:
        _tell_correct(configuration, args)
        return 0
    _start_log(args)
    asyncio.run(_serve(configuration, Path(args.config)))
    return 0


def _tell_correct(configuration: Configuration, args: argparse.Namespace) -> None:
    if args.json:
        listen = [{"host": it.host, "port": it.port} for it in configuration.listeners]
        print_json({"file": args.config, "correct": True, "listen": listen})
    else:
        print(f"{args.config} is correct")


def _start_log(args: argparse.Namespace) -> None:
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JSONFormatter() if args.log == "json" else text)
    level = logging.WARNING if args.quiet else logging.INFO
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("smtpproto.client").setLevel(logging.WARNING)


async def _serve(configuration: Configuration, path: Path) -> None:
    async with configuration.mta as mail, AsyncExitStack() as stack:
        servers = []
        for it in configuration.listeners:
            serving = mail.serve(it.host, it.port, receiver=it.receiver, **it.options)
            servers.append(await stack.enter_async_context(serving))
        for url in stack.enter_context(configuration.watching.serve(mail)):
            _log.info("serving %s", url)
        with contextlib.suppress(AttributeError, NotImplementedError):  # not on Windows
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, _reload, configuration, path)
        if servers:
            await servers[0].serve_forever(
                lambda _: print(f"listening on {', '.join(map(str, servers))}", flush=True)
            )
        else:
            stopped = asyncio.Event()
            with on_signals(stopped.set):
                print("delivering", flush=True)
                await stopped.wait()


def _reload(configuration: Configuration, path: Path) -> None:
    """Read the file again; if it is wrong, log that, and go on as before."""
    try:
        configuration.renew(read_configuration(path))
    except (CommandError, SMTPError, ImportError, OSError, TypeError, ValueError) as error:
        _log.error("not reloaded, everything stays as it was: %s", printable(str(error)))
    else:
        _log.warning("reloaded %s", path)
