"""The Received-SPF field, which records the result of a check in the message (RFC 7208 9.1)."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ..grammar.local_part import ATOM
from ..grammar.pattern import pattern
from .field_text import FieldReader, comment, folded, word
from .spf import SPFCheck
from .spf_record import SPFResult

_DOT_ATOM = pattern(rf"{ATOM}(?:\.{ATOM})*")
_BARE = pattern(r'[^\x00-\x20\x7f"();,\\]+')  # what programs write without quotes
_NAME = pattern(r"[A-Za-z][A-Za-z0-9._-]*")
_WORD = pattern(r"[A-Za-z]+")
_NAMES = {
    "receiver": "receiver",
    "client-ip": "client_ip",
    "envelope-from": "envelope_from",
    "helo": "helo",
    "identity": "identity",
    "mechanism": "mechanism",
    "problem": "problem",
}


@frozen(kw_only=True)
class ReceivedSPF:
    """A Received-SPF field. "" means that a part is not there.

    ``bytes()`` writes it, with its name and CRLF, for a place above all other fields of the message
    (RFC 7208 9.1). What comes from the client is quoted, and cut where it would not fit into a
    line; control characters are escaped.
    """

    result: SPFResult
    comment: str = ""
    """For people."""
    receiver: str = ""
    """The host that made the check."""
    client_ip: str = ""
    envelope_from: str = ""
    """The sender, without brackets."""
    helo: str = ""
    identity: str = ""
    """``mailfrom`` or ``helo``: which one was checked."""
    mechanism: str = ""
    """The directive that matched, or ``default`` if none did."""
    problem: str = ""
    """What went wrong, if something did."""

    @classmethod
    def of(cls, check: SPFCheck, receiver: str) -> ReceivedSPF:
        """Return the field for *check*, which the host *receiver* made."""
        has_failed = check.result in (SPFResult.TEMPERROR, SPFResult.PERMERROR)
        evaluated = check.result in _EVALUATED
        return cls(
            result=check.result,
            comment=f"{receiver}: {check.reason}",
            receiver=receiver,
            client_ip=str(check.client),
            envelope_from=check.sender,
            helo=check.helo,
            identity=check.identity,
            mechanism=check.mechanism or ("default" if evaluated else ""),
            problem=check.reason if has_failed else "",
        )

    @classmethod
    def parse(cls, body: str) -> ReceivedSPF:
        """Read the body of a field. Raises GrammarError.

        Parts of unknown names are left out. Values without quotes may have characters such as ":",
        since many programs write them so.
        """
        reader = FieldReader(body)
        result = reader.match(_WORD, "a result of SPF").lower()
        try:
            found = SPFResult(result)
        except ValueError:
            raise reader.error(f"{result!r} is not a result of SPF") from None
        comments = reader.comments()
        values = dict(_pairs(reader))
        return cls(result=found, comment=" ".join(comments), **values)

    def __bytes__(self) -> bytes:
        parts = [self.result.value]
        if self.comment:
            parts.append(comment(self.comment))
        values = ((name, getattr(self, attribute)) for name, attribute in _NAMES.items())
        parts += [f"{name}={word(value, _DOT_ATOM)};" for name, value in values if value]
        return folded("Received-SPF", parts)


_EVALUATED = {SPFResult.PASS, SPFResult.FAIL, SPFResult.SOFTFAIL, SPFResult.NEUTRAL}


def _pairs(reader: FieldReader) -> Iterator[tuple[str, str]]:
    """Read ``key-value-pair *( ";" key-value-pair ) [ ";" ]``; yield those of known names."""
    while not reader.ended():
        name = _NAMES.get(reader.match(_NAME, "a name").lower())
        reader.expect("=")
        value = reader.word(_BARE, "a value")
        if name is not None:
            yield name, value
        if not reader.took(";") and not reader.ended():
            raise reader.error("';' must be here")
