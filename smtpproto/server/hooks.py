"""Calls of an application's hooks, plain or async. A hook that fails becomes a negative reply."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing

from ..errors import GrammarError, LocalProtocolError
from ..grammar.address import Mailbox
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..ports import result
from ..protocol.server import ServerProtocol
from .handler import Hook, LookupResult, NoReply, Verdict

_log = logging.getLogger("smtpproto.server")

LOCAL_ERROR = Reply(451, "4.3.0", "Local error in processing")
NO_TLS_NOW = Reply(454, "4.7.0", "TLS not available due to temporary reason")
NO_LOGIN_NOW = Reply(454, "4.7.0", "Temporary authentication failure")


def log_failure(where: str, error: Exception, *, secret: bool = False) -> None:
    """Log that *where* failed, with the error and its traceback.

    The error's text is escaped, because it may quote the client. If *secret* it is left out,
    because it may contain a password.
    """
    stack = "".join(traceback.format_tb(error.__traceback__))
    description = type(error).__name__ if secret else printable(repr(error))
    _log.error("%s failed: %s\n%s", where, description, stack)


async def call_hook(
    hook: Callable[..., Hook], *arguments: object, failure: Reply = LOCAL_ERROR
) -> Verdict:
    """Return the verdict of *hook*, or *failure* if it raises or returns anything else."""
    try:
        return _check_verdict(await result(hook(*arguments)))
    except Exception as error:
        log_failure(_name_of(hook), error)
        return failure


async def call_login_hook(hook: Callable[..., Hook], *arguments: object) -> Verdict:
    """Return the verdict of a hook on a login: 334 is a failure, because the exchange is over."""
    verdict = await call_hook(hook, *arguments, failure=NO_LOGIN_NOW)
    continues = isinstance(verdict, Reply) and verdict.intermediate
    return NO_LOGIN_NOW if continues else verdict


async def call_hook_without_reply(hook: Callable[..., NoReply], *arguments: object) -> None:
    """Call a hook whose result does not change the dialogue."""
    try:
        await result(hook(*arguments))
    except Exception as error:
        log_failure(_name_of(hook), error)


async def call_lookup_hook(
    hook: Callable[..., LookupResult | Awaitable[LookupResult]], *arguments: object
) -> Verdict:
    """Return the verdict of the hook for VRFY or EXPN. Mailboxes become a 250 reply with one
    mailbox on each line (RFC 5321 3.5.2)."""
    try:
        found = await result(hook(*arguments))
        if found is None or isinstance(found, Reply):
            return found
        return Reply(250, "2.1.5", [f"<{mailbox}>" for mailbox in _check_mailboxes(found)])
    except Exception as error:
        log_failure(_name_of(hook), error)
        return LOCAL_ERROR


def answer_machine(machine: ServerProtocol, verdict: Verdict) -> bool:
    """Answer the machine's open question, and return whether the answer was positive.

    If *verdict* is not a Reply or None, or does not answer this question, the client receives
    LOCAL_ERROR.
    """
    try:
        machine.answer(_check_verdict(verdict))
    except (LocalProtocolError, GrammarError, TypeError) as error:
        log_failure("a hook's answer", error)
        machine.answer(verdict := LOCAL_ERROR)
    return verdict is None or verdict.positive


async def iterate_verdicts(
    verdicts: Iterable[Verdict] | AsyncIterable[Verdict],
) -> AsyncGenerator[Verdict, None]:
    """Yield the verdicts one by one; an async generator is closed at the end."""
    if isinstance(verdicts, AsyncGenerator):
        async with aclosing(verdicts):
            async for verdict in verdicts:
                yield verdict
    elif isinstance(verdicts, AsyncIterable):
        async for verdict in verdicts:
            yield verdict
    else:
        for verdict in verdicts:
            yield verdict


def _name_of(hook: Callable[..., object]) -> str:
    return getattr(hook, "__name__", "a hook")


def _check_verdict(value: object) -> Verdict:
    if not isinstance(value, Reply | None):
        raise TypeError(f"a hook must return a Reply or None, not {type(value).__name__}")
    return value


def _check_mailboxes(found: Mailbox | Iterable[Mailbox]) -> list[Mailbox]:
    """Return *found* as a list. Raise TypeError for anything but mailboxes, because the client may
    use what it receives in RCPT (RFC 5321 3.5.2)."""
    mailboxes = [found] if isinstance(found, Mailbox) else list(found)
    if not mailboxes or not all(isinstance(mailbox, Mailbox) for mailbox in mailboxes):
        raise TypeError("a hook for VRFY or EXPN must return one Mailbox or more, or a Reply")
    return mailboxes
