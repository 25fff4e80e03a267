"""Calling an application's hooks: plain or async, and whatever they raise or answer."""

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
from .handler import Hook, Names, NoReply, Verdict

_log = logging.getLogger("smtpproto.server")

LOCAL_ERROR = Reply(451, "4.3.0", "Local error in processing")
NO_TLS_NOW = Reply(454, "4.7.0", "TLS not available due to temporary reason")
NO_LOGIN_NOW = Reply(454, "4.7.0", "Temporary authentication failure")


def failed(where: str, error: Exception, *, secret: bool = False) -> Reply:
    """Log the error with its place; its text may be the client's, so it is escaped, and may have a
    password in it if *secret*, so it is left out. Give what the client learns of it."""
    place = "".join(traceback.format_tb(error.__traceback__))
    told = type(error).__name__ if secret else printable(repr(error))
    _log.error("%s failed: %s\n%s", where, told, place)
    return LOCAL_ERROR


async def ask(
    hook: Callable[..., Hook], *arguments: object, failure: Reply = LOCAL_ERROR
) -> Verdict:
    """Call a hook. If it raises, or answers what is no verdict, the client gets *failure*."""
    try:
        return _verdict(await result(hook(*arguments)))
    except Exception as error:
        failed(getattr(hook, "__name__", "a hook"), error)
        return failure


def _verdict(answered: object) -> Verdict:
    if not isinstance(answered, Reply | None):
        raise TypeError(f"a hook answers a Reply or nothing, not {type(answered).__name__}")
    return answered


async def ask_login(hook: Callable[..., Hook], *arguments: object) -> Verdict:
    """Call a hook that decides of a login, whose exchange is over."""
    verdict = await ask(hook, *arguments, failure=NO_LOGIN_NOW)
    again = isinstance(verdict, Reply) and verdict.intermediate
    return NO_LOGIN_NOW if again else verdict


async def notify(hook: Callable[..., NoReply], *arguments: object) -> None:
    """Call a hook that answers nothing."""
    try:
        await result(hook(*arguments))
    except Exception as error:
        failed(getattr(hook, "__name__", "a hook"), error)


async def ask_names(hook: Callable[..., Names | Awaitable[Names]], *arguments: object) -> Verdict:
    """Call VRFY's or EXPN's hook; mailboxes make a 250, one a line (RFC 5321 3.5.2)."""
    try:
        found = await result(hook(*arguments))
        if found is None or isinstance(found, Reply):
            return found
        return Reply(250, "2.1.5", [f"<{mailbox}>" for mailbox in _mailboxes(found)])
    except Exception as error:
        return failed(hook.__name__, error)


def _mailboxes(found: Mailbox | Iterable[Mailbox]) -> list[Mailbox]:
    """One or more; nothing else is an address that RCPT takes (RFC 5321 3.5.2)."""
    mailboxes = [found] if isinstance(found, Mailbox) else list(found)
    if not mailboxes or not all(isinstance(mailbox, Mailbox) for mailbox in mailboxes):
        raise TypeError("a name stands for mailboxes, one at least")
    return mailboxes


def answer(machine: ServerProtocol, verdict: Verdict) -> bool:
    """Answer the machine's question; whether that was a yes."""
    try:
        machine.answer(_verdict(verdict))
    except (LocalProtocolError, GrammarError, TypeError) as error:
        # No reply at all, or not one for this question.
        failed("a hook's answer", error)
        machine.answer(verdict := LOCAL_ERROR)
    return verdict is None or verdict.positive


async def each(
    verdicts: Iterable[Verdict] | AsyncIterable[Verdict],
) -> AsyncGenerator[Verdict, None]:
    """Verdicts one by one, whatever gives them."""
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
