"""The verbs of a session: one row for each command, which both machines follow.

:meth:`Verb.own` makes a row for an application's own verb.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

from attrs import field, frozen

from ..grammar.command import Command
from ..grammar.command_line import COMMANDS, NOT_IMPLEMENTED
from ..grammar.extension import EXTENSIONS, Extensions
from ..grammar.extension_command import Bdat
from ..grammar.pattern import pattern
from ..grammar.reply import Reply
from ..option_types import checked
from .phases import COLUMNS, HELLO_FIRST, NO_SERVICE, ROWS, Phase

_TRANSACTION = frozenset({Phase.READY, Phase.MAIL, Phase.RCPT})
_OK = frozenset({250})
_OFFERED_BY = {name: row.keyword for row in EXTENSIONS.values() for name in row.verbs}
_NAME = pattern(r"[A-Z][A-Z0-9-]*")


@checked
@frozen(kw_only=True)
class Verb:
    """A command and the rules for it."""

    command: type[Command]
    row: str
    """The name of its row in the phase table."""
    default_reply: Reply
    """The reply when the application answers None."""
    accepted_codes: frozenset[int] = _OK
    """The codes of replies that accept it."""
    timeout: str = "other"
    """The field of :class:`~smtpproto.limits.Timeouts` for a client's wait for the reply."""
    grouped: bool = False
    """Whether other commands may follow it in a pipelined group (RFC 2920 3.1). If not, a client
    waits for its reply, and a server sends that at once (RFC 2920 3.2)."""
    before_tls: bool = False
    """Whether a server that requires TLS allows it before STARTTLS (RFC 3207 4)."""
    before_auth: bool = False
    """Whether a server that requires a login allows it before AUTH (RFC 4954 6)."""
    junk: bool = False
    """Whether it brings no message nearer, so that :attr:`.Limits.junk_commands` counts it."""
    keyword: str | None = None
    """The EHLO keyword that offers it, if any."""
    cells: tuple[Phase | Reply, ...] = field(factory=tuple)
    """The row itself, if the phase table has none."""

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
        """Return a verb of the application's own, which leaves the phase unchanged.

        *phases* are those in which it is allowed; in others the reply is 503. *default_reply* (502
        unless given) is the reply when the handler answers None. EHLO offers *keyword*, by default
        the verb itself if that begins with X. Raises ValueError for other verbs without a keyword:
        they belong to registered extensions (RFC 5321 4.1.5).
        """
        if keyword is None and not command.verb.startswith("X"):
            raise ValueError(f"{command.verb} is not private; pass the keyword that offers it")
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


def _row(name: str, reply: Reply, *codes: int, **facts: Any) -> Verb:
    """Return the row of the command *name*, which is accepted with one of *codes*, or with that of
    its default *reply*."""
    return Verb(
        command=COMMANDS[name],
        default_reply=reply,
        accepted_codes=frozenset(codes or (reply.code,)),
        keyword=_OFFERED_BY.get(name),
        **{"row": name, **facts},
    )


def _hello(name: str, **facts: Any) -> Verb:
    reply = Reply(250, None, "greets you")
    return _row(name, reply, row="EHLO", timeout="hello", before_auth=True, junk=True, **facts)


