"""Conditions that an offer has to meet, and those that it sets."""

from __future__ import annotations

from .extension import EXTENSIONS, Extension, Extensions
from .parameters import Body, MailParameters, RcptParameters
from .reply import GrammarError, Reply
from .scheduling import ByMode, DeliverBy

# 555 is RFC 5321 4.1.1.11's reply to MAIL with a parameter that cannot be implemented; 504 is none
# of those to MAIL (4.3.2), and 501 would say that nobody knows the value.
_NOT_OFFERED = Reply(555, "5.5.4", "Value of BODY not offered")
_TOO_SOON = Reply(555, "5.5.4", "Deliver-by time below the minimum")  # RFC 2852 3
_TOO_LONG = Reply(501, "5.5.4", "Held longer than offered")  # RFC 4865 4.2
_NOT_ASCII = Reply(501, "5.5.4", "ORCPT needs SMTPUTF8")  # RFC 6533 3


def check_offer(offered: Extensions) -> None:
    """Raise ValueError unless a server may offer this: keywords known here or private ones (X...),
    with those that they need, and with parameters that they may have."""
    for keyword, text in offered.keywords.items():
        if keyword in EXTENSIONS:
            _check_row(EXTENSIONS[keyword], text, offered)
        elif not keyword.startswith("X"):
            raise ValueError(f"{keyword} is neither implemented nor private (RFC 5321 2.2.2)")


def _check_row(row: Extension, text: str, offered: Extensions) -> None:
    if missing := sorted(row.requires - offered.keywords.keys()):
        raise ValueError(f"{row.keyword} is offered only together with {', '.join(missing)}")
    try:
        row.parse_parameters(text)
    except GrammarError as error:
        raise ValueError(f"{row.keyword} {text}".rstrip() + f": {error.message}") from None


def refusal_of(parameters: MailParameters | RcptParameters, offered: Extensions) -> Reply | None:
    """What a server answers to *parameters* that are well-formed, and are of keywords in *offered*,
    but whose values its offer excludes; None if it excludes none of them."""
    if isinstance(parameters, RcptParameters):
        ascii_only = "SMTPUTF8" not in offered
        return _NOT_ASCII if ascii_only and not str(parameters).isascii() else None
    if not _takes_body(parameters.body, offered):
        return _NOT_OFFERED
    if not _takes_time(parameters.by, offered):
        return _TOO_SOON
    return None if _holds(parameters, offered) else _TOO_LONG


def not_offered_reason(
    parameters: MailParameters | RcptParameters, offered: Extensions
) -> str | None:
    """Why a client does not say *parameters* to a server that offers *offered*; None if it may."""
    verb = "MAIL" if isinstance(parameters, MailParameters) else "RCPT"
    for parameter in parameters.parameters():
        if parameter.keyword not in offered.parameters[verb]:
            return f"the server does not offer {parameter.keyword}"
    refusal = refusal_of(parameters, offered)
    return None if refusal is None else refusal.text


def _takes_body(body: Body | None, offered: Extensions) -> bool:
    """The value is the keyword of the extension that has it, but for 7BIT."""
    return body in (None, Body.SEVEN_BIT) or body.value in offered


def _takes_time(by: DeliverBy | None, offered: Extensions) -> bool:
    least = offered.deliver_by_min
    return by is None or by.mode is ByMode.NOTIFY or least is None or by.seconds >= least


def _holds(parameters: MailParameters, offered: Extensions) -> bool:
    longest = offered.future_release
    if longest is None:
        return True
    if parameters.hold_for is not None:
        return parameters.hold_for <= longest.seconds
    return parameters.hold_until is None or parameters.hold_until <= longest.until
