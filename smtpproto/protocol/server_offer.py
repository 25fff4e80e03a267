"""What a server offers in its reply to EHLO."""

from __future__ import annotations

from collections.abc import Mapping

from ..grammar.extension import EXTENSIONS, Extensions
from ..grammar.offer_rules import check_offer
from ..limits import Limits
from .server_state import ServerState

_USUAL = (
    "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES",
    "HELP",
)  # fmt: skip
_LARGEST = 999_999  # that LIMITS can say


def offer(server: ServerState) -> Extensions:
    """What EHLO offers now, by what the server was told and by whether TLS is active. Raises
    ValueError for what makes no sense."""
    size = server.limits.message_size
    keywords: dict[str, str | None] = dict.fromkeys(_USUAL, "")
    keywords["SIZE"] = "" if size is None else str(size)
    keywords["LIMITS"] = _limits(server.limits)
    if server.submission:
        keywords["DSN"] = ""
    if server.starttls and not server.secure:
        keywords["STARTTLS"] = ""
    if server.mechanisms and (server.secure or server.auth_in_clear):
        keywords["AUTH"] = " ".join(server.mechanisms)
    own = [verb.keyword or verb.command.verb for verb in server.verbs]
    for keyword in own:
        keywords.setdefault(keyword, "")
    keywords |= server.extensions
    if not server.secure:
        keywords["REQUIRETLS"] = None  # RFC 8689 2
    usual = {key: text for key, text in keywords.items() if text is not None}
    known = {key: text for key, text in usual.items() if key in EXTENSIONS or key not in own}
    check_offer(Extensions(known))
    _check_kind(server, usual)
    return Extensions(usual)


def _check_kind(server: ServerState, offered: Mapping[str, str]) -> None:
    """Raise ValueError for what a server of this kind must not, or must, offer."""
    if "ETRN" in offered and server.submission:
        raise ValueError("ETRN is not offered by submission servers (RFC 6409 7)")
    if server.lmtp and not offered.keys() >= {"PIPELINING", "ENHANCEDSTATUSCODES"}:
        raise ValueError("LMTP has PIPELINING and ENHANCEDSTATUSCODES always (RFC 2033 5)")


def _limits(limits: Limits) -> str | None:
    """The parameters of LIMITS (RFC 9422): what is really applied."""
    known = {"RCPTMAX": limits.recipients, "MAILMAX": limits.transactions}
    said = [f"{name}={n}" for name, n in known.items() if n is not None and n <= _LARGEST]
    return " ".join(said) or None
