"""The record in which a domain says what receivers shall do with mail that fails DMARC, and where
they send reports (RFC 9989 4.7, 4.8)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Self
from urllib.parse import unquote

from attrs import define, field, frozen

from ..grammar.address import Mailbox
from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..limits import TAG_LIST
from ..option_types import checked

__all__ = ["DMARCPolicy", "DMARCRecord"]

_VERSION = pattern(r"[ \t]*[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_URI = pattern(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@$&'()*+;=%-]+")  # RFC 3986
_SIZE = pattern(r"![0-9]+[kmgtKMGT]?\Z")  # RFC 7489 6.2; ignored now
_REMOVED = ("pct", "rf", "ri")  # of RFC 7489
_FAILURE_OPTIONS = frozenset("01ds")
_MOST_URIS = 20  # of a list that is read
_MOST_FAULTS = 20  # that are told


class DMARCPolicy(enum.Enum):
    """What a domain asks receivers to do with mail that fails (RFC 9989 4.7)."""

    NONE = "none"
    """Nothing: deliver it as if there were no DMARC."""
    QUARANTINE = "quarantine"
    """Treat it as suspicious."""
    REJECT = "reject"
    """Refuse it."""


@checked
@frozen(kw_only=True)
class DMARCRecord:
    """What a DMARC record says. :meth:`parse` reads one, :meth:`format` writes one."""

    policy: DMARCPolicy = DMARCPolicy.NONE
    """``p=``: for mail from the domain itself."""
    subdomain_policy: DMARCPolicy | None = None
    """``sp=``: for mail from its subdomains. None: as :attr:`policy`."""
    nonexistent_policy: DMARCPolicy | None = None
    """``np=``: for mail from subdomains that do not exist. None: as for the others."""
    strict_dkim: bool = False
    """``adkim=s``: whether the domain of a signature must be the author's domain itself."""
    strict_spf: bool = False
    """``aspf=s``: whether the domain of the sender must be the author's domain itself."""
    aggregate_uris: tuple[str, ...] = ()
    """``rua=``: where aggregate reports go."""
    failure_uris: tuple[str, ...] = ()
    """``ruf=``: where reports about single messages go."""
    failure_options: tuple[str, ...] = ("0",)
    """``fo=``: for which failures: ``0``, ``1``, ``d``, ``s``."""
    public_suffix: bool | None = None
    """``psd=``: True for ``y``, a domain under which others register theirs; False for ``n``, an
    organizational domain; None for ``u``: the records above it decide."""
    testing: bool = False
    """``t=y``: the domain asks for the next weaker policy."""
    faults: tuple[str, ...] = field(default=(), eq=False)
    """What is wrong in the text that was read, and what to do, in words; printable."""
    usable: bool = True
    """Whether DMARC applies: False if a policy is malformed, and there is no address for reports
    either (RFC 9989 4.10.1)."""

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read the octets of a TXT record.

        Raises GrammarError only if it does not begin with ``v=DMARC1``: whatever else is wrong is
        among the :attr:`faults`, and counts as if it were not there (RFC 9989 4.7).
        """
        text = octets[:TAG_LIST].decode("utf-8", "replace")
        if not _VERSION.match(text):
            raise GrammarError("a DMARC record begins with v=DMARC1")
        reader = _Reader(text)
        tags = reader.read_tags()
        policy, valid = reader.policies(tags)
        aggregate = reader.uris(tags, "rua")
        if not valid:
            reader.blame("so the whole record counts as p=none, or as none without rua: correct it")
        return cls(
            policy=policy.get("p") or DMARCPolicy.NONE,
            subdomain_policy=policy.get("sp"),
            nonexistent_policy=policy.get("np"),
            strict_dkim=reader.choice(tags, "adkim", "rs") == "s",
            strict_spf=reader.choice(tags, "aspf", "rs") == "s",
            aggregate_uris=aggregate,
            failure_uris=reader.uris(tags, "ruf"),
            failure_options=reader.failure_options(tags),
            public_suffix={"y": True, "n": False}.get(reader.choice(tags, "psd", "uyn")),
            testing=reader.choice(tags, "t", "ny") == "y",
            faults=tuple(reader.faults),
            usable=valid or bool(aggregate),
        )

    def policy_for(self, *, subdomain: bool, exists: bool = True) -> DMARCPolicy:
        """Return the policy for mail from the domain of the record, or from a *subdomain*, which
        *exists* or does not. ``t=y`` is not considered."""
        if not subdomain:
            return self.policy
        inherited = self.subdomain_policy or self.policy
        return inherited if exists else self.nonexistent_policy or inherited

    def format(self) -> str:
        """Return the text of the record."""
        policies = {"sp": self.subdomain_policy, "np": self.nonexistent_policy}
        failures = self.failure_uris and self.failure_options != ("0",)
        tags = {
            "v": "DMARC1",
            "p": self.policy.value,
            **{tag: it.value for tag, it in policies.items() if it},
            "adkim": "s" if self.strict_dkim else "",
            "aspf": "s" if self.strict_spf else "",
            "rua": ",".join(self.aggregate_uris),
            "ruf": ",".join(self.failure_uris),
            "fo": ":".join(self.failure_options) if failures else "",
            "psd": {True: "y", False: "n", None: ""}[self.public_suffix],
            "t": "y" if self.testing else "",
        }
        return "; ".join(f"{tag}={value}" for tag, value in tags.items() if value)


def mailbox_of(uri: str) -> Mailbox | None:
    """Return the address of a ``mailto:`` URI; None if it is another one, or malformed."""
    scheme, _, rest = uri.partition(":")
    if lower(scheme) != "mailto":
        return None
    try:
        return Mailbox.parse(unquote(rest.partition("?")[0], errors="strict"))
    except ValueError:  # GrammarError and UnicodeDecodeError
        return None


@define(eq=False)
class _Reader:
    text: str
    faults: list[str] = field(factory=list)

    def blame(self, fault: str) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(printable(fault))

    def read_tags(self) -> dict[str, str]:
        """Return the tags after the version, with names in lower case."""
        tags: dict[str, str] = {}
        parts = self.text.split(";")[1:]
        for number, part in enumerate(parts):
            name, equals, value = part.partition("=")
            name = lower(name.strip(" \t"))
            if not part.strip(" \t"):
                if number < len(parts) - 1:
                    self.blame("there is nothing between two semicolons: remove one")
            elif not equals or not name.isalpha():
                self.blame(f"{part.strip()[:60]!r} is not a tag with a value, and is ignored")
            elif name in tags or name == "v":
                self.blame(f"a second {name[:20]}= is ignored: remove it")
            else:
                tags[name] = value.strip(" \t")
        self._blame_unknown(tags)
        return tags

    def _blame_unknown(self, tags: dict[str, str]) -> None:
        for name in tags:
            if name in _REMOVED:
                self.blame(f"{name}= means nothing since RFC 9989: remove it")
            elif name not in _TAGS:
                self.blame(f"{name[:20]}= is not a known tag, and is ignored")
        if "p" not in tags:
            self.blame("there is no p=, so it is none: write p=none, p=quarantine or p=reject")
        if "fo" in tags and "ruf" not in tags:
            self.blame("fo= means nothing without ruf=")

    def policies(self, tags: dict[str, str]) -> tuple[dict[str, DMARCPolicy], bool]:
        """Return the policies, and whether all that are given are valid. If they are not, there is
        none (RFC 9989 4.10.1)."""
        found: dict[str, DMARCPolicy] = {}
        for name in ("p", "sp", "np"):
            if name in tags:
                try:
                    found[name] = DMARCPolicy(lower(tags[name]))
                except ValueError:
                    words = "none, quarantine or reject"
                    self.blame(f"{name}={tags[name][:40]} must be {words}")
                    return {}, False
        return found, True

    def choice(self, tags: dict[str, str], name: str, letters: str) -> str:
        """Return the value of a tag that is one of *letters*, of which the first is the default."""
        value = lower(tags.get(name, letters[0]))
        if value in list(letters):
            return value
        self.blame(f"{name}={value[:40]} is ignored: it must be {' or '.join(letters)}")
        return letters[0]

    def failure_options(self, tags: dict[str, str]) -> tuple[str, ...]:
        if "ruf" not in tags:
            return ("0",)
        options = [lower(it.strip(" \t")) for it in tags.get("fo", "0").split(":")]
        known = tuple(dict.fromkeys(it for it in options if it in _FAILURE_OPTIONS))
        if len(known) < len(options):
            self.blame(f"fo={tags['fo'][:40]} must be a list of 0, 1, d and s, with colons")
        return known or ("0",)

    def uris(self, tags: dict[str, str], name: str) -> tuple[str, ...]:
        return tuple(self._uris(tags[name], name)) if name in tags else ()

    def _uris(self, value: str, name: str) -> Iterator[str]:
        written = value.split(",")
        if len(written) > _MOST_URIS:
            self.blame(f"only the first {_MOST_URIS} addresses of {name}= are used")
        for it in written[:_MOST_URIS]:
            uri = it.strip(" \t")
            size = _SIZE.search(uri)
            if size:
                self.blame(f"{size[0]} in {name}= means nothing since RFC 9989: remove it")
                uri = uri[: size.start()]
            if not _URI.fullmatch(uri):
                meant = f"; did you mean mailto:{uri[:60]}?" if "@" in uri else ""
                self.blame(f"{uri[:60]!r} in {name}= is not a URI, and is ignored{meant}")
            elif lower(uri[:7]) == "mailto:" and mailbox_of(uri) is None:
                self.blame(f"{uri[:60]!r} in {name}= has no address, and is ignored")
            else:
                yield uri


_TAGS = {"p", "sp", "np", "adkim", "aspf", "rua", "ruf", "fo", "psd", "t"}
