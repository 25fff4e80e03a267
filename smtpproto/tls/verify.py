"""How a client verifies a server, and the certificate that the client shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol, Self, runtime_checkable

from attrs import field, frozen
from attrs.converters import optional

from ..grammar.domain import to_a_labels
from ..grammar.reply import GrammarError
from ..grammar.secret import Secret, keeps_secret_arguments
from ..option_types import checked

_SHA256 = 32  # octets


@runtime_checkable
class Path(Protocol):
    """A path that is not a string, for example ``pathlib.Path``."""

    def __fspath__(self) -> str:
        """Return the path as text."""
        ...


@runtime_checkable
class ChainJudge(Protocol):
    """Judges what a server shows, by rules of its own, for example those of DANE."""

    def fault(self, chain: Sequence[bytes]) -> str:
        """Return why *chain*, certificates in DER with the server's own first, is not to be
        trusted; "" if it is. Never raises."""
        ...


def _ca_text(value: str | bytes | Path | None) -> str | None:
    """Return a path, or PEM, as text. Raises ValueError for octets that are not PEM, and for empty
    text, which OpenSSL would take for the system's CAs."""
    if isinstance(value, bytes):
        if b"-----BEGIN" not in value:
            raise ValueError("CA certificates in octets must be PEM")
        return value.decode(errors="replace")
    text = value if value is None or isinstance(value, str) else value.__fspath__()
    if text == "":
        raise ValueError("an empty CA; pass PEM, or the path of a PEM file")
    return text


def _identities(values: Iterable[str]) -> tuple[str, ...]:
    """Return names with A-labels. Raises TypeError for a single str, GrammarError for no name."""
    if isinstance(values, str):
        raise TypeError("names cannot be one str; pass a list of names")
    names = tuple(values)
    if not all(names):
        raise GrammarError("an empty name cannot be verified")
    return tuple(map(to_a_labels, names))


def _octet_strings(values: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(map(bytes, values))


def _fingerprint(text: str) -> bytes:
    """Return the octets of a SHA-256 in hexadecimal digits, with or without colons.

    Raises ValueError for any other text.
    """
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}", text):
        raise ValueError(f"not a SHA-256 fingerprint: {text[:100]!r}; pass 64 hexadecimal digits")
    return bytes.fromhex(text.replace(":", ""))


@checked
@frozen
class TLSVerify:
    """How a client verifies a server's certificate. Use the class methods to make one."""

    ca: str | None = field(default=None, converter=_ca_text)
    """The CAs to trust: PEM, or the path of a PEM file. None: the system's."""
    fingerprints: tuple[bytes, ...] = field(default=(), converter=_octet_strings)
    """SHA-256 of the certificates to accept, 32 octets each; CA and name then do not count."""
    enabled: bool = True
    """Whether the client verifies anything."""
    names: tuple[str, ...] = field(default=(), converter=_identities)
    """The names of which the certificate must have one, if not the name of the server: those of
    hosts (DNS-ID), and with an underscore those of services (SRV-ID, RFC 4985), such as
    ``_submission.example.org``."""
    judge: ChainJudge | None = None
    """Decides about the certificates; CA and name then do not count."""

    def __attrs_post_init__(self) -> None:
        rules = (self.ca, self.judge, self.fingerprints or None, None if self.enabled else False)
        if sum(rule is not None for rule in rules) > 1:
            raise ValueError("set only one of ca, fingerprints, judge and enabled=False")
        if self.names and not self.by_authority:
            raise ValueError("names are compared only if a CA counts; leave them out")
        for fingerprint in self.fingerprints:
            if (size := len(fingerprint)) != _SHA256:
                raise ValueError(f"a SHA-256 fingerprint has {_SHA256} octets, not {size}")

    @property
    def by_authority(self) -> bool:
        """Whether a CA must have issued the certificate."""
        return self.enabled and not self.fingerprints and self.judge is None

    @classmethod
    def by_name(cls, *names: str) -> Self:
        """Require a certificate that one of the system's CAs issued for the server's name, or for
        one of *names* if there are any (RFC 7817 3)."""
        return cls(names=names)

    @classmethod
    def by_ca(cls, ca: str | bytes | Path) -> Self:
        """Require a certificate that one of the CAs in *ca* issued for the server's name.

        *ca* is PEM, or the path of a PEM file. Raises ValueError if it is empty.
        """
        return cls(ca=ca or "")

    @classmethod
    def by_fingerprint(cls, *fingerprints: str) -> Self:
        """Require one of these certificates, whatever its issuer and names.

        *fingerprints* are SHA-256 in 64 hexadecimal digits, with or without colons. Raises
        ValueError for any other text, and if there is none.
        """
        if not fingerprints:
            raise ValueError("by_fingerprint needs at least one fingerprint")
        return cls(fingerprints=tuple(map(_fingerprint, fingerprints)))

    @classmethod
    def by_judge(cls, judge: ChainJudge) -> Self:
        """Require what *judge* accepts, for example a :class:`smtpproto.policy.DANEJudge`."""
        return cls(judge=judge)

    @classmethod
    def none(cls) -> Self:
        """Accept any certificate. TLS then protects against passive eavesdroppers only."""
        return cls(enabled=False)

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the value for ``"name"`` or ``"none"``. Raises ValueError for any other name."""
        if name in ("name", "none"):
            return cls(enabled=name == "name")
        raise ValueError(f'verify must be "name", "none" or {cls.__name__}.by_ca("ca.pem")')


def fingerprint_of(certificate: bytes | None) -> bytes:
    """Return the SHA-256 of *certificate*, in DER."""
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(certificate or b"").digest()


def has_fingerprint(certificate: bytes | None, fingerprints: tuple[bytes, ...]) -> bool:
    """Return whether *certificate*, in DER, has one of *fingerprints* (SHA-256), in a time that
    does not depend on which one."""
    import hmac  # noqa: PLC0415

    own = fingerprint_of(certificate)
    matches = [hmac.compare_digest(own, other) for other in fingerprints]
    return certificate is not None and any(matches)


def _secret(value: Secret | str | bytes | None) -> Secret | None:
    return value if value is None or isinstance(value, Secret) else Secret(value)


def _path(value: str | Path) -> str:
    return value if isinstance(value, str) else value.__fspath__()


@keeps_secret_arguments
@checked
@frozen
class ClientCertificate:
    """A client's certificate and its private key, in PEM files."""

    certfile: str = field(converter=_path)
    """The path of the certificate and its chain, and of the key unless *keyfile* has it."""
    keyfile: str | None = field(default=None, converter=optional(_path))
    """The path of the key."""
    password: Secret | None = field(default=None, converter=_secret)
    """The password that decrypts the key."""
