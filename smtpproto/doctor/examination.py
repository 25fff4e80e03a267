"""The examination of a domain: all subjects, one after the other, within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from ..dns import Resolver
from ..policy.dkim_sign import as_domain
from ..policy.questions import Questions
from ..ports import CallAborted, Runtime
from . import (
    dane_findings,
    dkim_findings,
    dmarc_findings,
    mta_sts_findings,
    mx_findings,
    port_findings,
    ptr_findings,
    spf_findings,
    tls_rpt_findings,
)
from .facts import DoctorOptions, Facts
from .finding import Examination, Finding, Subject, warning

__all__ = ["CHECKS", "examine_domain"]

Check = Callable[[Facts], AsyncIterator[Finding]]

CHECKS: Mapping[Subject, Check] = {
    Subject.MX: mx_findings.check,
    Subject.SPF: spf_findings.check,
    Subject.DKIM: dkim_findings.check,
    Subject.DMARC: dmarc_findings.check,
    Subject.MTA_STS: mta_sts_findings.check,
    Subject.TLS_RPT: tls_rpt_findings.check,
    Subject.DANE: dane_findings.check,
    Subject.PTR: ptr_findings.check,
    Subject.PORT: port_findings.check,
}
"""What is looked at, in this order: what takes long comes last. The check of the ports also judges
what follows from the sessions: TLS, certificates and the addresses that every domain has."""

_DEFAULT = DoctorOptions()


async def examine_domain(
    domain: str, resolver: Resolver, runtime: Runtime, options: DoctorOptions = _DEFAULT
) -> Examination:
    """Examine how mail of *domain* travels, and return what was found.

    It asks the DNS and connects to hosts, and sends no mail. Whatever they answer is a finding.
    Raises GrammarError if *domain* is not a domain.
    """
    name = as_domain(domain.removesuffix("."))
    end = runtime.now() + options.seconds
    questions = Questions(resolver, options.questions, runtime.now, end)
    facts = Facts(name, questions, runtime, options, end)
    findings: list[Finding] = []
    for subject, check in CHECKS.items():
        reason = ""
        try:
            await runtime.within(end - runtime.now(), _collect(check(facts), findings))
        except CallAborted as error:
            reason = str(error)
        if facts.is_over:  # what blocks is not cancelled
            reason = f"the time of {options.seconds:g} seconds is over, also for what comes next"
        if reason:
            findings.append(_unfinished(name, subject, reason))
        if facts.is_over:
            break
    return Examination(about=name, findings=tuple(findings))


async def _collect(found: AsyncIterator[Finding], findings: list[Finding]) -> None:
    async for finding in found:
        findings.append(finding)


def _unfinished(domain: str, subject: Subject, reason: str) -> Finding:
    text = f"was not looked at to its end: {reason}"
    mend = "Mend what was slow first, or allow more time."
    return warning(subject, domain, text, "There may be more faults.", mend)
