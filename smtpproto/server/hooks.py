"""Calls of an application's hooks, plain or async. A hook that fails becomes a negative reply."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import MethodType
from typing import Any

from attrs import define, frozen

from ..commands import Auth
from ..errors import GrammarError, LocalProtocolError
from ..events import AuthResponse, BodyEnd, Connected
from ..grammar.address import Mailbox
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import Timeouts
from ..ports import CallAborted, Runtime, call_contained, is_awaitable
from ..protocol.server import ServerProtocol
from .handler import Handler, Hook, LookupResult, NoReply, Verdict

_log = logging.getLogger("smtpproto.server")

LOCAL_ERROR = Reply(451, "4.3.0", "Local error in processing")
NO_TLS_NOW = Reply(454, "4.7.0", "TLS not available due to temporary reason")
NO_LOGIN_NOW = Reply(454, "4.7.0", "Temporary authentication failure")

_END = object()  # of an iterable of verdicts
_REFUSED = {Connected: "the connection", BodyEnd: "the message"}  # in words


def log_failure(where: str, error: Exception, *, secret: bool = False) -> None:
    """Log that *where* failed, with the error and its traceback.

    The error's text is escaped, because it may quote the client. If *secret* it is left out,
    because it may contain a password; but not the reason why the library ended a call.
    """
    description, stack = _describe_kind(error), ""
    with contextlib.suppress(Exception):  # exceptions may fail to describe themselves
        stack = "".join(call_contained(traceback.format_tb, error.__traceback__))
        description = description if secret else call_contained(_describe, error)
    _log.error("%s failed: %s\n%s", where, description, stack)


def _describe_kind(error: Exception) -> str:
    return str(error) if type(error) is CallAborted else type(error).__name__


def _describe(error: Exception) -> str:
    what = error.__cause__ if isinstance(error, CallAborted) else error
    return _describe_kind(error) if what is None else printable(repr(what))


# The hooks that accept by returning None unless a handler defines them.
_ACCEPTING = frozenset(
    hook
    for name, hook in vars(Handler).items()
    if not name.startswith("_") and name not in ("data", "message")
)


def is_left_alone(hook: Callable[..., object]) -> bool:
    """Return whether *hook* is one of :class:`Handler` that returns None, so that it need not be
    called. An attribute of the instance counts, too: it is looked at each time."""
    if type(hook) is not MethodType:
        return False
    return hook.__func__ in _ACCEPTING  # pyright: ignore[reportFunctionMemberAccess]


def _check_verdict(value: object) -> Verdict:
    if not isinstance(value, Reply | None):
        raise TypeError(f"a hook must return a Reply or None, not {type(value).__name__}")
    return value


@frozen
class HookCaller:
    """Calls the application's code. Its methods raise nothing that this code raises, but they let
    pass a cancellation of the connection.

    *_took* returns the seconds since the last wait or call, which do not count for the client.
    """

    _runtime: Runtime
    timeouts: Timeouts
    _took: Callable[[], float]

    async def call(
        self, function: Callable[..., Any], *arguments: object, seconds: float | None
    ) -> Any:
        """Return what *function* returns; await it, for *seconds* at most, if it is awaitable.

        Raises what *function* raises, as an ``Exception``.
        """
        is_plain = True
        try:
            value = call_contained(function, *arguments)
            if is_plain := not is_awaitable(value):
                return value
            return await self._runtime.within(seconds, value)
        finally:
            took = self._took()
            if is_plain and seconds is not None and took > seconds:
                name = _name_of(function)
                _log.warning("%s took %d seconds; a plain hook cannot be interrupted", name, took)

    async def ask(
        self,
        hook: Callable[..., Any],
        *arguments: object,
        failure: Reply = LOCAL_ERROR,
        read: Callable[[Any], Verdict] = _check_verdict,
    ) -> Verdict:
        """Return the verdict that *read* finds in what *hook* returns, or *failure* if one of them
        raises, or *hook* takes too long."""
        if is_left_alone(hook):
            return None
        try:
            return read(await self.call(hook, *arguments, seconds=self.timeouts.hook))
        except Exception as error:
            log_failure(_name_of(hook), error)
            return failure

    async def ask_login(self, hook: Callable[..., Hook], *arguments: object) -> Verdict:
        """Return the verdict of a hook on a login: 334 is a failure, because the exchange is
        over."""
        verdict = await self.ask(hook, *arguments, failure=NO_LOGIN_NOW)
        continues = isinstance(verdict, Reply) and verdict.intermediate
        return NO_LOGIN_NOW if continues else verdict

    async def finish(self, hook: Callable[..., NoReply], *arguments: object) -> None:
        """Call a hook whose result does not change the dialogue, to its end, even if the connection
        is cancelled."""
        if is_left_alone(hook):
            return
        try:
            value = call_contained(hook, *arguments)
            if is_awaitable(value):
                await self._runtime.finish_within(self.timeouts.hook, value)
        except Exception as error:
            log_failure(_name_of(hook), error)
        finally:
            self._took()


@define
class VerdictReader:
    """Reads the verdicts that ``commit`` returned for the recipients of LMTP, one by one."""

    _hooks: HookCaller
    _verdicts: Iterable[Verdict] | AsyncIterable[Verdict]
    _iterator: Iterator[Verdict] | AsyncIterator[Verdict] | None = None

    async def next(self, *, at_end: bool) -> Any:
        """Return the next verdict. *at_end*: there must be none.

        Raises what the iterable raises, as an ``Exception``, and LocalProtocolError if there are
        fewer or more verdicts than recipients.
        """
        verdict = await self._next()
        if (verdict is _END) is not at_end:
            number = "more" if at_end else "fewer"
            raise LocalProtocolError(f"{number} verdicts than recipients; return one for each")
        return verdict

    async def close(self) -> None:
        """Close the iterator, if it is an async generator."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await self._hooks.finish(close)

    async def _next(self) -> object:
        if self._iterator is None:
            self._iterator = call_contained(_iterate, self._verdicts)
        if isinstance(self._iterator, Iterator):
            return call_contained(next, self._iterator, _END)
        try:
            return await self._hooks.call(
                anext, self._iterator, seconds=self._hooks.timeouts.commit
            )
        except StopAsyncIteration:
            return _END


