"""Manual pages of the commands, from their parsers, in the macros of man(7)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator

from smtpproto import __version__
from smtpproto.cli import COMMANDS, make_parser

from .commands_page import help_of, parts_of, value_of

_SUMMARY = "send, receive, deliver and examine mail over SMTP"
_ROW = re.compile(r" +(\S+) {2,}(\S.*)")  # of the text below the help


def pages() -> dict[str, str]:
    """Return the pages by their file names: one for each command, and one for all."""
    parser = make_parser(COMMANDS)
    commands = {name: part for action in parser._actions for name, part in parts_of(action)}
    all_pages = {"smtpproto": _page(parser, _SUMMARY, [*_text_after_help(parser.epilog or "")])}
    for name, part in commands.items():
        status = ["Statuses are those of sysexits.h;", ".BR smtpproto (1)", "lists them."]
        all_pages[f"smtpproto-{name}"] = _page(
            part, COMMANDS[name][1], [".SH EXIT STATUS", *status]
        )
    return {
        f"{name}.1": "\n".join([*lines, *_see_also(name, all_pages)]) + "\n"
        for name, lines in all_pages.items()
    }


def _page(parser: argparse.ArgumentParser, summary: str, ending: list[str]) -> list[str]:
    name = parser.prog.replace(" ", "-")
    return [
        f'.TH {_escape(name.upper())} 1 "" "smtpproto {__version__}" "User Commands"',
        ".nh",  # options must stay whole
        ".ad l",
        ".SH NAME",
        f"{_escape(name)} \\- {_escape(summary)}",
        ".SH SYNOPSIS",
        *_synopsis(parser),
        ".SH DESCRIPTION",
        *_text(parser.description),
        *_options(parser),
        *_actions(parser),
        *ending,
    ]


def _synopsis(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the usage, which may break between options, as argparse words it."""
    words = " ".join(parser.format_usage().split()).removeprefix(f"usage: {parser.prog} ")
    yield f".B {_escape(parser.prog)}"
    for word in re.findall(r"\[.*?\](?= |$)|\S+", words):
        yield _escape(word)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options and arguments, by the groups of the help."""
    for group in parser._action_groups:
        actions = [it for it in group._group_actions if it.help and not [*parts_of(it)]]
        if not actions:
            continue
        usual = {"positional arguments": "arguments"}
        title = str(group.title)
        yield f".SH {_escape(usual.get(title, title).upper())}"
        yield from _text(group.description)
        for action in actions:
            yield from _item(_names(action), help_of(action))


def _names(action: argparse.Action) -> str:
    """Return the first line of an entry: its names in bold, and its value in italics."""
    names = ", ".join(f"\\fB{_escape(name)}\\fR" for name in action.option_strings)
    value = value_of(action)
    return " ".join(filter(None, [names, f"\\fI{_escape(value)}\\fR" if value else ""]))


def _actions(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield what the parser of a command knows of commands of its own."""
    for action in parser._actions:
        parts = dict(parts_of(action))
        if not parts:
            continue
        yield f".SH {'COMMANDS' if parser.prog == 'smtpproto' else 'ACTIONS'}"
        for name, part in parts.items():
            if parser.prog == "smtpproto":
                yield from _item(f"\\fB{_escape(name)}\\fR", COMMANDS[name][1])
                continue
            yield f".SS {_escape(name)}"
            yield from _text(part.description)
            for its in part._actions:
                if its.dest != "help":
                    yield from _item(_names(its), help_of(its))


def _text_after_help(text: str) -> Iterator[str]:
    """Yield paragraphs, of which those that begin with ``head:`` are sections with a list."""
    for paragraph in text.split("\n\n"):
        head, *rows = paragraph.splitlines()
        if not rows:
            yield from [".PP", _escape(head)]
            continue
        title, _, more = head.removesuffix(":").partition(", ")
        yield f".SH {_escape(title.upper())}"
        if more:
            yield f"{_escape(more[:1].upper() + more[1:])}:"
        for row in rows:
            found = _ROW.fullmatch(row)
            assert found is not None, f"not a name and a text: {row!r}"
            yield from _item(f"\\fB{_escape(found[1])}\\fR", found[2])


def _see_also(name: str, names: Iterable[str]) -> Iterator[str]:
    others = [it for it in names if it != name] if name == "smtpproto" else ["smtpproto"]
    yield ".SH SEE ALSO"
    for number, other in enumerate(others, 1):
        yield f".BR {_escape(other)} (1){',' if number < len(others) else ''}"


def _item(name: str, text: str) -> Iterator[str]:
    yield from [".TP", name, *_text(text)]


def _text(text: str | None) -> list[str]:
    """Return *text* as lines of a paragraph."""
    words = " ".join((text or "").split())
    return [_escape(line) for line in re.split(r"(?<=[.;:]) (?=[A-Z])", words)] if words else []


def _escape(text: str) -> str:
    """Return *text* so that roff prints it as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    escaped = escaped.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
