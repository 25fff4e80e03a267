"""Feedback reports about single messages: complaints, and failures of authentication (RFC 5965,
RFC 6591, RFC 9991)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from attrs import field, frozen

from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..mail.parts import parts_of
from ..option_types import checked
from .report_file import check_size

__all__ = ["FeedbackReport"]

_FIELD = pattern(r"([!-9;-~]+)[ \t]*:[ \t]*(.*)")
_MOST_FIELDS = 1000
_COMMENT = pattern(r"\([^()]*\)")
_FOLDED = pattern(r"\r?\n[ \t]+")


@checked
@frozen(kw_only=True)
class FeedbackReport:
    """A report about one message. :meth:`parse` reads one.

    What it says is the word of a stranger, unless its mail passes DMARC.
    """

    feedback_type: str
    """``abuse``, ``auth-failure``, ``fraud``, ``not-spam`` and so on, in lower case."""
    fields: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """All fields: names in lower case, and for each its values in their order."""
    text: str = ""
    """The part for people."""
    message: bytes = field(default=b"", repr=False)
    """The message, or its header section; it may be redacted."""

    @classmethod
    def parse(cls, mail: bytes) -> Self:
        """Read a report from *mail*. Raises GrammarError if there is none, or if the mail is larger
        than 16 MiB."""
        fields: dict[str, tuple[str, ...]] | None = None
        text, message = "", b""
        check_size(mail)
        for part in parts_of(mail):
            if part.type == "message/feedback-report" and fields is None:
                fields = _fields(part.text)
            elif part.type.startswith(("message/rfc822", "message/global", "text/rfc822")):
                message = message or part.body
            elif part.type == "text/plain" and fields is None:
                text = text or part.text
        if fields is None:
            raise GrammarError("there is no part message/feedback-report in this mail")
        kinds = fields.get("feedback-type", ())
        if not kinds:
            raise GrammarError("a feedback report without Feedback-Type")
        return cls(feedback_type=lower(kinds[0]), fields=fields, text=text, message=message)

    def get(self, name: str) -> str:
        """Return the first value of the field *name*; "" if there is none."""
        return next(iter(self.fields.get(lower(name), ())), "")

    @property
    def source_ip(self) -> str:
        """The client that has sent the message, as it is written."""
        return self.get("source-ip")

    @property
    def reported_domains(self) -> tuple[str, ...]:
        """The domains about which it reports."""
        return self.fields.get("reported-domain", ())

    @property
    def auth_failure(self) -> str:
        """For ``auth-failure``: what failed, for example ``dmarc`` (RFC 6591 3.1)."""
        return lower(self.get("auth-failure"))

    @property
    def identity_alignment(self) -> tuple[str, ...]:
        """For ``dmarc``: the methods that were not aligned: ``dkim``, ``spf`` or none (RFC 9991
        4)."""
        text = _COMMENT.sub("", self.get("identity-alignment"))
        words = [lower(it.strip()) for it in text.split(",")]
        return tuple(it for it in words if it and it != "none")

    @property
    def delivery_result(self) -> str:
        """What was done with the message: ``delivered``, ``spam``, ``policy``, ``reject``,
        ``other``."""
        return lower(self.get("delivery-result"))


def _fields(text: str) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    lines = _FOLDED.sub(" ", text).splitlines()
    for line in lines[:_MOST_FIELDS]:
        if found := _FIELD.fullmatch(line):
            name = lower(found[1])
            fields[name] = (*fields.get(name, ()), printable(found[2].strip()))
    return fields
