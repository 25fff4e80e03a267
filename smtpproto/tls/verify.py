"""Whose certificate a client takes, and the one it shows itself: values, without TLS."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Protocol, Self

from attrs import field, frozen

from ..grammar.secret import Secret

_SHA256 = 32  # octets


class Path(Protocol):
    """A path that is no string, as those of ``pathlib``."""

    def __fspath__(self) -> str: ...


def _text(value: str | bytes | Path | None) -> str | None:
    """A path, or PEM, as text. Raises ValueError for octets that are no PEM, and for nothing: by
    that OpenSSL would understand the system's CAs."""
    if isinstance(value, bytes):
        if b"-----BEGIN" not in value:
            raise ValueError("certificates of CAs are given as PEM")
        return value.decode(errors="replace")
    text = value if value is None or isinstance(value, str) else value.__fspath__()
    if text == "":
        raise ValueError("no CA: it is a path, or PEM")
    return text


def _all_octets(values: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(map(bytes, values))


def _fingerprint(text: str) -> bytes:
    """SHA-256 in hexadecimal digits, with or without colons. Raises ValueError."""
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}", text):
        raise ValueError("a fingerprint is SHA-256: 64 hexadecimal digits")
    return bytes.fromhex(text.replace(":", ""))


@frozen
class TLSVerify:
    """How a client verifies a server's certificate; see the class methods, which make it."""

    ca: str | None = field(default=None, converter=_text)
    """The CAs to trust: PEM, or the path of a file of it; None for the system's."""
    fingerprints: tuple[bytes, ...] = field(default=(), converter=_all_octets)
    """SHA-256 of the certificates to take, in octets; then neither CA nor name counts."""
    at_all: bool = True
    """Whether anything is verified."""

    def __attrs_post_init__(self) -> None:
        if (self.ca is not None) + bool(self.fingerprints) + (not self.at_all) > 1:
            raise ValueError("verify by CA, by fingerprint, or not at all: one of them")
        if any(len(one) != _SHA256 for one in self.fingerprints):
            raise ValueError("a fingerprint is SHA-256: 32 octets")

    @classmethod
    def by_name(cls) -> Self:
        """The certificate must be of one of the system's CAs, and for the server's name."""
        return cls()

    @classmethod
    def by_ca(cls, ca: str | bytes | Path) -> Self:
        """Likewise, of one of the CAs in *ca*: PEM, or the path of a file of it. Raises ValueError
        if that is empty."""
        return cls(ca=ca or "")

    @classmethod
    def by_fingerprint(cls, *fingerprints: str) -> Self:
        """The certificate must be one of these, whoever issued it and for whatever name: SHA-256 as
        64 hexadecimal digits, with or without colons. Raises ValueError."""
        if not fingerprints:
            raise ValueError("verify by fingerprint needs one at least")
        return cls(fingerprints=tuple(map(_fingerprint, fingerprints)))

    @classmethod
    def nothing(cls) -> Self:
        """Anybody's certificate will do: TLS then keeps out only who does not take part."""
        return cls(at_all=False)

    @classmethod
    def named(cls, name: str) -> Self:
        """What ``"name"`` or ``"none"`` stands for. Raises ValueError for others."""
        match name:
            case "name":
                return cls.by_name()
            case "none":
                return cls.nothing()
        raise ValueError('verify is "name", "none" or a Verify')


def has_fingerprint(certificate: bytes | None, fingerprints: tuple[bytes, ...]) -> bool:
    """Whether *certificate*, in DER, is one of those; the time taken does not tell which."""
    own = hashlib.sha256(certificate or b"").digest()
    matches = [hmac.compare_digest(own, other) for other in fingerprints]
    return certificate is not None and any(matches)


def _secret(value: Secret | str | bytes | None) -> Secret | None:
    return value if value is None or isinstance(value, Secret) else Secret(value)


def _path(value: str | Path) -> str:
    return value if isinstance(value, str) else value.__fspath__()


def _optional_path(value: str | Path | None) -> str | None:
    return None if value is None else _path(value)


@frozen
class ClientCertificate:
    """What a client shows of itself: a certificate and its key, in files of PEM."""

    certfile: str = field(converter=_path)
    """The certificate, and those that lead to its CA; also the key, if it has no file of its own.
    """
    keyfile: str | None = field(default=None, converter=_optional_path)
    password: Secret | None = field(default=None, converter=_secret)
    """By which the key is encrypted."""
