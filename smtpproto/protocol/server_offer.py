"""The extensions that a server offers in its reply to EHLO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..grammar.extension import EXTENSIONS, Extensions
from ..grammar.offer_rules import check_offer
from ..limits import REPLY_LINE, Limits
from .server_state import ServerState

_ALWAYS = (
    "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES",
    "HELP",
)  # fmt: skip
_LARGEST_LIMIT = 999_999  # RFC 9422 3: at most six digits


def offer(server: ServerState) -> Extensions:
    """Return the offer for the next EHLO, which depends on the options and on whether TLS is
    active. Raise ValueError if the options contradict each other or an RFC."""
    size = server.limits.message_size
    keywords: dict[str, str | None] = dict.fromkeys(_ALWAYS, "")
    keywords["SIZE"] = "" if size is None else str(size)
    keywords["LIMITS"] = _limits_parameters(server.limits)
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
    offered = {key: text for key, text in keywords.items() if text is not None}
    known = {key: text for key, text in offered.items() if key in EXTENSIONS or key not in own}
    check_offer(Extensions(known))
    _check_role(server, offered)
    _check_lengths(Extensions(offered).lines())
    return Extensions(offered)


def _check_lengths(lines: Iterable[str]) -> None:
    """Raise ValueError for a line that would have to be folded: the client would read its second
    part as another keyword."""
    for line in lines:
        if len(f"250-{line}\r\n") > REPLY_LINE:
            keyword = line.partition(" ")[0]
            text = f"{keyword} has {len(line)} octets in the reply to EHLO; "
            raise ValueError(f"{text}at most {REPLY_LINE - 6} are allowed (RFC 5321 4.5.3.1.5)")


def _check_role(server: ServerState, offered: Mapping[str, str]) -> None:
    """Raise ValueError if a submission or LMTP server must not, or must, offer a keyword."""
    if "ETRN" in offered and server.submission:
        raise ValueError("ETRN is not offered by submission servers (RFC 6409 7)")
    if server.lmtp and not offered.keys() >= {"PIPELINING", "ENHANCEDSTATUSCODES"}:
        raise ValueError("LMTP servers must offer PIPELINING and ENHANCEDSTATUSCODES (RFC 2033 5)")


def _limits_parameters(limits: Limits) -> str | None:
    """Return the parameters of LIMITS (RFC 9422), or None if there are none to announce."""
    known = {"RCPTMAX": limits.recipients, "MAILMAX": limits.transactions}
    announced = {name: n for name, n in known.items() if n is not None and n <= _LARGEST_LIMIT}
    return " ".join(f"{name}={n}" for name, n in announced.items()) or None
