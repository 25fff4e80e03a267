"""The parameters of EHLO keywords, as a client reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.ehlo_parameters import FutureRelease, SessionLimits
from tests.support.parameters import offered

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
NO_LIMITS = SessionLimits()


@pytest.mark.req("RFC1870-3-01")
@pytest.mark.parametrize(
    ("line", "size"),
    [("SIZE", None), ("SIZE 0", None), ("SIZE 00", None), ("SIZE 1000", 1000), ("SIZE 01000", 1000),
     (f"SIZE {'9' * 20}", 10**20 - 1), (f"SIZE {'9' * 21}", None), ("SIZE x", None),
     ("SIZE -1", None), ("SIZE +1", None), ("SIZE 1_0", None), ("SIZE 1 2", None),
     ("SIZE 0x10", None)],
)  # fmt: skip
def test_the_size_keyword_announces_the_largest_message(line: str, size: int | None) -> None:
    assert offered(line).size == size
    assert "SIZE" in offered(line)


def test_there_is_no_size_limit_without_the_keyword() -> None:
    assert offered("HELP").size is None


@pytest.mark.req("RFC4954-3-01")
def test_the_mechanisms_of_the_auth_keyword_are_read_in_upper_case() -> None:
    assert offered("AUTH PLAIN scram-sha-256  LOGIN").mechanisms == (
        "PLAIN", "SCRAM-SHA-256", "LOGIN",
    )  # fmt: skip
    assert offered("AUTH=PLAIN").mechanisms == ("PLAIN",)
    assert offered("AUTH").mechanisms == offered().mechanisms == ()


@pytest.mark.req("RFC9422-3-01", "RFC9422-3-02", "RFC9422-3-03", "RFC9422-3-04")
@pytest.mark.parametrize(
    ("line", "limits"),
    [("LIMITS MAILMAX=10 rcptmax=100", SessionLimits(mail_max=10, rcpt_max=100)),
     ("limits RcptDomainMax=1", SessionLimits(rcpt_domain_max=1)),
     ("LIMITS MAILMAX=999999", SessionLimits(mail_max=999999)),
     ("LIMITS FOO=1 RCPTMAX=5", SessionLimits(rcpt_max=5)),
     ("LIMITS FOO RCPTMAX=5 B-A_R=a=b", SessionLimits(rcpt_max=5)),
     # malformed: ignored as a whole
     ("LIMITS", NO_LIMITS), ("LIMITS RCPTMAX=a;b", NO_LIMITS), ("LIMITS =5", NO_LIMITS),
     ("LIMITS MAILMAX=5 =5", NO_LIMITS), ("LIMITS MAILMAX=5 RCPTMAX=", NO_LIMITS),
     ("LIMITS MAILMAX=5 A.B=1", NO_LIMITS),
     ("LIMITS MAILMAX=5 RCPTMAX=a;b", NO_LIMITS),
     # a bad value: only that limit is ignored
     ("LIMITS RCPTMAX=x MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=0 MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=01 MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=1000000 MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX MAILMAX=5", SessionLimits(mail_max=5)),
     ("LIMITS RCPTMAX=-1 RCPTDOMAINMAX=+1 MAILMAX=1.0", NO_LIMITS)],
)  # fmt: skip
def test_limits_are_read_without_those_that_are_malformed(line: str, limits: SessionLimits) -> None:
    assert offered(line).limits == limits
    assert offered(f"LIMITS {limits}").limits == limits


def test_there_are_no_limits_without_the_keyword() -> None:
    assert offered().limits == NO_LIMITS
    assert str(NO_LIMITS) == ""
    assert str(SessionLimits(rcpt_domain_max=3, mail_max=1)) == "MAILMAX=1 RCPTDOMAINMAX=3"


@pytest.mark.parametrize("limit", [0, -1, 1_000_000])
def test_a_session_limit_is_1_to_999999(limit: int) -> None:
    for name in ("mail_max", "rcpt_max", "rcpt_domain_max"):
        with pytest.raises(GrammarError):
            SessionLimits(**{name: limit})


@pytest.mark.req("RFC2852-2-01")
@pytest.mark.parametrize(
    ("line", "seconds"),
    [("DELIVERBY", None), ("DELIVERBY 240", 240), ("DELIVERBY ,x", None),
     ("DELIVERBY 240,x,y=1", 240), ("DELIVERBY 999999999", 999999999), ("DELIVERBY 0", 0),
     ("DELIVERBY 1234567890", None),
     ("DELIVERBY -1", None), ("DELIVERBY x", None), ("DELIVERBY 1 2", None),
     ("DELIVERBY 1,", None)],
)  # fmt: skip
def test_the_deliverby_keyword_announces_the_minimum_by_time(
    line: str, seconds: int | None
) -> None:
    assert "DELIVERBY" in offered(line)
    assert offered(line).deliver_by_min == seconds


@pytest.mark.parametrize(
    ("line", "longest"),
    [("FUTURERELEASE 86400 2030-01-01T00:00:00Z", FutureRelease(86400, NEW_YEAR)),
     ("FUTURERELEASE 1 2030-01-01t00:00:00z", FutureRelease(1, NEW_YEAR)),
     ("FUTURERELEASE", None), ("FUTURERELEASE 86400", None),
     ("FUTURERELEASE 2030-01-01T00:00:00Z", None), ("FUTURERELEASE 0 2030-01-01T00:00:00Z", None),
     ("FUTURERELEASE 1000000000 2030-01-01T00:00:00Z", None), ("FUTURERELEASE 1 2030-01-01", None),
     ("FUTURERELEASE 1 2030-01-01T00:00:00Z x", None), ("FUTURERELEASE 1 x", None)],
)  # fmt: skip
def test_the_futurerelease_keyword_announces_the_longest_hold(
    line: str, longest: FutureRelease | None
) -> None:
    assert "FUTURERELEASE" in offered(line)
    assert offered(line).future_release == longest
    assert longest is None or FutureRelease.parse(str(longest)) == longest


@pytest.mark.req("RFC6710-3-01")
@pytest.mark.parametrize(
    ("line", "policy"),
    [("MT-PRIORITY", None), ("MT-PRIORITY MIXER", "MIXER"), ("mt-priority a.B-1_", "a.B-1_"),
     ("MT-PRIORITY " + "x" * 20, "x" * 20), ("MT-PRIORITY " + "x" * 21, None),
     ("MT-PRIORITY a=b", None), ("MT-PRIORITY a b", None)],
)  # fmt: skip
def test_the_mt_priority_keyword_announces_the_name_of_its_policy(
    line: str, policy: str | None
) -> None:
    assert "MT-PRIORITY" in offered(line)
    assert offered(line).priority_policy == policy


@pytest.mark.parametrize(
    ("line", "keywords"),
    [("NO-SOLICITING", ()), ("NO-SOLICITING net.example:ADV", ("net.example:ADV",)),
     ("NO-SOLICITING a,b", ("a", "b")), ("NO-SOLICITING a,", ()), ("NO-SOLICITING a b", ())],
)  # fmt: skip
def test_the_no_soliciting_keyword_announces_the_refused_classes(
    line: str, keywords: tuple[str, ...]
) -> None:
    assert "NO-SOLICITING" in offered(line)
    assert offered(line).solicitations == keywords


def test_keywords_that_are_not_offered_have_no_values() -> None:
    nothing = offered()
    assert nothing.deliver_by_min is None
    assert nothing.future_release is None
    assert nothing.priority_policy is None
    assert nothing.solicitations == ()
    assert nothing.size is None