def _iterate(
    verdicts: Iterable[Verdict] | AsyncIterable[Verdict],
) -> Iterator[Verdict] | AsyncIterator[Verdict]:
    return aiter(verdicts) if isinstance(verdicts, AsyncIterable) else iter(verdicts)


def answer_machine(machine: ServerProtocol, verdict: Verdict, peer: tuple[str, int]) -> bool:
    """Answer the open question of the client *peer*, and return whether the answer was positive;
    what is refused is logged.

    If *verdict* is not a Reply or None, or does not answer this question, the client receives
    LOCAL_ERROR.
    """
    question = machine.question
    mail = machine.transaction.mail
    try:
        machine.answer(verdict if verdict is None else _check_verdict(verdict))
    except (LocalProtocolError, GrammarError, TypeError) as error:
        log_failure("a hook's answer", error)
        machine.answer(verdict := LOCAL_ERROR)
    if verdict is None or verdict.positive:
        return True
    if _log.isEnabledFor(logging.INFO) and not isinstance(question, Auth | AuthResponse):
        # Refused logins have their own lines.
        what = _REFUSED.get(type(question)) or str(question)
        sender = "" if mail is None else f", from {printable(str(mail.path)) or '<>'}"
        _log.info("refused %s of %s, %s%s: %s", what, *peer, sender, printable(str(verdict)))
    return False


def _name_of(hook: Callable[..., object]) -> str:
    return getattr(hook, "__name__", "a hook")


def read_lookup(found: LookupResult) -> Verdict:
    """Return the verdict of what a hook for VRFY or EXPN has *found*. Mailboxes become a 250 reply
    with one mailbox on each line (RFC 5321 3.5.2).

    Raises TypeError for anything else, because the client may use what it receives in RCPT.
    """
    if found is None or isinstance(found, Reply):
        return found
    mailboxes = [found] if isinstance(found, Mailbox) else call_contained(list, found)
    if not mailboxes or not all(isinstance(mailbox, Mailbox) for mailbox in mailboxes):
        raise TypeError("a hook for VRFY or EXPN must return one Mailbox or more, or a Reply")
    return Reply(250, "2.1.5", [f"<{mailbox}>" for mailbox in mailboxes])
