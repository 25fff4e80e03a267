"""MTA-STS: the record and the policy of a domain that wants TLS for its mail (RFC 8461).

::

    policy = MTASTSPolicy.parse(octets)  # of https://mta-sts.example.org/.well-known/mta-sts.txt
    policy.allows("mx1.example.org")
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Self

from attrs import frozen

from ..errors import GrammarError
from ..grammar.domain import Domain, to_a_labels
from ..grammar.pattern import pattern
from ..grammar.printable import quoted
from ..limits import STS_MAX_AGE, STS_POLICY

__all__ = ["MTASTSMode", "MTASTSPolicy", "parse_sts_record", "sts_id"]

_VERSION = "STSv1"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}"
# sts-text-record of RFC 8461 3.1, whose values have neither blanks nor "=" nor ";".
_RECORD = pattern(rf"v=STSv1((?:[ \t]*;[ \t]*{_NAME}=[!-:<>-~]+)+)(?:[ \t]*;[ \t]*)?", re.ASCII)
_FIELD = pattern(rf";[ \t]*({_NAME})=([!-:<>-~]+)", re.ASCII)
_ID = pattern(r"[A-Za-z0-9]{1,32}", re.ASCII)
# sts-policy-field of RFC 8461 3.2; a value neither begins nor ends with a blank.
_LINE = pattern(rf"({_NAME}):[ \t]*([!-~\x80-\U0010ffff](?:[ -~\x80-\U0010ffff]*))")
_AGE = pattern(r"[0-9]{1,10}", re.ASCII)


class MTASTSMode(enum.Enum):
    """What a sender does with a host that fails the policy (RFC 8461 5)."""

    ENFORCE = "enforce"
    """It sends nothing to the host."""
    TESTING = "testing"
    """It delivers as without a policy, and reports the failure (RFC 8460)."""
    NONE = "none"
    """The domain has no policy any more."""


@frozen(kw_only=True)
class MTASTSPolicy:
    """The policy of a domain. :meth:`parse` reads one."""

    mode: MTASTSMode
    mx: tuple[str, ...] = ()
    """Names of hosts, in A-labels and lower case; ``*.`` stands for one label."""
    max_age: int = STS_MAX_AGE
    """Seconds for which the policy may be kept."""

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Return the policy that the file *octets* holds.

        Fields that are unknown are passed over, and so are those that stand a second time, but for
        mx. A max_age of more than a year counts as a year. Raises GrammarError for a file of more
        than 64 KiB, a line that is not a field, a field that is missing, and a value that is not
        allowed.
        """
        if len(octets) > STS_POLICY:
            raise GrammarError(f"more than {STS_POLICY} octets in a policy")
        try:
            lines = [line.removesuffix("\r") for line in octets.decode().split("\n")]
        except UnicodeDecodeError as error:
            raise GrammarError("a policy is not UTF-8", offset=error.start) from None
        if not lines[-1]:
            del lines[-1]
        fields, mx = dict[str, str](), list[str]()
        for name, value in map(_read_line, lines):
            if name == "mx":
                mx.append(_host_pattern(value))
            else:
                fields.setdefault(name, value)
        return cls(mode=_mode(fields, mx), mx=tuple(mx), max_age=_max_age(fields))

    def __bytes__(self) -> bytes:
        """Return the file: what :meth:`parse` reads."""
        mx = "".join(f"mx: {name}\r\n" for name in self.mx)
        head = f"version: {_VERSION}\r\nmode: {self.mode.value}\r\n"
        return f"{head}{mx}max_age: {self.max_age}\r\n".encode()

    def allows(self, host: str) -> bool:
        """Return whether *host*, a name in A-labels, is among the hosts of the policy."""
        name = host.lower().removesuffix(".")
        wildcard = "*." + name.partition(".")[2]
        return name in self.mx or ("." in name and wildcard in self.mx)


def parse_sts_record(octets: bytes) -> str:
    """Return the id in the TXT record *octets*: another one tells of another policy.

    Raises GrammarError if it is not a record of MTA-STS (RFC 8461 3.1).
    """
    text = octets.decode("ascii", "replace")
    if (match := _RECORD.fullmatch(text)) is None:
        raise GrammarError(f"not a record of MTA-STS: {quoted(text)}")
    name = next((value for name, value in _FIELD.findall(match[1]) if name == "id"), "")
    if not _ID.fullmatch(name):
        raise GrammarError(f"no id of 1 to 32 letters and digits: {quoted(text)}")
    return name


def sts_id(records: Iterable[bytes]) -> str:
    """Return the id in the one record of MTA-STS among TXT *records*.

    Raises GrammarError if there is none, or more than one, or if it is malformed; then the domain
    offers no policy (RFC 8461 3.1).
    """
    found = [record for record in records if record.startswith(b"v=STSv1;")]
    if len(found) != 1:
        raise GrammarError(f"{len(found)} records begin with v=STSv1;, and one is needed")
    return parse_sts_record(found[0])


def _read_line(line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line.rstrip(" \t"))
    if match is None:
        raise GrammarError(f"not a field of a policy: {quoted(line)}; write name: value")
    return match[1], match[2]


def _mode(fields: dict[str, str], mx: list[str]) -> MTASTSMode:
    if fields.get("version") != _VERSION:
        raise GrammarError(f"a policy needs version: {_VERSION}")
    try:
        mode = MTASTSMode(fields.get("mode", ""))
    except ValueError:
        raise GrammarError("a policy needs mode: enforce, testing or none") from None
    if not mx and mode is not MTASTSMode.NONE:
        raise GrammarError(f"a policy with mode: {mode.value} needs at least one mx")
    return mode


def _max_age(fields: dict[str, str]) -> int:
    value = fields.get("max_age", "")
    if not _AGE.fullmatch(value):
        raise GrammarError("a policy needs max_age: and a number of seconds")
    return min(int(value), STS_MAX_AGE)


def _host_pattern(value: str) -> str:
    wildcard = "*." if value.startswith("*.") else ""
    try:
        name = str(Domain(to_a_labels(value.removeprefix("*."))))
    except GrammarError as error:
        raise GrammarError(f"not a host, nor *. and a domain: {quoted(value)}") from error
    return (wildcard + name).lower()
