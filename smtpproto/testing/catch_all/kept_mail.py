"""The mail that a catch-all server keeps in memory: the newest messages, within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from attrs import define, field, frozen
from attrs.validators import ge

from ...grammar.envelope import Envelope
from ...mail.opened import OpenedMessage, open_message, text_of_html
from ...server.handler import Session
from ..inbox import ReceivedMessage

KEEP = 1000  # messages
OCTETS = 256 * 1024 * 1024

_SEARCHED = 65_536  # characters of the text of a message that are searched
_READ = 8 * _SEARCHED  # characters of HTML in which its text is looked for
_PREVIEW = 200  # characters
_LOOK = 0.25  # seconds between checks whether the client still waits


@frozen
class ListedAttachment:
    """What a list says of an attachment."""

    name: str
    type: str
    size: int
    """In octets."""
    content_id: str


@define(eq=False, kw_only=True)
class KeptMessage:
    """A message that has arrived, with what lists show of it and searches look at."""

    id: int
    """Counts the messages, from 1 on."""
    at: datetime
    received: ReceivedMessage
    transcript: Callable[[], str]
    """Returns the dialogue of its connection so far, as the text of a :class:`.Transcript`."""
    sender: str
    """The From field, decoded."""
    to: str
    """The fields To and Cc, decoded."""
    subject: str
    text: str
    """The beginning of its text, or of what its HTML says."""
    attachments: tuple[ListedAttachment, ...]
    is_read: bool = False

    @property
    def preview(self) -> str:
        """The beginning of the text on one line."""
        return " ".join(self.text[: 5 * _PREVIEW].split())[:_PREVIEW]

    @property
    def octets(self) -> int:
        """How much memory it takes, more or less."""
        return len(self.received.content) + len(self.text)

    def open(self) -> OpenedMessage:
        """Return all that can be read in it."""
        return open_message(self.received.content)


def kept_message(
    number: int, received: ReceivedMessage, transcript: Callable[[], str]
) -> KeptMessage:
    """Return what to keep of a message that arrives now."""
    opened = open_message(received.content)
    return KeptMessage(
        id=number,
        at=datetime.now().astimezone(),
        received=received,
        transcript=transcript,
        sender=opened.field("From"),
        to=", ".join(filter(None, [opened.field("To"), opened.field("Cc")])),
        subject=opened.field("Subject"),
        text=(opened.text or text_of_html(opened.html[:_READ]))[:_SEARCHED],
        attachments=tuple(
            ListedAttachment(it.name, it.type, len(it.octets), it.content_id)
            for it in opened.attachments
        ),
    )


@frozen
class State:
    """What the mail is at a moment."""

    revision: int
    """Grows with each change."""
    messages: int
    unread: int
    newest: int
    """The number of the message that came last; 0 before the first."""


Match = Callable[[KeptMessage], bool]


@define(eq=False)
class KeptMail:
    """Keeps messages in memory, at most *messages* of them and *octets* in all: the oldest is
    dropped for a new one. Threads may share it."""

    messages: int = field(default=KEEP, validator=ge(1))
    octets: int = field(default=OCTETS, validator=ge(65_536))

    _kept: dict[int, KeptMessage] = field(factory=dict, init=False)  # the oldest first
    _held: int = field(default=0, init=False)  # octets
    _count: int = field(default=0, init=False)
    _revision: int = field(default=0, init=False)
    _changed: threading.Condition = field(factory=threading.Condition, init=False)
    is_closed: bool = field(default=False, init=False)

    def add(
        self, envelope: Envelope, content: bytes, session: Session, transcript: Callable[[], str]
    ) -> KeptMessage:
        """Keep a message that arrives now."""
        with self._changed:
            self._count += 1
            number = self._count
        kept = kept_message(number, ReceivedMessage(envelope, content, session), transcript)
        with self._changed:
            self._kept[number] = kept
            self._held += kept.octets
            while len(self._kept) > self.messages or self._held > self.octets:
                oldest = min(self._kept)
                self._held -= self._kept.pop(oldest).octets
            self._note_change()
        return kept

    def get(self, number: int) -> KeptMessage | None:
        """Return the message with this number, if it is still there."""
        with self._changed:
            return self._kept.get(number)

    def newest(self, match: Match = bool, *, before: int | None = None) -> list[KeptMessage]:
        """Return the messages that *match*, the newest first; those with a smaller number than
        *before*, if it is given."""
        with self._changed:
            numbers = sorted(self._kept, reverse=True)
            kept = [self._kept[it] for it in numbers if before is None or it < before]
        return [it for it in kept if match(it)]

    def mark_read(self, number: int, *, is_read: bool) -> bool:
        """Mark a message as read, or as unread. Return whether it is there."""
        with self._changed:
            kept = self._kept.get(number)
            if kept is not None and kept.is_read != is_read:
                kept.is_read = is_read
                self._note_change()
            return kept is not None

    def delete(self, numbers: list[int]) -> int:
        """Delete the messages with these *numbers*. Return how many were there."""
        with self._changed:
            gone = [it for number in numbers if (it := self._kept.pop(number, None)) is not None]
            self._held -= sum(it.octets for it in gone)
            if gone:
                self._note_change()
            return len(gone)

    @property
    def state(self) -> State:
        """What the mail is now."""
        with self._changed:
            unread = sum(not it.is_read for it in self._kept.values())
            return State(self._revision, len(self._kept), unread, max(self._kept, default=0))

    def wait_for_change(self, revision: int, seconds: float) -> State:
        """Wait until the mail is no more at *revision*, at most *seconds*. Return what it is."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed or self._revision != revision, seconds)
        return self.state

    def wait_for(
        self, count: int, match: Match, seconds: float, is_awaited: Callable[[], bool]
    ) -> list[KeptMessage]:
        """Wait until *count* messages are there that *match*, at most *seconds*, and while this
        *is_awaited*. Return those that are there, the newest first."""
        end = time.monotonic() + seconds
        while True:
            revision = self.state.revision
            found = self.newest(match)
            left = end - time.monotonic()
            if len(found) >= count or self.is_closed or left <= 0 or not is_awaited():
                return found
            self.wait_for_change(revision, min(left, _LOOK))

    def close(self) -> None:
        """Let all that wait return."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    def _note_change(self) -> None:
        self._revision += 1
        self._changed.notify_all()
