"""The parts of a URL with user, password, host and port, decoded.

The errors never quote the URL, because there may be a password in it.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv6Address

from .domain import Domain
from .pattern import pattern
from .reply import GrammarError

_URL = pattern(
    r"""(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://
        (?:(?P<user>[^:@/?#]*)(?P<colon>:(?P<password>[^@/?#]*))?@)?
        (?P<host>\[[^\[\]@/?#]*\]|[^\[\]:@/?#]*)
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>/[^?#@]*)?
        (?:\?(?P<query>[^#@]*))?""",  # an @ here would end a password with / or ? in it
    re.VERBOSE,
)

Match = re.Match[str]
"""A URL whose parts are still encoded: the groups scheme, user, password, host, port, path, query.
"""


def match_url(url: str, form: str) -> Match:
    """Return the parts of *url*. Raises GrammarError, which says what *form* it should have."""
    _refuse_controls(url, 0)
    match = _URL.fullmatch(url)
    if match is None:
        text = f"not a URL of the form {form}; percent-encode special characters"
        raise GrammarError(text)
    return match


def text_of(match: Match, group: str) -> str:
    """Return a group, decoded; "" if it is absent. Raises GrammarError."""
    return decoded(match[group] or "", match.start(group))


def login_of(match: Match) -> tuple[str, str] | None:
    """Return user and password; None if there is neither. Raises GrammarError for only one."""
    if match["user"] is None:
        return None
    user, password = text_of(match, "user"), text_of(match, "password")
    if not user or not password:
        text = "a URL needs both a user name and a password, or neither"
        raise GrammarError(text, offset=match.start("user"))
    return user, password


def host_of(match: Match) -> str:
    """Return the host, a name with A-labels or an address without brackets. Raises GrammarError."""
    host = text_of(match, "host")
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        return str(Domain(host, loose=True).a_labels())
    except ValueError:  # GrammarError is one
        text = "not a host name or address in the URL"
        raise GrammarError(text, offset=match.start("host")) from None


def port_of(match: Match, default: int) -> int:
    """Return the port, or *default* if there is none. Raises GrammarError."""
    port = default if match["port"] is None else int(match["port"])
    if not 0 < port < 65536:
        raise GrammarError(
            "no such port in the URL; a port is 1 to 65535", offset=match.start("port")
        )
    return port


def decoded(part: str, offset: int) -> str:
    """Undo percent-encoding (RFC 3986 2.1). Raises GrammarError."""
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415  # only URLs need it

    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        text = "% without two hexadecimal digits in the URL; write %25 for a percent sign"
        raise GrammarError(text, offset=offset)
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeError:
        raise GrammarError("the URL is not UTF-8 after percent-decoding", offset=offset) from None
    _refuse_controls(text, offset)
    return text


def _refuse_controls(text: str, offset: int) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise GrammarError("the URL contains a control character", offset=offset)
