"""What large receivers demand of those who send to them, as data: the state of November 2026.

The demands and codes are as others quote them from the pages that are named here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from attrs import frozen

__all__ = ["DEMANDS", "Demand", "Need", "refusals"]


class Need(enum.Enum):
    """What a receiver may demand."""

    AUTHENTICATION = "SPF or DKIM passes"
    SPF = "SPF passes"
    DKIM = "DKIM passes"
    DMARC_RECORD = "the domain in From has a DMARC record"
    ALIGNMENT = "SPF or DKIM passes for the domain in From"
    PTR = "the address of the sending host has a name, which leads back to it"
    TLS = "the message comes over TLS"
    ONE_CLICK = "mail to lists can be unsubscribed with one click"


@frozen
class Demand:
    """What one receiver demands."""

    receiver: str
    need: Need
    reply: str
    """The code and the status of its refusal; "" if it filters instead, or does not say."""
    bulk: bool
    """Whether it demands it only of those who send it 5,000 messages a day or more."""
    source: str
    """The address of the page that says so."""

    def __str__(self) -> str:
        return f"{self.receiver} ({self.reply or 'or sorted out as spam'})"


BULK = "5,000 messages a day or more"

GUIDELINES = "https://support.google.com/a/answer/81126"
CODES = "https://support.google.com/a/answer/3726730"
OUTLOOK = (
    "https://support.microsoft.com/topic/"
    "fix-ndr-error-550-5-7-515-in-outlook-com-34cfe8f8-6fbf-457e-9e8b-9e4dbaf4e0ef"
)
YAHOO = "https://senders.yahooinc.com/best-practices/"

DEMANDS = (
    Demand("Gmail", Need.AUTHENTICATION, "550 5.7.26", False, GUIDELINES),
    Demand("Gmail", Need.PTR, "550 5.7.25", False, CODES),
    Demand("Gmail", Need.TLS, "550 5.7.29", False, CODES),
    Demand("Gmail", Need.SPF, "550 5.7.27", True, CODES),
    Demand("Gmail", Need.DKIM, "550 5.7.30", True, CODES),
    Demand("Gmail", Need.DMARC_RECORD, "550 5.7.40", True, CODES),
    Demand("Gmail", Need.ALIGNMENT, "550 5.7.32", True, CODES),
    Demand("Gmail", Need.ONE_CLICK, "", True, GUIDELINES),
    Demand("Outlook.com", Need.SPF, "550 5.7.515", True, OUTLOOK),
    Demand("Outlook.com", Need.DKIM, "550 5.7.515", True, OUTLOOK),
    Demand("Outlook.com", Need.DMARC_RECORD, "550 5.7.515", True, OUTLOOK),
    Demand("Outlook.com", Need.ALIGNMENT, "550 5.7.515", True, OUTLOOK),
    Demand("Yahoo", Need.AUTHENTICATION, "554 5.7.9", False, YAHOO),
    Demand("Yahoo", Need.PTR, "", False, YAHOO),
    Demand("Yahoo", Need.SPF, "554 5.7.9", True, YAHOO),
    Demand("Yahoo", Need.DKIM, "554 5.7.9", True, YAHOO),
    Demand("Yahoo", Need.DMARC_RECORD, "554 5.7.9", True, YAHOO),
    Demand("Yahoo", Need.ALIGNMENT, "554 5.7.9", True, YAHOO),
    Demand("Yahoo", Need.ONE_CLICK, "", True, YAHOO),
)
"""What large receivers demand of mail, each with the reply that they give otherwise."""


def refusals(*needs: Need) -> str:
    """Return which receivers refuse mail for lack of one of *needs*, and how, in sentences."""
    demands = [it for need in needs for it in DEMANDS if it.need is need]
    everybody = _said([it for it in demands if not it.bulk])
    many = _said([it for it in demands if it.bulk and it.receiver not in everybody])
    parts = [
        f"Refused by {everybody}" if everybody else "",
        f"Refused from senders of {BULK} by {many}" if many else "",
    ]
    return " ".join(f"{it}." for it in parts if it)


def _said(demands: Iterable[Demand]) -> str:
    return ", ".join(dict.fromkeys(str(it) for it in demands))
