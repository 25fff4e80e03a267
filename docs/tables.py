"""Draws pages of docs/reference from the library: ``nox -s tables``; the tests compare."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from operator import attrgetter
from pathlib import Path
from typing import Any

import attrs
from building import commands_page, diagrams, replies_page
from building.attributes import texts_of
from building.markdown import table

from smtpproto import Reply
from smtpproto.client import ClientConfig, PoolConfig
from smtpproto.dns_cache import DNSCacheLimits
from smtpproto.limits import Leniencies, Limits, ScheduleLimits, Timeouts
from smtpproto.mta import QueueLimits, ReportOptions, RetrySchedule
from smtpproto.policy import DKIMLimits, Greylist, Inspection
from smtpproto.protocol import COLUMNS, EXTENSIONS, ROWS, Phase, vocabulary
from smtpproto.sasl import MECHANISMS
from smtpproto.server import ServerConfig
from smtpproto.transfer import Guards, MTAConfig, ReceiveLimits, SendLimits

BELOW = (
    *(Limits, Timeouts, Leniencies),
    *(RetrySchedule, ScheduleLimits, ReportOptions, DNSCacheLimits),
    *(Guards, ReceiveLimits, SendLimits),
)
FOLDER = Path(__file__).parent / "reference"

PHASES = """# Tables

Drawn from the code by `nox -s tables`; do not edit.

## Phases

What each command leads to in each phase (`smtpproto/protocol/phases.py`). A cell is the phase after
success, or the reply to a command out of order: a server sends this reply, and a client does not
send the command. `BDAT LAST` is the last chunk. In LMTP, LHLO takes the row of EHLO and HELO. In
phases without a column no command is read. A server is never in *failed*: after it has refused a
chunk it is *ready*, while the client must send RSET first.

![The phases of a session, and the commands between them](phases.svg)

The picture leaves out QUIT, which closes the session in any phase, commands after which the phase
is the same, and the phases *failed* and *refused*.

"""
REPLIES = """
### Verbs

For each verb: the keyword of its extension, the reply codes that accept it, the default reply,
whether it may stand inside a pipelined group (RFC 2920 3.1), and what it may come before where the
server requires TLS or AUTH.
"""
TABLE = """
## Extensions

What each extension adds (`smtpproto/grammar/extension.py`). The last column is the number of octets
that a command line may have beyond 512 (RFC 5321 4.5.3.1.4).
"""
SASL = """
## SASL mechanisms

The mechanisms (`smtpproto/sasl/mechanisms.py`), the strongest first: the client's credential, the
method of an `Authenticator` that a server needs to offer it, and whether it may be used without TLS
where `login_in_clear` or `auth_in_clear` allow that. ANONYMOUS carries no secret, so a client may
always use it in clear.
"""
OPTIONS = """
## Options

The keyword arguments of `connect`, `pool`, `serve` and `MTA`, with their defaults. All durations
are seconds, all sizes octets.
"""
LENIENT = """
## Leniencies

