"""The page docs/reference/cli.md: the commands and their options, from their parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from smtpproto.cli import COMMANDS, make_parser

from .markdown import table

HEAD = """# Command line

Written by `nox -s tables`; do not edit.

`smtpproto` is installed with the package; `python -m smtpproto` is the same. Some commands need
extras, and name the extra if it is missing; `pip install "smtpproto-sansio[all]"` installs all.

"""


def page() -> str:
    """Return the page."""
    parser = make_parser(COMMANDS)
    parts = {name: part for action in parser._actions for name, part in parts_of(action)}
    lines = [
        HEAD.rstrip("\n"),
        "",
        *table(
            ("command", "what it does"),
            ((f"[`{name}`](#smtpproto-{name})", text) for name, (_, text) in COMMANDS.items()),
        ),
        "",
        *_options(parser),
        "",
        *(f"    {line}".rstrip() for line in (parser.epilog or "").splitlines()),
    ]
    for name in COMMANDS:
        lines += ["", *_section(parts[name])]
    return "\n".join(lines).rstrip() + "\n"


def parts_of(action: argparse.Action) -> Iterable[tuple[str, argparse.ArgumentParser]]:
    """Return the parsers of commands that *action* has, by their names."""
    return action.choices.items() if isinstance(action, argparse._SubParsersAction) else ()


def _section(parser: argparse.ArgumentParser, level: int = 2) -> Iterator[str]:
    yield f"{'#' * level} {parser.prog}"
    yield ""
    yield _sentence(parser.description or "")
    yield ""
    yield f"    {_usage(parser)}"
    if rows := [*_options(parser)]:
        yield ""
        yield from rows
    for action in parser._actions:
        for _, part in parts_of(action):
            yield ""
            yield from _section(part, level + 1)


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the synopsis: the name, and what the user must or may add."""
    words = [parser.prog]
    if any(action.option_strings for action in parser._actions):
        words.append("[options]")
    for action in parser._actions:
        if not action.option_strings:
            value = value_of(action)
            optional = action.nargs in ("?", "*")
            words.append(f"[{value}]" if optional else value)
    return " ".join(words)


def value_of(action: argparse.Action) -> str:
    """Return the placeholder of the value of *action*, or "" if it takes none."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None and not [*parts_of(action)]:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return (action.dest if not action.option_strings else action.dest.rpartition(".")[2]).upper()


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or [*parts_of(action)] or action.dest == "help":
            continue
        names = action.option_strings or [value_of(action)]
        shown = " ".join(filter(None, [", ".join(names), value_of(action)]))
        name = f"`{shown if action.option_strings else value_of(action)}`"
        rows.append((name, help_of(action)))
    yield from table(("option", "what"), rows) if rows else ()


def help_of(action: argparse.Action) -> str:
    """Return the help text with its default."""
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    text = " ".join(text.split())
    return f"{text} (required)" if action.required and action.option_strings else text


def _sentence(text: str) -> str:
    """Return *text*, which begins without a capital letter, as a sentence in Markdown."""
    text = " ".join(text.split()).replace("<", "&lt;")
    return text[:1].upper() + text[1:]
