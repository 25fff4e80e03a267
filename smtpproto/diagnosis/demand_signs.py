"""The refusals with which large receivers enforce what they demand (``receivers.py``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from .receivers import BULK, DEMANDS, Demand, Need
from .signs import Sign, you

__all__ = ["DEMAND_SIGNS"]

_TEXTS = {"Gmail": r"gsmtp|google\.com", "Yahoo": r"yahoo|policy reasons|unauthenticated"}
_FAULTS = {Need.PTR: "no-reverse-name", Need.TLS: "tls-required"}
_MENDS: Mapping[Need, str] = {
    Need.AUTHENTICATION: "publish an SPF record that allows the sending address, or sign with DKIM",
    Need.SPF: "publish an SPF record that allows the sending address",
    Need.DKIM: "sign with DKIM, and publish the key",
    Need.DMARC_RECORD: "publish a DMARC record",
    Need.ALIGNMENT: "use the domain in From for DKIM or for the envelope sender, too",
    Need.PTR: "let the provider of the address set its PTR record to a name that leads back to it",
    Need.TLS: "send over TLS: use STARTTLS where it is offered",
    Need.ONE_CLICK: "add the fields of RFC 8058",
}


def _signs() -> Iterator[Sign]:
    """Yield a sign for each reply by which a receiver refuses."""
    groups: dict[tuple[str, str], list[Demand]] = defaultdict(list)
    for demand in DEMANDS:
        if demand.reply:
            groups[demand.receiver, demand.reply].append(demand)
    for (receiver, reply), demands in groups.items():
        yield _sign(receiver, reply, demands)


def _sign(receiver: str, reply: str, demands: Sequence[Demand]) -> Sign:
    bulk = f", from senders of {BULK}" if all(it.bulk for it in demands) else ""
    needs = "; ".join(it.need.value for it in demands)
    mends = "; ".join(_MENDS[it.need] for it in demands)
    enhanced = reply.partition(" ")[2]
    cause = you(
        f"{receiver} takes mail only if all of this is true{bulk}: {needs}."
        if len(demands) > 1
        else f"{receiver} takes mail only if this is true{bulk}: {needs}.",
        f"{mends[0].upper()}{mends[1:]}. smtpproto doctor DOMAIN shows the records.",
        demands[0].source,
    )
    return Sign(
        fault=_FAULTS.get(demands[0].need, "not-authenticated"),
        receiver=receiver,
        codes=(f"x{enhanced[1:]}",),
        text=_TEXTS.get(receiver, ""),
        alone=receiver not in _TEXTS,
        causes=(cause,),
    )


DEMAND_SIGNS = tuple(_signs())
"""A sign for each refusal: receivers begin with 4yz and go on with 5yz, so the class is open."""