What is accepted from a peer beyond the grammar (`smtpproto/limits.py`), with the defaults. Each can
be set to `ACCEPT`, `REPORT` (accept and report) or `REJECT`.
"""


def cell(value: Phase | Reply) -> str:
    """The phase, or the reply."""
    return f"{value.code} {value.text}" if isinstance(value, Reply) else f"**{value.value}**"


def verbs() -> Iterator[list[str]]:
    rows = {**vocabulary().verbs, **vocabulary(lmtp=True).verbs}
    for name, verb in rows.items():
        codes = " ".join(map(str, sorted(verb.accepted_codes)))
        before = ", ".join(["AUTH"] * verb.before_auth + ["TLS"] * verb.before_tls)
        group = "yes" if verb.grouped else ""
        yield [name, verb.keyword or "", codes, printed(verb.default_reply), group, before]


def printed(reply: Reply) -> str:
    return str(reply).replace("<", "&lt;").replace(">", "&gt;")


def extensions() -> Iterator[list[str]]:
    for keyword, row in EXTENSIONS.items():
        octets = ", ".join(f"{verb} {count}" for verb, count in row.extra_octets.items())
        names = (
            sorted(row.verbs),
            sorted(row.mail_parameters),
            sorted(row.rcpt_parameters),
            sorted(row.requires),
        )
        yield [keyword, row.rfc, *map(", ".join, names), octets]


def mechanisms() -> Iterator[list[str]]:
    for row in MECHANISMS:
        clear = "yes" if row.in_clear and not row.binds else ""
        bound = "yes" if row.binds else ""
        yield [
            row.name,
            f"`{row.credential_type.__name__}`",
            f"`{row.authenticator_method}`",
            clear,
            bound,
        ]


def described(kind: type[Any]) -> Iterator[list[str]]:
    """The attributes of a class, each with its default and the text that stands below it."""
    texts = texts_of(kind)
    for attribute in filter(attrgetter("init"), attrs.fields(kind)):
        text = texts.get(attribute.name, "")
        yield [f"`{attribute.name}`", default(attribute.default), marked_down(text)]


def default(value: Any) -> str:
    """As a reader would write it."""
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = attrs.NOTHING if value.takes_self else value.factory()
    if value is attrs.NOTHING:
        return ""
    if isinstance(value, Enum):
        return value.name
    if type(value) in BELOW:
        return "as below"
    return f'`"{value}"`' if hasattr(value, "name") else f"`{value!r}`"


def marked_down(text: str) -> str:
    """References and literals of docstrings as Markdown has them."""
    return re.sub(r":[a-z]+:`[~.]*([^`]+)`", r"`\1`", text).replace("``", "`")


def options() -> Iterator[str]:
    """A table for each class of options."""
    for kind, what in (
        (ClientConfig, "`connect`, and `pool`"),
        (PoolConfig, "`pool`"),
        (ServerConfig, "`serve`"),
        (Timeouts, "`Timeouts`, for both"),
        (Limits, "`Limits`, for both"),
        (MTAConfig, "`MTA`"),
        (RetrySchedule, "`RetrySchedule`, for a mail agent"),
        (ScheduleLimits, "`ScheduleLimits`, for a mail agent"),
        (ReportOptions, "`ReportOptions`, for a mail agent"),
        (QueueLimits, "`QueueLimits`, for a queue in a database"),
        (DNSCacheLimits, "`DNSCacheLimits`, for a `CachingResolver`"),
        (DKIMLimits, "`DKIMLimits`, for a `DKIMVerifier`"),
        (Inspection, "`Inspection`, for an `MTA`"),
        (Guards, "`Guards`, for an `MTA`"),
        (ReceiveLimits, "`ReceiveLimits`, for `Guards`"),
        (SendLimits, "`SendLimits`, for `Guards`"),
        (Greylist, "`Greylist`, for `Guards`"),
    ):
        yield f"\n### {what}\n"
        yield from table(["name", "default", "what"], described(kind))


def page() -> str:
    """The whole page."""
    head = ["", *(phase.value for phase in COLUMNS)]
    rows = [[name, *map(cell, cells)] for name, cells in ROWS.items()]
    lines = [
        PHASES,
        *table(head, rows),
        REPLIES,
        *table(
            ["verb", "keyword", "accepted by", "default reply", "in a group", "before"], verbs()
        ),
        TABLE,
        *table(["keyword", "RFC", "verbs", "MAIL", "RCPT", "needs", "octets"], extensions()),
        SASL,
        *table(["mechanism", "client has", "server asks", "clear", "bound"], mechanisms()),
        LENIENT,
        *table(["name", "default", "what"], described(Leniencies)),
        OPTIONS.rstrip("\n"),
        *options(),
    ]
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "tables.md": page,
    "replies.md": replies_page.page,
    "cli.md": commands_page.page,
    "phases.svg": diagrams.phases,
    "../explanation/rings.svg": lambda: diagrams.rings_of(FOLDER.parent),
}


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` tell whether they are up to date."""
    if "--check" in arguments:
        return any((FOLDER / name).read_text() != text() for name, text in PAGES.items())
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
