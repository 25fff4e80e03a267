"""Draws docs/tables.md from the library's own tables: ``nox -s tables``; the tests compare."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrs import asdict

from smtpproto import limits
from smtpproto.grammar.extension import EXTENSIONS
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Leniencies
from smtpproto.protocol.phases import COLUMNS, ROWS, Phase
from smtpproto.protocol.verbs import vocabulary
from smtpproto.sasl import MECHANISMS

PAGE = Path(__file__).with_name("tables.md")

PHASES = """# Tables

Drawn from the code by `nox -s tables`; do not edit.

## Phases

What each command leads to in each phase (`smtpproto/protocol/phases.py`): the phase after success,
or the reply to a command out of order, which a server gives and for which a client does not send
it. `BDAT LAST` is the last chunk. LMTP has LHLO for EHLO and HELO, in the same row. In the phases
that have no column no command is read. A server is never in *failed*: after a chunk that was
refused it is *ready*, while a client says RSET first.
"""
REPLIES = """
### What goes with each verb

Its extension's keyword, the codes that say yes, the usual one, whether it may stand inside a
pipelined group (RFC 2920 3.1), and whether it may come before what a server requires.
"""
TABLE = """
## Extensions

The rows of `smtpproto/grammar/extension.py`: what each adds. Octets are those a command line may
have beyond 512 (RFC 5321 4.5.3.1.4).
"""
SASL = """
## SASL mechanisms

The rows of `smtpproto/sasl/mechanisms.py`, the strongest first: what a client needs to log in by
it, the method of a `Verifier` without which a server does not offer it, and whether it may go
without TLS where `login_in_clear` or `auth_in_clear` allow that.
"""
LENIENT = """
## Leniencies

What a peer may do beside the grammar (`smtpproto/limits.py`), by default. Each can be set to
`ACCEPT`, `REPORT` (accept and report) or `REJECT`.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def cell(value: Phase | Reply) -> str:
    """The phase, or the reply."""
    return f"{value.code} {value.text}" if isinstance(value, Reply) else f"**{value.value}**"


def verbs() -> Iterator[list[str]]:
    rows = {**vocabulary().verbs, **vocabulary(lmtp=True).verbs}
    for name, verb in rows.items():
        codes = " ".join(map(str, sorted(verb.yes)))
        early = {"": "", "auth": "AUTH", "auth tls": "AUTH, TLS"}[verb.early]
        group = "yes" if verb.grouped else ""
        yield [name, verb.keyword or "", codes, printed(verb.usual), group, early]


def printed(reply: Reply) -> str:
    return str(reply).replace("<", "&lt;").replace(">", "&gt;")


def extensions() -> Iterator[list[str]]:
    for keyword, row in EXTENSIONS.items():
        octets = ", ".join(f"{verb} {count}" for verb, count in row.octets.items())
        names = (sorted(row.verbs), sorted(row.mail), sorted(row.rcpt), sorted(row.needs))
        yield [keyword, row.rfc, *map(", ".join, names), octets]


def mechanisms() -> Iterator[list[str]]:
    for row in MECHANISMS:
        clear = "yes" if row.in_clear and not row.binds else ""
        bound = "yes" if row.binds else ""
        yield [row.name, f"`{row.takes.__name__}`", f"`{row.asks}`", clear, bound]


def leniencies() -> Iterator[list[str]]:
    """Each with the text that stands below it in the code."""
    tree = ast.parse(inspect.getsource(limits))
    (body,) = [
        node.body
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == Leniencies.__name__
    ]
    texts = {
        node.target.id: text.value.value
        for node, text in itertools.pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
    for name, default in asdict(Leniencies()).items():
        yield [f"`{name}`", default.name, " ".join(str(texts[name]).split())]


def page() -> str:
    """The whole page."""
    head = ["", *(phase.value for phase in COLUMNS)]
    rows = [[name, *map(cell, cells)] for name, cells in ROWS.items()]
    lines = [
        PHASES,
        *table(head, rows),
        REPLIES,
        *table(["verb", "keyword", "yes", "usual", "in a group", "before"], verbs()),
        TABLE,
        *table(["keyword", "RFC", "verbs", "MAIL", "RCPT", "needs", "octets"], extensions()),
        SASL,
        *table(["mechanism", "client has", "server asks", "clear", "bound"], mechanisms()),
        LENIENT,
        *table(["name", "default", "what"], leniencies()),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with ``--check`` tell whether it is up to date."""
    if "--check" in arguments:
        return PAGE.read_text() != page()
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
