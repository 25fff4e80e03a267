"""The options of ``smtpproto send`` that compose a message."""

from __future__ import annotations

import argparse
import sys
from email.message import EmailMessage

from ..adapters.composing import compose
from ..delivery import ExitStatus
from ..errors import GrammarError
from .command_errors import CommandError, UsageError, reading

_NAMES = ("subject", "body", "html", "attach", "inline", "header", "reply_to", "cc", "bcc")


def add_compose_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group(
        "composing",
        "Any of these composes a message instead of reading one; --from and --to then name its "
        "author and recipients, with or without a name: 'Ann Lee <ann@example.org>'.",
    )
    add = group.add_argument
    add("--subject", metavar="TEXT", help="subject, in any language")
    add("--body", metavar="TEXT", help="plain text; - reads standard input, @FILE a file")
    help_ = "the text in HTML; @FILE reads a file. Without --body, plain text is made of it"
    add("--html", metavar="TEXT", help=help_)
    add("--attach", action="append", metavar="FILE", help="attach a file; may be repeated")
    help_ = "file that the HTML shows as cid:CID; may be repeated"
    add("--inline", action="append", metavar="CID=FILE", help=help_)
    help_ = "one more header field; may be repeated"
    add("--header", action="append", metavar="'NAME: VALUE'", help=help_)
    add("--reply-to", action="append", metavar="ADDRESS", help="where answers go")
    add("--cc", action="append", metavar="ADDRESS", help="recipient of a copy; may be repeated")
    help_ = "recipient whom the others do not see; may be repeated"
    add("--bcc", action="append", metavar="ADDRESS", help=help_)


def composes(args: argparse.Namespace) -> bool:
    """Return whether the options compose a message."""
    return any(getattr(args, name) is not None for name in _NAMES)


def compose_from(args: argparse.Namespace) -> EmailMessage:
    """Return the message that the options describe. Raises CommandError."""
    if args.file is not None:
        raise UsageError("a message is read from FILE or composed; omit one of the two")
    if not args.sender or not (args.to or args.cc or args.bcc):
        raise UsageError("a message needs an author and a recipient; add --from and --to")
    attachments, inline = args.attach or [], _pairs(args.inline, "=", "--inline CID=FILE")
    for option, paths in (("--attach", attachments), ("--inline", inline.values())):
        for path in paths:
            with reading(path, option), open(path, "rb"):
                pass
    try:
        return compose(
            args.sender,
            args.to or (),
            cc=args.cc or (),
            bcc=args.bcc or (),
            reply_to=args.reply_to or (),
            subject=args.subject or "",
            text=_text(args.body, "--body"),
            html=_text(args.html, "--html"),
            attachments=attachments,
            inline=inline,
            headers=_pairs(args.header, ":", "--header 'NAME: VALUE'"),
        )
    except GrammarError as error:
        raise UsageError(f"{error}; see: smtpproto send --help") from None
    except ImportError as error:
        raise CommandError(str(error)) from None


def _pairs(texts: list[str] | None, separator: str, usage: str) -> dict[str, str]:
    pairs = dict[str, str]()
    for text in texts or []:
        name, found, value = (it.strip() for it in text.partition(separator))
        if not found:
            raise UsageError(f"there is no {separator!r} in an option; use {usage}")
        if name in pairs:
            raise UsageError(f"{name} is given twice; use {usage} once for each name")
        pairs[name] = value
    return pairs


def _text(value: str | None, option: str) -> str | None:
    """Return the text of an option: itself, a file after ``@``, or standard input for ``-``."""
    if value == "-":
        octets = sys.stdin.buffer.read()
    elif value is not None and value.startswith("@"):
        with reading(value[1:], option), open(value[1:], "rb") as file:
            octets = file.read()
    else:
        return value
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        text = f"the text is not UTF-8: {error}; check: {option}"
        raise CommandError(text, ExitStatus.DATAERR) from None
