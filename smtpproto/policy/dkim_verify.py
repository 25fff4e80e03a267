"""Verifying the signatures of a message (RFC 6376 6, RFC 8301 3, RFC 8463, RFC 8616 5).

::

    verifier = DKIMVerifier()
    for data in slices:
        verifier.feed(data)
    for it in await verifier.results(resolver, keys, now=time.time()):
        print(it.result.value, it.domain, it.reason)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from ..dns import Resolver
from ..option_types import require_type
from .dkim_check import DKIMCheck, DKIMLimits, DKIMResult
from .dkim_signature import DKIMSignature
from .header_section import HeaderReader, HeaderSection, feed_source
from .key_lookup import KeyLookup
from .keys import Keys
from .signature_check import BodyHashes, SignatureCheck

__all__ = ["DKIMVerifier", "verify_dkim"]

_DEFAULT = DKIMLimits()


class DKIMVerifier:
    """Verifies the DKIM signatures of one message, whose octets come in slices.

    :meth:`feed` the slices, with CRLF line ends, then ask for the :meth:`results`. It keeps the
    header section in memory, and nothing of the body.
    """

    def __init__(self, limits: DKIMLimits = _DEFAULT) -> None:
        require_type("limits", limits, DKIMLimits, "DKIMLimits(...)")
        self._limits = limits
        self._reader = HeaderReader()
        self._bodies = BodyHashes()
        self._checks: list[SignatureCheck] | None = None  # None: the header was not read yet
        self._left_out = 0  # signatures

    def feed(self, data: bytes) -> None:
        """Take the next slice. Raises GrammarError if the header section is longer than 1 MiB."""
        data = self._reader.feed(data)
        if self._reader.ended:
            if self._checks is None:
                self._checks = self._begin()
            self._bodies.feed(data)

    @property
    def header(self) -> bytes:
        """The header section; ``b""`` until its end was fed, or :meth:`finish` was called."""
        return self._reader.octets

    def finish(self) -> None:
        """Take note that the whole message was fed. :meth:`results` does so, too."""
        self._reader.finish()
        if self._checks is None:
            self._checks = self._begin()
        self._bodies.finish()

    async def results(self, resolver: Resolver, keys: Keys, *, now: float) -> list[DKIMCheck]:
        """Return a result for each signature of the message, whose octets were all fed, from the
        top. For a message without signatures it is one result, which is NONE.

        *now* is the time in seconds since the epoch. Each key is asked for once. Raises nothing but
        what *resolver* raises. If a result is TEMPERROR, this may be called again later.
        """
        self.finish()
        lookup = KeyLookup(resolver, keys, self._limits)
        results = [await check.result(lookup, now) for check in self._checks or ()]
        if self._left_out:
            reason = f"{self._left_out} more signatures were not verified"
            results.append(DKIMCheck(result=DKIMResult.POLICY, reason=reason))
        return results or [DKIMCheck(result=DKIMResult.NONE, reason="there is no signature")]

    def _begin(self) -> list[SignatureCheck]:
        """Read the header section, and begin to check its signatures."""
        header, limits = HeaderSection(self._reader.octets), self._limits
        fields = header.named(b"dkim-signature")
        self._left_out = len(fields[limits.signatures :])
        return [
            SignatureCheck(it, DKIMSignature.parse, header, self._bodies, limits)
            for it in fields[: limits.signatures]
        ]


async def verify_dkim(
    source: bytes | BinaryIO | Iterable[bytes],
    resolver: Resolver,
    keys: Keys,
    *,
    now: float,
    limits: DKIMLimits = _DEFAULT,
) -> list[DKIMCheck]:
    """Return the results for the message *source*: octets, a file, or octets in pieces.

    Its lines may end with CRLF, LF or CR. Raises GrammarError if its header section is longer than
    1 MiB.
    """
    verifier = DKIMVerifier(limits)
    feed_source(verifier.feed, source)
    return await verifier.results(resolver, keys, now=now)
