"""The Sender Rewriting Scheme (SRS): the sender of forwarded mail becomes an address here, so that
SPF passes at the next host, and reports find their way back.

There is no RFC. The format is that of libsrs2, Mail::SRS and postsrsd::

    SRS0=hash=stamp=example.net=ann@here               for ann@example.net
    SRS1=hash=first.example=rest@here                  for SRS0rest@first.example

The hash is the first characters of the base64 of HMAC-SHA1 over all that follows it, in lower case
and without the ``=`` between: servers may change the case of a local-part. The stamp is the day, in
base32, modulo 1024. SRS1 leads to the first server that forwarded a message, not to the last one.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress

from attrs import field, frozen
from attrs.validators import and_, ge, le, min_len

from ..errors import GrammarError
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.domain import Host, to_ascii_host, to_host
from ..grammar.pattern import pattern
from ..grammar.secret import Secret, keeps_secret_arguments
from ..option_types import checked

__all__ = ["SRS"]

_DAY, _DAYS = 86400, 1024
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TAG = pattern(r"SRS[01][=+-]", re.IGNORECASE)
_SRS0 = pattern(r"SRS0[=+-]([^=]+)=([A-Z2-7]{2})=([^=]+)=(.*)", re.IGNORECASE | re.DOTALL)
_SRS1 = pattern(r"SRS1[=+-]([^=]+)=([^=]+)=([=+-].+)", re.IGNORECASE | re.DOTALL)
_LONGEST = 27  # characters of SHA-1 in base64 without padding


def _to_secrets(values: Iterable[Secret | str | bytes]) -> tuple[Secret, ...]:
    if isinstance(values, Secret | str | bytes):
        raise TypeError("secrets must be a list; pass [secret]")
    return tuple(it if isinstance(it, Secret) else Secret(it) for it in values)


@keeps_secret_arguments
@checked
@frozen
class SRS:
    """Rewrites senders: ``SRS("example.org", secrets=["..."])``.

    The MX of *domain* must lead to this server, and its SPF record must allow this server to send.
    """

    domain: Host = field(converter=to_ascii_host)
    """The domain of the addresses."""
    secrets: tuple[Secret, ...] = field(converter=_to_secrets, validator=min_len(1), kw_only=True)
    """The first makes addresses; those that any of them has made are valid. So a new one goes to
    the front, and an old one can be removed after *max_age* days."""
    max_age: int = field(default=21, validator=and_(ge(1), le(_DAYS // 2)), kw_only=True)
    """The days for which an address is valid."""
    hash_length: int = field(default=4, validator=and_(ge(4), le(_LONGEST)), kw_only=True)
    """The characters of a hash."""

    def forward(self, sender: ReversePath, now: float) -> ReversePath:
        """Return the address here that stands for *sender*.

        *now* is in seconds since the epoch. The null sender, senders at :attr:`domain`, and those
        whose address would be too long for a path remain as they are.
        """
        mailbox = sender.mailbox
        if mailbox is None or mailbox.domain is None or mailbox.domain == self.domain:
            return sender
        if "=" in (host := mailbox.domain.canonical):  # an address literal of no known kind
            return sender
        local_part = self._compiled(mailbox.local_part, host, now)
        with suppress(GrammarError):
            return ReversePath(Mailbox(local_part, self.domain, long=True))
        return sender

    def _compiled(self, local_part: str, host: str, now: float) -> str:
        if (guarded := _SRS1.fullmatch(local_part)) is not None:
            _, host, rest = guarded.groups()
            return f"SRS1={self._hash(self.secrets[0], host, rest)}={host}={rest}"
        if local_part[:4].upper() == "SRS0" and _TAG.match(local_part):
            rest = local_part[4:]
            return f"SRS1={self._hash(self.secrets[0], host, rest)}={host}={rest}"
        day = int(now // _DAY) % _DAYS
        stamp = _BASE32[day // 32] + _BASE32[day % 32]
        signed = self._hash(self.secrets[0], stamp, host, local_part)
        return f"SRS0={signed}={stamp}={host}={local_part}"

    def is_ours(self, path: ForwardPath) -> bool:
        """Return whether *path* looks like an address that :meth:`forward` has made."""
        return path.domain == self.domain and _TAG.match(path.local_part) is not None

    def reverse(self, path: ForwardPath, now: float) -> Mailbox | None:
        """Return the address for which *path* stands; None if it is forged, or too old."""
        with suppress(GrammarError):
            if (plain := _SRS0.fullmatch(path.local_part)) is not None:
                signed, stamp, host, local_part = plain.groups()
                if self._is_valid(signed, stamp, host, local_part) and self._is_recent(stamp, now):
                    return Mailbox(local_part, to_host(host), long=True)
            elif (guarded := _SRS1.fullmatch(path.local_part)) is not None:
                signed, host, rest = guarded.groups()
                if self._is_valid(signed, host, rest):
                    return Mailbox(f"SRS0{rest}", to_host(host), long=True)
        return None

    def _is_recent(self, stamp: str, now: float) -> bool:
        first, second = (_BASE32.index(it) for it in stamp.upper())
        return (int(now // _DAY) - (first * 32 + second)) % _DAYS <= self.max_age

    def _is_valid(self, signed: str, *parts: str) -> bool:
        given = signed[: self.hash_length].lower().encode()
        hashes = [self._hash(secret, *parts).lower().encode() for secret in self.secrets]
        return any(hmac.compare_digest(given, it) for it in hashes)

    def _hash(self, secret: Secret, *parts: str) -> str:
        data = "".join(parts).encode().lower()
        digest = hmac.digest(secret.reveal(), data, "sha1")
        return b64encode(digest).decode()[: self.hash_length]
