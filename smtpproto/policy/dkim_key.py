"""The key record of a selector, which a domain publishes in the DNS (RFC 6376 3.6.1)."""

from __future__ import annotations

import binascii
from typing import Self

from attrs import frozen

from ..grammar.reply import GrammarError
from ..option_types import checked
from .dkim_signature import base64_value, require_tags
from .tag_list import format_tag_list, parse_tag_list, without_blanks

__all__ = ["DKIMKey"]

_VERSION = "DKIM1"


@checked
@frozen(kw_only=True)
class DKIMKey:
    """What a key record says. :meth:`parse` reads one, :meth:`format` writes one."""

    public_key: bytes
    """``p=``: for ``rsa`` a SubjectPublicKeyInfo in DER, for ``ed25519`` the 32 octets of the key
    (RFC 8463 4); empty if the key was revoked."""
    key_type: str = "rsa"
    """``k=``"""
    hashes: tuple[str, ...] = ()
    """``h=``: the hash algorithms that may be used; () for all."""
    services: tuple[str, ...] = ("*",)
    """``s=``: what the key may be used for: ``*`` or ``email``."""
    flags: tuple[str, ...] = ()
    """``t=``: ``y`` and ``s``, see :attr:`testing` and :attr:`strict`. Others mean nothing."""

    @classmethod
    def parse(cls, record: bytes) -> Self:
        """Read the octets of a TXT record. Raises GrammarError if it is not a key record."""
        tags = parse_tag_list(record)
        if tags.get("v", _VERSION) != _VERSION or "v" in list(tags)[1:]:
            raise GrammarError("the record does not begin with v=DKIM1")
        require_tags(tags, {"p"})
        return cls(
            public_key=base64_value(tags, "p") if without_blanks(tags["p"]) else b"",
            key_type=tags.get("k", "rsa"),
            hashes=_words(tags.get("h", "")),
            services=_words(tags.get("s", "*")),
            flags=_words(tags.get("t", "")),
        )

    @property
    def revoked(self) -> bool:
        """Whether the domain has withdrawn the key."""
        return not self.public_key

    @property
    def testing(self) -> bool:
        """Whether the domain only tests DKIM (``t=y``)."""
        return "y" in self.flags

    @property
    def strict(self) -> bool:
        """Whether ``i=`` must have the domain of ``d=`` itself, not a subdomain (``t=s``)."""
        return "s" in self.flags

    @property
    def for_mail(self) -> bool:
        """Whether the key may be used for mail."""
        return not {"*", "email"}.isdisjoint(self.services)

    def format(self) -> str:
        """Return the text of the record. A TXT record has it in strings of at most 255 octets."""
        key = binascii.b2a_base64(self.public_key, newline=False).decode()
        tags = {
            "v": _VERSION,
            "k": self.key_type,
            "h": ":".join(self.hashes),
            "s": ":".join(self.services) if self.services != ("*",) else "",
            "t": ":".join(self.flags),
        }
        return format_tag_list({tag: value for tag, value in tags.items() if value} | {"p": key})


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip(" \t") for word in text.split(":"))))
