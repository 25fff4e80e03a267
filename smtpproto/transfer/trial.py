"""What comes of one attempt, recipient by recipient, while hosts are tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, evolve, field

from ..client.connection import Client
from ..errors import (
    LocalProtocolError,
    NotOffered,
    Refusal,
    SMTPError,
    TimedOut,
    TLSFailed,
    TransportError,
)
from ..grammar.address import ForwardPath
from ..grammar.reply import EnhancedCode, Reply
from ..mta.queue import Attempt, Delivery, Result
from ..outcome import Outcome
from .connections import Hop

__all__ = ["Trial", "Tried"]

Tried = tuple[Delivery, Attempt]

_UNREACHED = (  # the first that fits
    (TimedOut, Reply(451, "4.4.1", "The host did not answer in time")),
    (TLSFailed, Reply(451, "4.7.5", "TLS with the host failed")),
    (TransportError, Reply(451, "4.4.1", "The connection to the host failed")),
    (NotOffered, Reply(450, "4.7.0", "The host lacks what this server is set to use")),
    (LocalProtocolError, Reply(451, "4.3.5", "This server is not set up to use the host")),
    (SMTPError, Reply(451, "4.5.0", "The host broke the protocol")),
)
_FOR_GOOD = 550  # with the status that tells why
_NO_TLS = EnhancedCode(5, 7, 10)  # RFC 8689 4.2.1
_SHOWN = 300  # characters of what a host said
_NOTHING = Reply(451, "4.4.0", "No host was tried")


@define(eq=False)
class Trial:
    """One attempt to deliver a message to several recipients. Times are seconds since the epoch.

    What a host answers about a recipient ends the attempt for it, unless the host refuses all that
    comes for now. As long as no host has answered, what counts is a temporary failure before a
    permanent one, because another attempt may then help.
    """

    started: float
    pending: dict[ForwardPath, Delivery]
    """The recipients about whom no host has decided yet."""
    needs_tls: bool = False
    """Whether the message must not be sent without TLS to a verified server (RFC 8689)."""
    lmtp: bool = False
    """Whether the present host is the last one: it delivers."""
    _ended: list[Tried] = field(factory=list, init=False)
    _failures: dict[ForwardPath, Attempt] = field(factory=dict, init=False)
    _host: Attempt | None = field(default=None, init=False)  # the present one
    _asked: set[ForwardPath] = field(factory=set, init=False)  # the present host, earlier
    _asking: tuple[ForwardPath, ...] = field(default=(), init=False)  # it, now
    _earlier: list[str] = field(factory=list, init=False)

    # -- the present host --------------------------------------------------------------------

    def begin(self, hop: Hop) -> None:
        """Try another host; until it answers, all that is known is its name."""
        self._host = Attempt(
            at=self.started, result=Result.UNREACHED, host=hop.host, address=hop.address
        )
        self._asked, self._asking = set(), ()
        self.lmtp = hop.config.speaks_lmtp(hop.port)

    def connected(self, client: Client) -> None:
        """Note that a client is connected to the host, and what the host offers."""
        assert self._host is not None
        tls, offered = client.tls, client.extensions
        self._host = evolve(
            self._host,
            tls="" if tls is None else f"{tls.version} {tls.cipher}",
            dsn="DSN" in offered,
            deliver_by="DELIVERBY" in offered,
        )
        self._asking = tuple(self.not_asked)

    @property
    def not_asked(self) -> dict[ForwardPath, Delivery]:
        """The recipients for whom the present host was not asked yet."""
        return {path: it for path, it in self.pending.items() if path not in self._asked}

    def asking(self, paths: Iterable[ForwardPath]) -> None:
        """Note that the host is asked now to take the message for *paths*."""
        self._asking = tuple(paths)

    def asked(self) -> None:
        """Note that it has been asked for them."""
        self._asked.update(self._asking or self.pending)
        self._asking = ()

    # -- what it says ------------------------------------------------------------------------

    def unreached(self, error: SMTPError) -> None:
        """No reply about recipients was had, because of *error*."""
        if self.needs_tls and _is_about_tls(error):
            text = "The host offers no TLS that this server can verify, as REQUIRETLS demands"
            attempt = self._failure(Result.REFUSED, error, Reply(_FOR_GOOD, _NO_TLS, text))
        else:
            reply = error.reply
            if reply is None or reply.positive:  # a positive one is no reason
                reply = next(usual for kind, usual in _UNREACHED if isinstance(error, kind))
            attempt = self._failure(Result.UNREACHED, error, reply)
        self._note(attempt)
        self._fail(self.not_asked, attempt)

    def impossible(self, error: SMTPError, paths: Iterable[ForwardPath] | None = None) -> None:
        """The host lacks what the message needs: for *paths*, or for all that it is asked for."""
        status = error.status if isinstance(error, NotOffered) else EnhancedCode(5, 6, 0)
        attempt = self._failure(Result.REFUSED, error, Reply(_FOR_GOOD, status, error.message))
        self._note(attempt)
        paths = self._asking if paths is None else tuple(paths)
        self._fail(paths, attempt)
        self._asked.update(paths)

    def settle(self, outcome: Outcome, command: str = "") -> bool:
        """The host has answered for the recipients of *outcome*. *command* is the one whose reply
        refused the message for all of them, if that is so.

        Return whether another host may be asked for those whom it refused for now.
        """
        goes_on = False
        for path, reply in outcome.accepted.items():
            self._end(path, Result.DELIVERED if self.lmtp else Result.RELAYED, reply)
        for path, reply in outcome.refused.items():
            asked = outcome.rcpt.get(path)
            said = "RCPT" if asked == reply else command or "end of data"
            if reply.transient and (reply.code == 421 or (command and said != "RCPT")):
                goes_on = True
                self._fail([path], self._refused(reply, said))
            elif path in outcome.retry and not reply.transient:  # 552 for 452
                self._end(path, Result.REFUSED, Reply(452, "4.5.3", reply.text), said)
            else:
                self._end(path, Result.REFUSED, reply, said)
        for path in outcome.unknown:
            error = "" if outcome.error is None else outcome.error.message
            self._end(path, Result.UNKNOWN, None, error=error)
        if goes_on:
            path = next(path for path in outcome.refused if path in self.pending)
            self._note(self._failures[path])
        return goes_on

    def _refused(self, reply: Reply, command: str) -> Attempt:
        assert self._host is not None
        return evolve(self._host, result=Result.REFUSED, reply=reply, command=command)

    def _failure(self, result: Result, error: SMTPError, reply: Reply) -> Attempt:
        host = self._host or Attempt(at=self.started, result=result)
        said = error.reply is not None
        return evolve(
            host,
            result=result,
            reply=reply,
            command=error.command,
            error="" if said and error.reply == reply else _said(error),
        )

    def _note(self, attempt: Attempt) -> None:
        """Remember what became of a host, for people."""
        if attempt.host:
            what = " ".join((attempt.error or str(attempt.reply)).split())[:_SHOWN]
            self._earlier.append(f"{attempt.host} [{attempt.address}]: {what}")

    def _fail(self, paths: Iterable[ForwardPath], attempt: Attempt) -> None:
        for path in self.pending.keys() & set(paths):
            before = self._failures.get(path)
            if before is None or _weight(attempt) >= _weight(before):
                self._failures[path] = attempt

    def _end(
        self,
        path: ForwardPath,
        result: Result,
        reply: Reply | None,
        command: str = "",
        error: str = "",
    ) -> None:
        if (delivery := self.pending.pop(path, None)) is not None:
            assert self._host is not None
            attempt = evolve(self._host, result=result, reply=reply, error=error, command=command)
            self._ended.append((delivery, attempt))

    # -- the end -----------------------------------------------------------------------------

    def tried(self, now: float) -> Sequence[Tried]:
        """Return an attempt for each recipient; for those without an answer, one that failed."""
        nothing = Attempt(at=self.started, result=Result.UNREACHED, reply=_NOTHING)
        left = [(it, self._failures.get(path, nothing)) for path, it in self.pending.items()]
        return [(it, self._completed(attempt, now)) for it, attempt in self._ended + left]

    def _completed(self, attempt: Attempt, now: float) -> Attempt:
        """Return *attempt* with its time, and with what the hosts before it said."""
        own = f"{attempt.host} [{attempt.address}]: "
        earlier = [line for line in self._earlier if not line.startswith(own)]
        return evolve(attempt, seconds=now - self.started, earlier="\n".join(earlier))


def _is_about_tls(error: SMTPError) -> bool:
    """Return whether *error* shows that the host has no TLS that this server can verify. A
    connection that ends during the handshake shows nothing: the network may have broken it."""
    if isinstance(error, TLSFailed):
        return not error.connection_ended
    return error.phase == "TLS" and isinstance(error, NotOffered | Refusal)


def _said(error: SMTPError) -> str:
    """Return what failed, and the reply that was read then."""
    return error.message if error.reply is None else f"{error.message}: {error.reply}"


def _weight(attempt: Attempt) -> int:
    """Return which failure counts: a host's refusal for now says more than a host that cannot be
    reached, and that more than what a host cannot do, which would be for good."""
    if attempt.result is Result.UNREACHED:
        return 1
    return 0 if attempt.reply is not None and attempt.reply.permanent else 2
