"""The filters of a mail agent, asked about one message that has arrived."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

from attrs import evolve

from ..errors import SMTPError
from ..filters.header_edit import edited
from ..filters.message_filter import Filter, FilterMessage, FilterVerdict
from ..grammar.envelope import Envelope
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mta.queue_events import FilterAction, FilterEvent
from ..mta.store import Body
from ..policy.header_section import HeaderReader
from ..ports import CallAborted
from ..server.handler import Session
from .intake import Intake

__all__ = ["Filtering"]

_log = logging.getLogger("smtpproto.queue")

_DEFERRED = FilterVerdict(refusal=Reply(451, "4.7.1", "A filter is not available; try again later"))
_NO_RECIPIENT = "it left no recipient"


class Filtering:
    """Holds back the header section of one message, asks filters, and does what they say."""

    def __init__(self, intake: Intake, session: Session, *, trusted: bool) -> None:
        self._intake, self._session, self._trusted = intake, session, trusted
        self._reader = HeaderReader()
        self.refusal: Reply | None = None
        self.discarded: bool = False
        self.hold: str | None = None
        self.header: bytes = b""
        """All that stands before the body, at the end."""

    def feed(self, data: bytes) -> bytes:
        """Take the next slice; return what of it belongs to the body. Raises GrammarError if the
        header section is longer than 1 MiB."""
        return self._reader.feed(data)

    async def run(self, name: str, envelope: Envelope, fields: bytes, body: Body) -> Envelope:
        """Ask the filters about the message *name*, which has *fields* before its own; return the
        envelope with their changes."""
        empty_line = b"\r\n" if self._reader.ended else b""
        self._reader.finish()
        header = fields + self._reader.octets
        for it in self._intake.filters_for(trusted=self._trusted):
            message = FilterMessage(
                id=name,
                hostname=str(self._intake.tracer.hostname),
                session=self._session,
                envelope=envelope,
                trusted=self._trusted,
                header=header,
                body_size=body.size,
                body=body.slices,
            )
            header, changed = await self._pass(it, message)
            if changed is None:
                break
            envelope = changed
        self.header = header + empty_line
        return envelope

    async def _pass(self, it: Filter, message: FilterMessage) -> tuple[bytes, Envelope | None]:
        """Ask a filter; return the header section and the envelope after it, None for the end."""
        verdict, header, failure = _DEFERRED, message.header, ""
        try:
            runtime = self._intake.runtime
            verdict = await runtime.within(it.timeout, it.check(message, runtime))
            header = edited(header, verdict.edits)
        except Exception as error:
            if not isinstance(error, SMTPError | CallAborted):
                _log.exception("%s: an error in the filter %s", message.id, it.name)
            verdict = _DEFERRED if it.on_failure == "defer" else FilterVerdict()
            failure = str(error) or type(error).__name__
        envelope = None if verdict.refusal else _changed(message.envelope, verdict)
        if verdict.refusal is None and envelope is None and not verdict.discard:
            verdict = evolve(verdict, discard=True, summary=verdict.summary or _NO_RECIPIENT)
        self._intake.tell(_event(message.id, it.name, verdict, failure))
        self.refusal, self.discarded = verdict.refusal, verdict.discard
        self.hold = self.hold or verdict.hold
        return header, None if verdict.discard else envelope

    async def content(self, body: Body) -> AsyncGenerator[bytes, None]:
        """Return the message as the filters have left it, in slices."""
        yield self.header
        async for data in body.slices():
            yield data


def _changed(envelope: Envelope, verdict: FilterVerdict) -> Envelope | None:
    """Return *envelope* with the changes of *verdict*; None if no recipient is left."""
    sender = envelope.sender if verdict.sender is None else verdict.sender
    recipients = dict.fromkeys((*envelope.recipients, *verdict.added))
    kept = [it for it in recipients if it not in verdict.removed]
    given = envelope.rcpt_parameters
    parameters = {it: given[it] for it in kept if it in given}
    return Envelope(sender, kept, envelope.parameters, parameters) if kept else None


def _event(name: str, by: str, verdict: FilterVerdict, failure: str) -> FilterEvent:
    if verdict.refusal is not None:
        action, detail = FilterAction.REFUSED, str(verdict.refusal)
    elif verdict.discard:
        action, detail = FilterAction.DISCARDED, ""
    elif verdict.hold is not None:
        action, detail = FilterAction.HELD, verdict.hold
    else:
        action, detail = FilterAction.ACCEPTED, ""
    parts = [detail, verdict.summary, f"the filter failed: {failure}" if failure else ""]
    shown = printable("; ".join(filter(None, parts))[:1000])
    return FilterEvent(id=name, filter=by, action=action, detail=shown, failed=bool(failure))
