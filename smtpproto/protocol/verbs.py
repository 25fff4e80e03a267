"""What both machines know of each command, one row a verb, and the vocabulary of a session.

A verb of one's own is one more row: :meth:`Verb.own`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache, cached_property

from attrs import evolve, field, frozen

from ..grammar.command import (
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from ..grammar.command_line import COMMANDS
from ..grammar.extension import EXTENSIONS, Extensions
from ..grammar.extension_command import Auth, Bdat, Etrn, Lhlo, StartTLS, XClient, XForward
from ..grammar.reply import Reply
from .phases import COLUMNS, HELLO_FIRST, NO_SERVICE, ROWS, Phase
from .server_replies import NOT_IMPLEMENTED

_TRANSACTION = frozenset({Phase.READY, Phase.MAIL, Phase.RCPT})
_OK = frozenset({250})
_OFFERED_BY = {name: row.keyword for row in EXTENSIONS.values() for name in row.verbs}
_NAME = re.compile(r"[A-Z][A-Z0-9-]*")


@frozen(kw_only=True)
class Verb:
    """A row. *row* is its row of the phase table, *yes* the codes that say yes to it, *usual* the
    yes of an application without words of its own. *wait* names the time-out for its reply.

    *grouped*: it may stand inside a pipelined group (RFC 2920 3.1). *early*: it may come before
    what a server requires, TLS (RFC 3207 4) or AUTH (RFC 4954 6). *keyword*: what EHLO must offer.
    """

    command: type[Command]
    row: str
    default_reply: Reply
    accepted_codes: frozenset[int] = _OK
    wait: str = "other"
    grouped: bool = False
    early: str = ""
    keyword: str | None = None
    cells: tuple[Phase | Reply, ...] = field(factory=tuple)

    @classmethod
    def own(
        cls,
        command: type[Command],
        *,
        default_reply: Reply | None = None,
        accepted_codes: Collection[int] = _OK,
        phases: Collection[Phase] = _TRANSACTION,
        keyword: str | None = None,
    ) -> Verb:
        """A verb of one's own, which leaves the phase as it is.

        *phases* are those it may come in; in others the reply is 503. *usual* (502 unless given)
        is the reply where the handler has none. *keyword* is what EHLO offers: the verb itself if
        that begins with X. Other verbs belong to registered extensions, whose keyword has to be
        given: ValueError without (RFC 5321 4.1.5).
        """
        if keyword is None and not command.verb.startswith("X"):
            raise ValueError(f"{command.verb} is not private: what keyword offers it?")
        return cls(
            command=command,
            row=command.verb,
            default_reply=NOT_IMPLEMENTED if default_reply is None else default_reply,
            accepted_codes=frozenset(accepted_codes),
            keyword=keyword or command.verb,
            cells=tuple(phase if phase in phases else _refusal(phase) for phase in COLUMNS),
        )


def _refusal(phase: Phase) -> Reply:
    if phase is Phase.START:
        return HELLO_FIRST
    return NO_SERVICE if phase is Phase.REFUSED else Reply(503, "5.5.1", "Not now")


def _hello(command: type[Ehlo], early: str) -> Verb:
    default_reply = Reply(250, None, "greets you")
    return Verb(command=command, row="EHLO", default_reply=default_reply, wait="hello", early=early)


_COMMON = (
    Verb(
        command=Mail,
        row="MAIL",
        default_reply=Reply(250, "2.1.0", "Sender OK"),
        wait="mail",
        grouped=True,
    ),
    Verb(
        command=Rcpt,
        row="RCPT",
        default_reply=Reply(250, "2.1.5", "Recipient OK"),
        accepted_codes=frozenset({250, 251}),
        wait="rcpt",
        grouped=True,
    ),
    Verb(
        command=Data,
        row="DATA",
        default_reply=Reply(354, None, "Start mail input; end with <CRLF>.<CRLF>"),
        accepted_codes=frozenset({354}),
        wait="data",
    ),
    Verb(
        command=Bdat,
        row="BDAT",
        default_reply=Reply(250, "2.0.0", "Go on"),
        wait="block",
        grouped=True,
    ),
    Verb(
        command=Rset,
        row="RSET",
        default_reply=Reply(250, "2.0.0", "OK"),
        grouped=True,
        early="auth",
    ),
    Verb(command=Noop, row="NOOP", default_reply=Reply(250, "2.0.0", "OK"), early="auth tls"),
    Verb(
        command=Quit,
        row="QUIT",
        default_reply=Reply(221, "2.0.0", "Service closing transmission channel"),
        accepted_codes=frozenset({221}),
        wait="quit",
        early="auth tls",
    ),
    Verb(
        command=Vrfy,
        row="VRFY",
        default_reply=Reply(
            252, "2.5.0", "Cannot VRFY user, but will accept message and attempt delivery"
        ),
        accepted_codes=frozenset({250, 251, 252}),
    ),
    Verb(
        command=Expn,
        row="EXPN",
        default_reply=NOT_IMPLEMENTED,
        accepted_codes=frozenset({250, 252}),
    ),
    Verb(
        command=Help,
        row="HELP",
        default_reply=Reply(214, "2.0.0", "Commands: ..."),  # the machine lists those there are
        accepted_codes=frozenset({211, 214}),
    ),
    Verb(
        command=StartTLS,
        row="STARTTLS",
        default_reply=Reply(220, "2.0.0", "Ready to start TLS"),
        accepted_codes=frozenset({220}),
        early="auth tls",
    ),
    Verb(
        command=Auth,
        row="AUTH",
        default_reply=Reply(235, "2.7.0", "Authentication successful"),
        accepted_codes=frozenset({235, 334}),
        wait="auth",
        early="auth",
    ),
    Verb(
        command=Etrn,
        row="ETRN",
        default_reply=Reply(251, "2.0.0", "No messages waiting for node"),
        accepted_codes=frozenset({250, 251, 252, 253}),
    ),
    Verb(
        command=XClient,
        row="XCLIENT",
        default_reply=Reply(220, None, "ESMTP ready"),
        accepted_codes=frozenset({220}),
        early="auth tls",
    ),
    Verb(
        command=XForward,
        row="XFORWARD",
        default_reply=Reply(250, "2.0.0", "OK"),
        early="auth tls",
    ),
)
_SMTP = (_hello(Ehlo, "auth tls"), _hello(Helo, "auth"), *_COMMON)
_LMTP = (_hello(Lhlo, "auth tls"), *_COMMON)


def row_of(command: Command) -> str:
    """Return the name of the row of the phase table for *command*: its verb, or ``BDAT LAST``."""
    return "BDAT LAST" if isinstance(command, Bdat) and command.last else command.verb


@frozen(eq=False)
class Vocabulary:
    """The verbs of a session."""

    verbs: Mapping[str, Verb]
    lmtp: bool

    @cached_property
    def commands(self) -> Mapping[str, type[Command]]:
        """What reads each verb's argument."""
        return {name: verb.command for name, verb in self.verbs.items()}

    @cached_property
    def transitions(self) -> Mapping[tuple[Phase, str], Phase | Reply]:
        """What a row leads to in each phase in which commands are read at all: the phase after
        success, or the reply to a command out of order. Rows are named by verb, and BDAT LAST."""
        rows = {name: verb.cells or ROWS[verb.row] for name, verb in self.verbs.items()}
        rows["BDAT LAST"] = ROWS["BDAT LAST"]
        return {
            (phase, name): cell
            for name, row in rows.items()
            for phase, cell in zip(COLUMNS, row, strict=True)
        }

    def names(self, offered: Extensions) -> list[str]:
        """The verbs that a server which offers *offered* takes, for people to read."""
        keywords = {name: verb.keyword for name, verb in self.verbs.items()} | {"EXPN": "EXPN"}
        return [name for name, key in keywords.items() if key is None or key in offered]


def own_verbs(verbs: Iterable[Verb]) -> tuple[Verb, ...]:
    """Verbs of one's own, in whatever they are given."""
    return tuple(verbs)


@cache
def vocabulary(*, lmtp: bool = False, own: tuple[Verb, ...] = ()) -> Vocabulary:
    """The verbs of SMTP or LMTP, and *own* ones. Raises ValueError if these hide others, or
    are not upper case."""
    known = {verb.command.verb: verb for verb in (_LMTP if lmtp else _SMTP)}
    verbs = {name: evolve(verb, keyword=_OFFERED_BY.get(name)) for name, verb in known.items()}
    for verb in own:
        name = verb.command.verb
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a verb: {name!r}")
        if name in verbs or name in COMMANDS or name in EXTENSIONS:
            raise ValueError(f"{name} is taken")
        verbs[name] = verb
    return Vocabulary(verbs, lmtp)
