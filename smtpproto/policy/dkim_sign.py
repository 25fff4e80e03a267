"""Signing messages (RFC 6376 5, RFC 8301, RFC 8463).

::

    signer = DKIMSigner(DKIM("example.org", selector="s1", key=key))
    fields = await signer.sign(message, now=time.time())
    signed = fields + message

A signer is a function from the header section and the body of a message, and the envelope, to
fields that go before them. DKIM makes no use of the envelope; what succeeds it (DKIM2) will, and
needs another signer, but no other place to call it from.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import BinaryIO

from attrs import field, frozen
from attrs.validators import gt, optional

from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.reply import GrammarError
from ..mail.header import is_field_name
from ..option_types import checked, wrong_type
from ..ports import result
from .canonical import BodyHash, Canonicalization
from .dkim_signature import complete, is_within, make_signature, signed_octets
from .header_section import HeaderReader, HeaderSection, feed_source, from_domains
from .keys import Algorithm, SigningKey

__all__ = ["DKIM", "DKIMSigner", "Signing"]

SIGNED = (
    "From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To",
    "References", "Resent-Date", "Resent-From", "Resent-To", "Resent-Cc", "MIME-Version",
    "Content-Type", "Content-Transfer-Encoding", "List-Id", "List-Help", "List-Unsubscribe",
    "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
)  # fmt: skip
"""The fields that are signed if a message has them (RFC 6376 5.4.1, RFC 8058 4)."""
OVERSIGNED = (
    "From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "MIME-Version",
    "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post",
)  # fmt: skip
"""The fields of which none can be added without breaking the signature (RFC 6376 8.15)."""

_KEPT = 64  # choices of fields that were put in order


def as_domain(value: str) -> str:
    """Return a domain in A-labels, as it is written into a signature (RFC 6376 3.5). Raises
    GrammarError, which quotes *value*."""
    try:
        return lower(Domain(value, loose=True).a_labels().name)
    except GrammarError as error:
        raise GrammarError(f"not a domain name: {value[:100]!r}: {error.message}") from None


def as_names(value: Iterable[str]) -> tuple[str, ...]:
    """Return names of fields. Raises GrammarError and TypeError."""
    if isinstance(value, str):
        raise TypeError("names of fields cannot be one str; pass an iterable of str")
    names = tuple(value)
    for name in names:
        if not is_field_name(name) or ";" in name:
            raise GrammarError(f"not the name of a field that can be signed: {name!r}")
    return names


@lru_cache(_KEPT)
def _order(
    signed: tuple[str, ...], oversigned: tuple[str, ...]
) -> tuple[tuple[bytes, str, int], ...]:
    """Return each name in lower case and as it is written, with how often it stands in ``h=``
    beyond the fields that are there."""
    names = {lower(name): name for name in ("From", *oversigned, *signed)}
    more = {lower(name) for name in oversigned}
    return tuple((key.encode(), name, int(key in more)) for key, name in names.items())


def names_of(
    header: HeaderSection, signed: tuple[str, ...], oversigned: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of the fields of *header* that are signed, for ``h=``: each as often as it
    is there, and once more if none may be added. From is always among them."""
    return tuple(
        name
        for key, name, extra in _order(signed, oversigned)
        for _ in range(len(header.named(key)) + extra)
    )


