"""Collects what came of TLS, for the reports of a day (RFC 8460 4)."""

from __future__ import annotations

from collections import Counter

from attrs import define, evolve, field

from ..limits import TLS_REPORT_DOMAINS, TLS_REPORT_FAILURES, TLS_REPORT_POLICIES
from .tls_report import ReportedPolicy, TLSFailure, TLSPolicyResult

__all__ = ["TLSResults"]


@define(eq=False)
class _Counts:
    successes: int = 0
    failed: int = 0
    failures: Counter[TLSFailure] = field(factory=Counter)


@define(eq=False)
class TLSResults:
    """Counts sessions by domain and policy. Take them once a day, when the day in UTC is over.

    It keeps the results of 10 000 domains, 20 policies of each, and 100 kinds of failures of each
    policy; beyond that, other domains and policies are not counted, and other failures only in
    their sum.
    """

    _domains: dict[str, dict[ReportedPolicy, _Counts]] = field(factory=dict, init=False)

    def add(self, domain: str, policy: ReportedPolicy, failure: TLSFailure | None = None) -> None:
        """Count a session with a host of *domain*, which met *policy*, or failed by *failure*."""
        policies = self._domains.get(domain)
        if policies is None:
            if len(self._domains) >= TLS_REPORT_DOMAINS:
                return
            policies = self._domains[domain] = {}
        if policy not in policies and len(policies) >= TLS_REPORT_POLICIES:
            return
        counts = policies.setdefault(policy, _Counts())
        if failure is None:
            counts.successes += 1
            return
        counts.failed += failure.count
        kind = evolve(failure, count=0)
        if kind in counts.failures or len(counts.failures) < TLS_REPORT_FAILURES:
            counts.failures[kind] += failure.count

    def take(self) -> dict[str, tuple[TLSPolicyResult, ...]]:
        """Return the results by domain, and begin anew."""
        taken, self._domains = self._domains, {}
        return {
            domain: tuple(_result(policy, counts) for policy, counts in policies.items())
            for domain, policies in taken.items()
        }


def _result(policy: ReportedPolicy, counts: _Counts) -> TLSPolicyResult:
    failures = (evolve(kind, count=count) for kind, count in counts.failures.items())
    return TLSPolicyResult(
        policy=policy,
        successes=counts.successes,
        failed=counts.failed,
        failures=tuple(failures),
    )
