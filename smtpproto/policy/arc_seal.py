"""Adding to the Authenticated Received Chain of a message that is passed on (RFC 8617 5.1).

::

    sealing = ARCSealer(DKIM("example.org", selector="s1", key=key)).start()
    for data in slices:
        sealing.feed(data)
    fields = await sealing.finish(check, "mx.example.org; spf=pass ...", now=time.time())

*check* is what an :class:`.ARCVerifier` found.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import field, frozen

from ..grammar.reply import GrammarError
from ..option_types import checked
from ..ports import result
from .arc import MAX_SETS, ARCCheck, ARCResult, set_fields
from .canonical import BodyHash, Canonicalization
from .dkim_sign import DKIM, SIGNED, as_names, names_of
from .dkim_signature import complete, signed_octets, write_signature
from .header_section import HeaderReader, HeaderSection

__all__ = ["ARCSealer", "Sealing"]

_RELAXED: Final = Canonicalization.RELAXED
_ADDED = ("DKIM-Signature",)  # signed besides what DKIM signs
_NOT_SIGNED = (  # RFC 8617 4.1.2
    "arc-authentication-results",
    "arc-message-signature",
    "arc-seal",
    "authentication-results",
    "return-path",
)


@checked
@frozen
class ARCSealer:
    """Seals messages by one key. The domain is that of the host, whatever the From field says."""

    key: DKIM
    """The key; its ``identity`` and ``subdomains`` mean nothing here."""
    signed: tuple[str, ...] = field(default=SIGNED + _ADDED, converter=as_names, kw_only=True)
    """The fields that are signed if a message has them."""

    def __attrs_post_init__(self) -> None:
        for name in self.signed:
            if name.lower() in _NOT_SIGNED:
                raise GrammarError(f"a message signature of ARC must not sign {name}")

    def start(self) -> Sealing:
        """Return what takes the slices of a message."""
        return Sealing(self)


class Sealing:
    """Seals one message, whose octets come in slices: :meth:`feed` them, then :meth:`finish`."""

    def __init__(self, sealer: ARCSealer) -> None:
        self._sealer = sealer
        self._header = HeaderReader()
        self._body = BodyHash(_RELAXED)

    def feed(self, data: bytes) -> None:
        """Take the next slice, with CRLF line ends. Raises GrammarError if the header section is
        longer than 1 MiB."""
        self._body.feed(self._header.feed(data))

    async def finish(self, check: ARCCheck, results: str, *, now: float) -> bytes:
        """Return the three fields to put before the message, whose octets were all fed; ``b""`` if
        the chain cannot be continued, because it failed at an earlier host or has 50 sets.

        *check* is the result for the chain of this message, *results* the value of an
        Authentication-Results field (RFC 8601), *now* the time in seconds since the epoch. Raises
        GrammarError if *results* is not one field, or if the header section is malformed or has no
        From field.
        """
        self._header.finish()
        header = HeaderSection(self._header.octets)
        if header.fault or not header.named(b"from"):
            raise GrammarError(header.fault or "there is no From field to sign")
        instance = len(check.sets) + 1
        if instance > MAX_SETS or (check.sets and check.sets[-1].chain == "fail"):
            return b""
        found = _results(instance, results)
        message = await self._message_signature(header, instance, now)
        before = set_fields(header) if check.result is ARCResult.PASS else []
        seal = await self._seal([*before, found, message], instance, check.result, now)
        return b"\r\n".join([seal, message, found, b""])

    async def _message_signature(self, header: HeaderSection, instance: int, now: float) -> bytes:
        names = names_of(header, self._sealer.signed, ())
        tags = {"i": instance, **self._tags(), "c": "relaxed/relaxed", "t": int(now)}
        body_hash = self._body.finish()
        unsigned = write_signature("ARC-Message-Signature", tags, names, body_hash)
        fields = [it for _, it in header.select([name.encode().lower() for name in names])]
        return await self._signed(fields, unsigned)

    async def _seal(
        self, fields: list[bytes], instance: int, chain: ARCResult, now: float
    ) -> bytes:
        tags = {"i": instance, **self._tags(), "t": int(now), "cv": chain.value}
        return await self._signed(fields, write_signature("ARC-Seal", tags))

    def _tags(self) -> dict[str, object]:
        key = self._sealer.key
        return {"a": key.key.algorithm.value, "d": key.domain, "s": key.selector}

    async def _signed(self, fields: list[bytes], unsigned: bytes) -> bytes:
        octets = signed_octets(fields, unsigned, _RELAXED)
        return complete(unsigned, await result(self._sealer.key.key.sign(octets)))


def _results(instance: int, results: str) -> bytes:
    value = results.strip()
    if not value or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.replace("\r\n ", "")):
        raise GrammarError("results must be the value of one Authentication-Results field")
    return f"ARC-Authentication-Results: i={instance}; {value}".encode()
