"""Certificates, read and verified with the library cryptography, for DANE.

cryptography is an extra: ``pip install "smtpproto-sansio[auth]"``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from itertools import pairwise

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError as _error:
    raise ImportError(
        "smtpproto.adapters.cryptography_certificates needs cryptography: "
        'pip install "smtpproto-sansio[auth]"'
    ) from _error

from ..errors import GrammarError

__all__ = ["CryptographyCertificates"]

_LONGEST = 10  # certificates of a path
# Those that a path can only be trusted with if they are evaluated (RFC 5280 4.2).
_UNKNOWN = (
    x509.NameConstraints, x509.PolicyConstraints, x509.InhibitAnyPolicy, x509.UnrecognizedExtension,
)  # fmt: skip
_SERVER = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
_Malformed = (
    ValueError, TypeError, UnsupportedAlgorithm,
    x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType,
)  # fmt: skip


class CryptographyCertificates:
    """Implements :class:`smtpproto.policy.Certificates`."""

    def public_key(self, certificate: bytes) -> bytes:
        """See :meth:`smtpproto.policy.Certificates.public_key`."""
        try:
            key = _read(certificate).public_key()
            return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except _Malformed:
            raise GrammarError("the server shows a malformed certificate") from None

    def path_fault(self, path: Sequence[bytes], names: Iterable[str], now: float) -> str:
        """See :meth:`smtpproto.policy.Certificates.path_fault`."""
        if len(path) > _LONGEST:
            return f"its chain has more than {_LONGEST} certificates"
        try:
            leaf, *others = map(_read, path)
            return _fault(
                _ordered(leaf, others), names, datetime.datetime.fromtimestamp(now, datetime.UTC)
            )
        except _Malformed:
            return "a certificate of its chain is malformed"


def _read(certificate: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate)


def _ordered(leaf: x509.Certificate, others: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the path from *leaf* to the last of *others*; servers show what is between in any
    order, and more than that (RFC 8446 4.4.2)."""
    if not others:
        return [leaf]
    anchor, path, left = others[-1], [leaf], others[:-1]
    while path[-1].issuer != anchor.subject:
        issuer = next((it for it in left if it.subject == path[-1].issuer), None)
        if issuer is None:
            break
        left.remove(issuer)
        path.append(issuer)
    return [*path, anchor]


def _fault(path: Sequence[x509.Certificate], names: Iterable[str], now: datetime.datetime) -> str:
    for it in path:
        if any(on.critical and isinstance(on.value, _UNKNOWN) for on in it.extensions):
            return "a certificate of its chain has a critical extension that is not known here"
        if not it.not_valid_before_utc <= now <= it.not_valid_after_utc:
            return "a certificate of its chain has expired, or is not valid yet"
        if not _is_for_servers(it):
            return "a certificate of its chain is not one for servers"
    for depth, (it, issuer) in enumerate(pairwise(path)):
        if not _may_issue(issuer, depth):
            return "a certificate of its chain was issued by one that is no CA"
        try:
            it.verify_directly_issued_by(issuer)
        except InvalidSignature:
            return "a signature of its chain is wrong"
        except ValueError:
            return "a certificate of its chain was issued by another one than the next"
    if not any(_is_for(name.lower(), own) for own in _names(path[0]) for name in names):
        return f"the certificate is for none of {', '.join(names)}"
    return ""


def _is_for_servers(certificate: x509.Certificate) -> bool:
    """Return whether *certificate* may be used for servers of TLS (RFC 5280 4.2.1.12)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return not _SERVER.isdisjoint(usage)


def _may_issue(issuer: x509.Certificate, depth: int) -> bool:
    """Return whether *issuer* is a CA that may have *depth* CAs below it."""
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    if not basic.ca or (basic.path_length is not None and depth > basic.path_length):
        return False
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [it.lower() for it in names.value.get_values_for_type(x509.DNSName)]


def _is_for(name: str, own: str) -> bool:
    """Return whether *own*, a name of a certificate, stands for *name*: it may have ``*`` as its
    first label (RFC 7672 3.2.3)."""
    first, dot, rest = own.partition(".")
    if first == "*" and "." in rest:
        return name.partition(".")[1:] == (dot, rest)
    return name == own
