"""The examination of a message at hand: who signed it, which way it came, what receivers say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from attrs import evolve, frozen

from ..diagnosis.receivers import BULK, DEMANDS, Demand, Need, refusals
from ..dns import Resolver
from ..errors import GrammarError
from ..grammar.printable import printable
from ..policy import (
    ARCCheck,
    ARCResult,
    AuthenticationResults,
    DKIMCheck,
    DKIMResult,
    DMARCCheck,
    DMARCResult,
    Keys,
    MessageCheck,
    MessageVerifier,
    SPFCheck,
    SPFRequest,
    SPFResult,
)
from ..policy.header_section import HeaderSection, feed_source
from ..policy.questions import Questions
from .finding import Examination, Finding, Severity, Subject, error, note, ok, warning
from .list_headers import field_text, is_for_a_list, judge_list, judge_one_click
from .ptr_findings import judge_address
from .received_path import Hop, judge_path, read_path

__all__ = ["examine_message"]

_TOLD = 300  # octets of what a host of a chain found out
_RESULTS = 20  # Authentication-Results fields that are read
_MENDS = {
    DKIMResult.FAIL: "Sign the message last, and let nothing change it after that.",
    DKIMResult.POLICY: "Sign it anew, with rsa-sha256, a key of 2048 bits, and without l= and x=.",
    DKIMResult.NEUTRAL: "Correct what makes the signature.",
    DKIMResult.PERMERROR: "Publish the key of the selector; smtpproto doctor looks at it.",
    DKIMResult.TEMPERROR: "Ask again later; mend the name servers of the domain.",
    DKIMResult.NONE: "Sign the message with a key of the domain in its From field.",
    DKIMResult.PASS: "",
}


@frozen(kw_only=True)
class _Facts:
    """What was found out about the message."""

    octets: bytes
    """The header section."""
    header: HeaderSection
    hops: Sequence[Hop]
    check: MessageCheck
    ptr: Finding | None
    """About the address of the client."""


async def examine_message(
    message: bytes | BinaryIO | Iterable[bytes],
    resolver: Resolver,
    keys: Keys,
    *,
    now: float,
    request: SPFRequest | None = None,
) -> Examination:
    """Examine *message*: octets, a file, or octets in pieces, with any line ends.

    *request* says which client has sent it, for SPF. None: as the first Received field and
    Return-Path say, which may be forged unless the message was received by a host that you trust.
    *now* is in seconds since the epoch: keys and signatures are judged as of then. Raises
    GrammarError if the header section has no field, or is longer than 1 MiB.
    """
    verifier = MessageVerifier(request)
    feed_source(verifier.feed, message)
    octets = verifier.finish()
    header = HeaderSection(octets)
    if not header.names:
        raise GrammarError(f"not a message: {header.fault or 'it has no header section'}")
    hops = read_path(field_text(it) for it in header.named(b"received"))
    verifier.request = request or _request(header, hops, now)
    questions = Questions(resolver)
    check = await verifier.check(questions, keys, now=now)
    ptr = None
    if verifier.request is not None:
        domain = check.spf.domain if check.spf else check.dmarc.author
        ptr = await judge_address(str(verifier.request.client), domain, questions)
    facts = _Facts(octets=octets, header=header, hops=hops, check=check, ptr=ptr)
    about = f"message from {check.dmarc.author or 'an unknown domain'}"
    return Examination(about=about, findings=tuple(_judge(facts)))


def _request(header: HeaderSection, hops: Sequence[Hop], now: float) -> SPFRequest | None:
    """Return who has sent the message as its fields tell it; None if they do not."""
    paths = header.named(b"return-path")
    if not hops or not hops[-1].address or not paths:
        return None
    sender = field_text(paths[0]).strip("<> ")
    last = hops[-1]
    return SPFRequest(client=last.address, helo=last.hello, sender=sender, now=now)


def _judge(facts: _Facts) -> Iterator[Finding]:
    check = facts.check
    for signature in check.dkim:
        yield from _signature(signature, check.dmarc)
    yield _spf(check.spf)
    yield _dmarc(check.dmarc)
    if check.arc is not None and check.arc.result is not ARCResult.NONE:
        yield _arc(check.arc)
    if facts.ptr is not None:
        yield facts.ptr
    yield from judge_path(facts.hops)
    yield from _results(facts.header)
    yield from judge_list(facts.octets, check.dkim)
    yield from _receivers(_needs(facts))


def _signature(check: DKIMCheck, dmarc: DMARCCheck) -> Iterator[Finding]:
    if check.signature is None:
        about, what, algorithm = "DKIM-Signature", check.reason, ""
    else:
        signature, algorithm = check.signature, check.signature.algorithm
        about = f"d={signature.domain} s={signature.selector}"
        what = f"{check.result.value}: {check.reason}"
    if not check.passed:
        judge = warning if check.result is DKIMResult.TEMPERROR else error
        yield judge(Subject.DKIM, about, what, refusals(Need.DKIM), _MENDS[check.result])
        return
    size = f"{algorithm}, {check.bits} bits, " if check.bits else ""
    aligned = any(
        it.aligned and it.method == "dkim" and it.domain == check.domain for it in dmarc.domains
    )
    how = "aligned" if aligned else "not aligned"
    signed = ", ".join(check.signed)
    text = f"passes ({size}{how} with the From field); signed are {signed}"
    yield ok(Subject.DKIM, about, text)
    if check.testing:
        mend = "Remove t=y from the key record."
        yield note(Subject.DKIM, about, "its key is in testing mode", mend)


def _spf(check: SPFCheck | None) -> Finding:
    if check is None:
        text = "was not checked: who sent the message is not known"
        return note(Subject.SPF, "SPF", text, "Give the address of the client, and the sender.")
    what = f"{check.result.value} for {check.client}: {check.reason}"
    if check.result is SPFResult.PASS:
        return evolve(ok(Subject.SPF, check.domain, what), detail=str(check.trace))
    mend = f"Let the SPF record of {check.domain} name {check.client}, or send from another host."
    found = error(Subject.SPF, check.domain, what, refusals(Need.SPF), mend)
    return evolve(found, detail=str(check.trace))


def _dmarc(check: DMARCCheck) -> Finding:
    about, what = check.author or "From", f"{check.result.value}: {check.reason}"
    story = "\n".join(map(str, check.steps))
    if check.result is DMARCResult.PASS:
        return evolve(ok(Subject.DMARC, about, what), detail=story)
    if check.result is DMARCResult.NONE:
        mend = f"Publish a DMARC record at _dmarc.{check.author}."
        found = error(Subject.DMARC, about, what, refusals(Need.DMARC_RECORD), mend)
    else:
        asked = f"The domain asks to {check.disposition.value} it. " * (
            check.disposition.value != "none"
        )
        mend = f"Sign with d={about}, or use a sender of this domain that SPF allows."
        if check.result is DMARCResult.PERMERROR:
            mend = "Write one From field with one address, and nothing malformed before it."
        why = f"{asked}{refusals(Need.ALIGNMENT)}"
        found = error(Subject.DMARC, about, what, why, mend)
    return evolve(found, detail=story)


def _arc(check: ARCCheck) -> Finding:
    hosts = []
    for it in check.sets:
        told = b" ".join(it.authentication_results.split())[:_TOLD].decode("utf-8", "replace")
        hosts.append(printable(f"{it.instance}: {it.domain}, cv={it.chain}: {told}"))
    text = f"{check.result.value}: {check.reason} (believe it only if you trust these hosts)"
    return evolve(note(Subject.ARC, "chain", text), detail="\n".join(hosts))


def _results(header: HeaderSection) -> Iterator[Finding]:
    for field in header.named(b"authentication-results")[:_RESULTS]:
        try:
            found = AuthenticationResults.parse(field_text(field))
        except GrammarError as malformed:
            text = f"the field cannot be read: {malformed.message}"
            yield note(Subject.AUTHENTICATION_RESULTS, "Authentication-Results", text)
            continue
        told = ", ".join(f"{it.method}={it.result}" for it in found.results) or "none"
        text = f"{told} (believe it only if that host is yours)"
        yield note(Subject.AUTHENTICATION_RESULTS, found.authserv_id, text)


def _needs(facts: _Facts) -> Mapping[Need, bool]:
    """Return which needs are met; what is not known is left out."""
    dkim = any(it.passed for it in facts.check.dkim)
    needs = {
        Need.DKIM: dkim,
        Need.DMARC_RECORD: facts.check.dmarc.record is not None,
        Need.ALIGNMENT: facts.check.dmarc.result is DMARCResult.PASS,
    }
    if facts.check.spf is not None:
        needs[Need.SPF] = facts.check.spf.result is SPFResult.PASS
        needs[Need.AUTHENTICATION] = dkim or needs[Need.SPF]
    elif dkim:
        needs[Need.AUTHENTICATION] = True
    if facts.ptr is not None:
        needs[Need.PTR] = facts.ptr.severity is Severity.OK
    if facts.hops:
        needs[Need.TLS] = facts.hops[-1].secure
    if is_for_a_list(facts.header):
        needs[Need.ONE_CLICK] = not judge_one_click(facts.octets, facts.check.dkim)
    return needs


def _receivers(needs: Mapping[Need, bool]) -> Iterator[Finding]:
    """Tell for each receiver what it misses."""
    for receiver in dict.fromkeys(it.receiver for it in DEMANDS):
        demands = [it for it in DEMANDS if it.receiver == receiver]
        missed = [it for it in demands if needs.get(it.need) is False]
        unknown = [it.need.value for it in demands if it.need not in needs]
        if not missed:
            more = f"; not known: {', '.join(unknown)}" if unknown else ""
            text = f"nothing that it demands is missing{more}"
            yield ok(Subject.RECEIVER, receiver, text)
            continue
        always, bulk = (_told(it for it in missed if it.bulk is bulk) for bulk in (False, True))
        parts = [f"not met: {always}" if always else ""]
        parts += [f"not met, for senders of {BULK}: {bulk}" if bulk else ""]
        yield Finding(
            subject=Subject.RECEIVER,
            severity=Severity.ERROR if always else Severity.WARNING,
            about=receiver,
            what="; ".join(filter(None, parts)),
        )


def _told(demands: Iterable[Demand]) -> str:
    return ", ".join(f"{it.need.value} ({it.reply or 'or sorted out as spam'})" for it in demands)
