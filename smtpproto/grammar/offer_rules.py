"""What a server may offer in its reply to EHLO, and which parameter values its offer excludes."""

from __future__ import annotations

from .extension import EXTENSIONS, Extension, Extensions
from .parameters import Body, MailParameters, RcptParameters
from .reply import GrammarError, Reply
from .scheduling import ByMode, DeliverBy

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
    for keyword, text in offered.keywords.items():
        if keyword in EXTENSIONS:
            _check_row(EXTENSIONS[keyword], text, offered)
        elif not keyword.startswith("X"):
            raise ValueError(f"{keyword} is neither implemented nor private (RFC 5321 2.2.2)")


def _check_row(row: Extension, text: str, offered: Extensions) -> None:
    if missing := sorted(row.requires - offered.keywords.keys()):
        raise ValueError(f"{row.keyword} cannot be offered without {', '.join(missing)}")
    try:
        row.parse_parameters(text)
    except GrammarError as error:
        raise ValueError(f"{row.keyword} {text}".rstrip() + f": {error.message}") from None


def refusal_of(parameters: MailParameters | RcptParameters, offered: Extensions) -> Reply | None:
    """Return the reply with which a server refuses a value that its offer excludes, or None.

    The caller has checked that *parameters* belong to keywords in *offered*.
    """
    if isinstance(parameters, RcptParameters):
        orcpt = parameters.orcpt
        needs_utf8 = orcpt is not None and not orcpt.isascii and "SMTPUTF8" not in offered
        return _ORCPT_NOT_ASCII if needs_utf8 else None
    body, by = parameters.body, parameters.by
    if body is not None and not _allows_body(body, offered):
        return _BODY_NOT_OFFERED
    if by is not None and not _allows_deliver_by(by, offered):
        return _BY_TOO_SHORT
    held = parameters.hold_for is not None or parameters.hold_until is not None
    return _HELD_TOO_LONG if held and not _allows_hold(parameters, offered) else None


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


def _allows_body(body: Body, offered: Extensions) -> bool:
    """Return whether *body* is offered: each value but 7BIT is the keyword of its extension."""
    return body is Body.SEVEN_BIT or body.value in offered


def _allows_deliver_by(by: DeliverBy, offered: Extensions) -> bool:
    least = offered.deliver_by_min
    return by.mode is ByMode.NOTIFY or least is None or by.seconds >= least


def _allows_hold(parameters: MailParameters, offered: Extensions) -> bool:
    longest = offered.future_release
    if longest is None:
        return True
    if parameters.hold_for is not None:
        return parameters.hold_for <= longest.seconds
    return parameters.hold_until is None or parameters.hold_until <= longest.until
