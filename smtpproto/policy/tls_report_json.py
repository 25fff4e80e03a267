"""Reports about TLS as JSON, with gzip or without (RFC 8460 4.4)."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import GrammarError
from ..grammar.timestamp import read_timestamp, write_timestamp
from ..limits import TLS_REPORT, TLS_REPORT_ENTRIES
from ..mail.parts import parts_of
from .report_file import expand
from .tls_report import ReportedPolicy, TLSFailure, TLSPolicyResult, TLSReport

__all__ = ["read_tls_report", "write_tls_report"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEDIA_TYPE = "application/tlsrpt"  # with +json, +gzip or nothing
_MOST = 2**63 - 1  # sessions
# Keys of a failure, and attributes.
_TEXTS = {
    "sending-mta-ip": "sending_ip",
    "receiving-mx-hostname": "host",
    "receiving-mx-helo": "helo",
    "receiving-ip": "receiving_ip",
    "additional-information": "information",
    "failure-reason-code": "reason",
}


def write_tls_report(report: TLSReport) -> bytes:
    """Return *report* as JSON with gzip: what has the type ``application/tlsrpt+gzip``."""
    value = {
        "organization-name": report.organization,
        "date-range": {"start-datetime": _time(report.start), "end-datetime": _time(report.end)},
        "contact-info": report.contact,
        "report-id": report.id,
        "policies": [*map(_result_to_json, report.results)],
    }
    return gzip.compress(json.dumps(value).encode(), mtime=0)


def read_tls_report(octets: bytes) -> TLSReport:
    """Return the report in *octets*: JSON, with gzip or without, or the whole mail that carries it.

    What is missing has its default; what is unknown is passed over. Raises GrammarError for what is
    no report, for values of other types, for more than 4 MiB, and for more than 10 000 policies
    and failures.
    """
    try:
        value = json.loads(_json(octets))
        return _report(_mapping(value))
    except (ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, GrammarError):
            raise
        raise GrammarError("not a report about TLS: it is no JSON") from None


def _time(seconds: float) -> str:
    return write_timestamp(_EPOCH + timedelta(seconds=int(seconds)))


def _result_to_json(result: TLSPolicyResult) -> dict[str, Any]:
    policy: dict[str, Any] = {"policy-type": result.policy.type}
    if result.policy.lines:
        policy["policy-string"] = result.policy.lines
    policy["policy-domain"] = result.policy.domain
    if result.policy.hosts:
        policy["mx-host"] = result.policy.hosts
    counts = {
        "total-successful-session-count": result.successes,
        "total-failure-session-count": result.failed,
    }
    failures = [*map(_failure_to_json, result.failures)]
    more = {"failure-details": failures} if failures else {}
    return {"policy": policy, "summary": counts, **more}


def _failure_to_json(failure: TLSFailure) -> dict[str, Any]:
    texts = {key: getattr(failure, name) for key, name in _TEXTS.items() if getattr(failure, name)}
    return {"result-type": failure.result, **texts, "failed-session-count": failure.count}


# -- reading ---------------------------------------------------------------------------------------


def _json(octets: bytes) -> bytes:
    """Return the JSON in *octets*. Raises GrammarError."""
    content = expand(octets, TLS_REPORT)
    if content.lstrip()[:1] != b"{":
        found = (it.body for it in parts_of(octets) if it.type.startswith(_MEDIA_TYPE))
        content = expand(next(found, b""), TLS_REPORT)
    if len(content) > TLS_REPORT:
        raise GrammarError(f"more than {TLS_REPORT} octets in a report")
    return content


def _report(value: dict[str, Any]) -> TLSReport:
    range_, policies = _mapping(value.get("date-range")), _list(value.get("policies"))
    entries = len(policies) + sum(
        len(_list(_mapping(it).get("failure-details"))) for it in policies
    )
    if entries > TLS_REPORT_ENTRIES:
        raise GrammarError(f"more than {TLS_REPORT_ENTRIES} policies and failures in a report")
    return TLSReport(
        organization=_text(value.get("organization-name")),
        contact=_text(value.get("contact-info")),
        id=_text(value.get("report-id")),
        start=_seconds(range_.get("start-datetime")),
        end=_seconds(range_.get("end-datetime")),
        results=tuple(_result(_mapping(it)) for it in policies),
    )


def _result(value: dict[str, Any]) -> TLSPolicyResult:
    policy, counts = _mapping(value.get("policy")), _mapping(value.get("summary"))
    return TLSPolicyResult(
        policy=ReportedPolicy(
            type=_text(policy.get("policy-type")),
            domain=_text(policy.get("policy-domain")),
            lines=_texts(policy.get("policy-string")),
            hosts=_texts(policy.get("mx-host")),
        ),
        successes=_count(counts.get("total-successful-session-count")),
        failed=_count(counts.get("total-failure-session-count")),
        failures=tuple(_failure(_mapping(it)) for it in _list(value.get("failure-details"))),
    )


def _failure(value: dict[str, Any]) -> TLSFailure:
    return TLSFailure(
        result=_text(value.get("result-type")),
        count=_count(value.get("failed-session-count")),
        **{name: _text(value.get(key)) for key, name in _TEXTS.items()},
    )


def _mapping(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong("an object")
    return value


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong("a list")
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong("text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    """Return a list of texts; many programs write one text in place of a list."""
    return (value,) if isinstance(value, str) else tuple(map(_text, _list(value)))


def _count(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise _wrong("a number of sessions")
    return value


def _seconds(value: object) -> float:
    text = _text(value)
    if not text:
        raise _wrong("a date-time")
    return read_timestamp(text).timestamp()


def _wrong(what: str) -> GrammarError:
    return GrammarError(f"not a report about TLS: {what} must be where something else is")
