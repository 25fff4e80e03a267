"""What a server may offer in its reply to EHLO, and which parameter values its offer excludes."""

from __future__ import annotations

from .extension import EXTENSIONS, Extensions
from .parameters import Body, MailParameters, RcptParameters
from .reply import Reply
from .scheduling import ByMode

# RFC 5321 4.1.1.11 answers MAIL with 555 if a parameter cannot be implemented. 504 is not among
# MAIL's codes (4.3.2), and 501 would mean that the value is unknown.
_BODY_NOT_OFFERED = Reply(555, "5.5.4", "Value of BODY not offered")
_BY_TOO_SHORT = Reply(555, "5.5.4", "Deliver-by time below the minimum")  # RFC 2852 3
_HELD_TOO_LONG = Reply(501, "5.5.4", "Held longer than offered")  # RFC 4865 4.2
_ORCPT_NOT_ASCII = Reply(501, "5.5.4", "ORCPT needs SMTPUTF8")  # RFC 6533 3


def check_offer(offered: Extensions) -> None:
    """Raise ValueError unless a server may offer *offered*.

    Each keyword must be known to this library or private (X...), its parameters well-formed, and
    the keywords that it requires must be offered too.
    """
    for row in offered.rows:
        if missing := sorted(row.requires - offered.keywords.keys()):
            raise ValueError(f"{row.keyword} cannot be offered without {', '.join(missing)}")
        text = offered.keywords[row.keyword]
        if fault := row.fault_in(text):
            raise ValueError(f"{row.keyword} {text}".rstrip() + f": {fault.message}")
    for keyword in offered:
        if not (keyword in EXTENSIONS or keyword.startswith("X")):
            raise ValueError(f"{keyword} is neither implemented nor private (RFC 5321 2.2.2)")


def refusal_of(parameters: MailParameters | RcptParameters, offered: Extensions) -> Reply | None:
    """Return the reply with which a server refuses a value that its offer excludes, or None.

    The caller has checked that *parameters* belong to keywords in *offered*.
    """
    if isinstance(parameters, RcptParameters):
        orcpt = parameters.orcpt
        needs_utf8 = orcpt is not None and not orcpt.isascii and "SMTPUTF8" not in offered
        return _ORCPT_NOT_ASCII if needs_utf8 else None
    body, by = parameters.body, parameters.by
    if not (body is None or body is Body.SEVEN_BIT or body.value in offered):
        return _BODY_NOT_OFFERED
    if by is not None and by.mode is ByMode.RETURN and by.seconds < (offered.deliver_by_min or 0):
        return _BY_TOO_SHORT
    longest, held_for, until = offered.future_release, parameters.hold_for, parameters.hold_until
    if longest is not None and (
        (held_for or 0) > longest.seconds or (until or longest.until) > longest.until
    ):
        return _HELD_TOO_LONG
    return None


def not_offered_reason(
    parameters: MailParameters | RcptParameters, offered: Extensions
) -> str | None:
    """Return why a client must not send *parameters* to a server that offers *offered*, or None."""
    if not parameters.given:
        return None
    verb = "MAIL" if isinstance(parameters, MailParameters) else "RCPT"
    for keyword in parameters.given:
        if keyword not in offered.parameters[verb]:
            return f"the server does not offer {keyword}"
    refusal = refusal_of(parameters, offered)
    return None if refusal is None else refusal.text