@checked
@frozen
class DKIM:
    """A key of a domain, with which a :class:`DKIMSigner` signs."""

    domain: str = field(converter=as_domain)
    """Signs messages from this domain and its subdomains; ``d=`` of the signatures."""
    selector: str = field(converter=as_domain, kw_only=True)
    """Where the key is published: ``<selector>._domainkey.<domain>``."""
    key: SigningKey = field(kw_only=True, repr=False)
    """Signs, for example a :class:`.PrivateKey`."""
    identity: str = field(default="", kw_only=True)
    """``i=``: ``@`` and the domain, or a subdomain of it; a local-part may stand before the ``@``.
    "": it is left out."""
    subdomains: bool = field(default=True, kw_only=True)
    """Whether to sign messages from subdomains, too."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(getattr(self.key, "algorithm", None), Algorithm):
            instead = 'PrivateKey.load(Path("s1.pem")), or what has an Algorithm and can sign'
            raise wrong_type("key", self.key, instead)
        if "." not in self.domain:
            raise GrammarError(f"a domain that signs has two labels or more: {self.domain!r}")
        if self.identity:
            _, at, domain = self.identity.rpartition("@")
            if not at or not is_within(as_domain(domain), self.domain):
                raise GrammarError(f"identity must end with @{self.domain}, or with a subdomain")

    def covers(self, domain: str) -> bool:
        """Return whether this signs messages from *domain*, in A-labels and lower case."""
        return domain == self.domain or (self.subdomains and is_within(domain, self.domain))


def _as_keys(value: DKIM | Iterable[DKIM]) -> tuple[DKIM, ...]:
    return (value,) if isinstance(value, DKIM) else tuple(value)


@checked
@frozen
class DKIMSigner:
    """Signs messages by the domain in their From field.

    The keys of the longest domain that fits are used, all of them: with one for RSA and one for
    Ed25519, each message gets two signatures (RFC 8463 3). ``l=`` is never written: anybody could
    add to such a message (RFC 6376 8.2).
    """

    keys: tuple[DKIM, ...] = field(converter=_as_keys)
    """The keys of one domain, or of several."""
    signed: tuple[str, ...] = field(default=SIGNED, converter=as_names, kw_only=True)
    """The fields that are signed, each as often as a message has it; From always is."""
    oversigned: tuple[str, ...] = field(default=OVERSIGNED, converter=as_names, kw_only=True)
    """Those of which none can be added later."""
    header_form: Canonicalization = field(default=Canonicalization.RELAXED, kw_only=True)
    """How much header fields may change."""
    body_form: Canonicalization = field(default=Canonicalization.RELAXED, kw_only=True)
    """How much the body may change."""
    lifetime: float | None = field(default=None, validator=optional(gt(0)), kw_only=True)
    """The seconds until a signature expires (``x=``). None: never."""

    def start(self) -> Signing:
        """Return what takes the slices of a message."""
        return Signing(self)

    async def sign(self, source: bytes | BinaryIO | Iterable[bytes], *, now: float) -> bytes:
        """Return the fields to put before the message *source*; ``b""`` if no key covers the domain
        of its From field.

        *source* is octets, a file, or octets in pieces. Its lines may end with CRLF, LF or CR: what
        is signed is the message with CRLF, as it will be sent. A seekable file is set back. *now*
        is the time in seconds since the epoch. Raises GrammarError as :meth:`Signing.finish` does.
        """
        signing = self.start()
        feed_source(signing.feed, source)
        return await signing.finish(now=now)

    def keys_for(self, domain: str) -> tuple[DKIM, ...]:
        """Return the keys that sign messages from *domain*, in A-labels and lower case."""
        found = [key for key in self.keys if key.covers(domain)]
        longest = max((len(key.domain) for key in found), default=0)
        return tuple(key for key in found if len(key.domain) == longest)


class Signing:
    """Signs one message, whose octets come in slices: :meth:`feed` them, then :meth:`finish`."""

    def __init__(self, signer: DKIMSigner) -> None:
        self._signer = signer
        self._header = HeaderReader()
        self._body = BodyHash(signer.body_form)

    def feed(self, data: bytes) -> None:
        """Take the next slice, with CRLF line ends. Raises GrammarError if the header section is
        longer than 1 MiB."""
        self._body.feed(self._header.feed(data))

    async def finish(self, *, now: float) -> bytes:
        """Return the fields to put before the message, whose octets were all fed; ``b""`` if no key
        covers the domain of the From field.

        Raises GrammarError if the message has not exactly one From field, with an address, or if a
        line of its header section is not a field. What a key raises leaves this function.
        """
        self._header.finish()
        header = HeaderSection(self._header.octets)
        domains = from_domains(header)
        keys = dict.fromkeys(key for domain in domains for key in self._signer.keys_for(domain))
        body_hash = self._body.finish()
        return b"".join([await self._sign(key, header, body_hash, now) for key in keys])

    async def _sign(self, key: DKIM, header: HeaderSection, body_hash: bytes, now: float) -> bytes:
        signer = self._signer
        timestamp, lifetime = int(now), signer.lifetime
        signature = make_signature(
            key.key.algorithm.value,
            key.domain,
            key.selector,
            names_of(header, signer.signed, signer.oversigned),
            body_hash,
            b"",
            signer.header_form,
            signer.body_form,
            None,
            timestamp,
            None if lifetime is None else timestamp + max(int(lifetime), 1),
            key.identity,
        )
        unsigned = signature.format()
        fields = [field for _, field in header.select(signature.header_names)]
        octets = signed_octets(fields, unsigned, signer.header_form)
        return complete(unsigned, await result(key.key.sign(octets))) + b"\r\n"