_CANNOT_VRFY = Reply(252, "2.5.0", "Cannot VRFY user, but will accept message and attempt delivery")
_OPEN = {"before_auth": True, "before_tls": True}
_COMMON = (
    _row("MAIL", Reply(250, "2.1.0", "Sender OK"), timeout="mail", grouped=True),
    _row("RCPT", Reply(250, "2.1.5", "Recipient OK"), 250, 251, timeout="rcpt", grouped=True),
    _row("DATA", Reply(354, None, "Start mail input; end with <CRLF>.<CRLF>"), timeout="data"),
    _row("BDAT", Reply(250, "2.0.0", "Go on"), timeout="block", grouped=True),
    _row("RSET", Reply(250, "2.0.0", "OK"), grouped=True, before_auth=True, junk=True),
    _row("NOOP", Reply(250, "2.0.0", "OK"), junk=True, **_OPEN),
    _row("QUIT", Reply(221, "2.0.0", "Service closing transmission channel"), timeout="quit",
         **_OPEN),
    _row("VRFY", _CANNOT_VRFY, 250, 251, 252, junk=True),
    _row("EXPN", NOT_IMPLEMENTED, 250, 252, junk=True),
    _row("HELP", Reply(214, "2.0.0", "Commands: ..."), 211, 214, junk=True),  # lists the verbs
    _row("STARTTLS", Reply(220, "2.0.0", "Ready to start TLS"), **_OPEN),
    _row("AUTH", Reply(235, "2.7.0", "Authentication successful"), 235, 334, timeout="auth",
         before_auth=True),
    _row("ETRN", Reply(251, "2.0.0", "No messages waiting for node"), *range(250, 254), junk=True),
    _row("XCLIENT", Reply(220, None, "ESMTP ready"), **_OPEN),
    _row("XFORWARD", Reply(250, "2.0.0", "OK"), grouped=True, **_OPEN),
)  # fmt: skip
_SMTP = (_hello("EHLO", before_tls=True), _hello("HELO"), *_COMMON)
_LMTP = (_hello("LHLO", before_tls=True), *_COMMON)


def row_of(command: Command) -> str:
    """Return the name of the row of the phase table for *command*: its verb, or ``BDAT LAST``."""
    return "BDAT LAST" if type(command) is Bdat and command.last else command.verb


class Vocabulary:
    """The verbs of a session, by name."""

    def __init__(self, verbs: Mapping[str, Verb], *, lmtp: bool) -> None:
        self.verbs: Mapping[str, Verb] = verbs
        self.lmtp: bool = lmtp
        self.commands: Mapping[str, type[Command]] = {
            name: verb.command for name, verb in verbs.items()
        }
        """The class of command that parses each verb's argument."""
        rows = {name: verb.cells or ROWS[verb.row] for name, verb in verbs.items()}
        rows["BDAT LAST"] = ROWS["BDAT LAST"]
        self.transitions: Mapping[tuple[Phase, str], Phase | Reply] = {
            (phase, name): cell
            for name, row in rows.items()
            for phase, cell in zip(COLUMNS, row, strict=True)
        }
        """The phase table by phase and row: the phase after success, or the reply to a command out
        of order. It has the phases in which commands are read; rows are verbs and BDAT LAST."""
        self.next_phase: Mapping[tuple[Phase, str], Phase] = {
            at: cell for at, cell in self.transitions.items() if isinstance(cell, Phase)
        }
        """:attr:`transitions` without the replies."""

    def names(self, offered: Extensions) -> list[str]:
        """Return the verbs that a server with the offer *offered* implements, for HELP."""
        keywords = {name: verb.keyword for name, verb in self.verbs.items()} | {"EXPN": "EXPN"}
        return [name for name, key in keywords.items() if key is None or key in offered]


def own_verbs(verbs: Iterable[Verb]) -> tuple[Verb, ...]:
    """Return an application's own verbs as a tuple, which can be hashed."""
    return tuple(verbs)


@cache
def vocabulary(*, lmtp: bool = False, own: tuple[Verb, ...] = ()) -> Vocabulary:
    """Return the verbs of SMTP or LMTP, and *own* ones. Raise ValueError if an own name is not in
    upper case, or is already taken."""
    verbs = {verb.command.verb: verb for verb in (_LMTP if lmtp else _SMTP)}
    for verb in own:
        name = verb.command.verb
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a verb: {name!r}; use A-Z, digits and hyphens")
        if name in verbs or name in COMMANDS or name in EXTENSIONS:
            raise ValueError(f"{name} is taken; choose another verb")
        verbs[name] = verb
    return Vocabulary(verbs, lmtp=lmtp)
