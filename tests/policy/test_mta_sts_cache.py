"""Policies of MTA-STS, found and kept (RFC 8461 3.3, 5.1)."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from smtpproto import GrammarError
from smtpproto.adapters import sqlite_policies
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.adapters.sqlite_policies import SQLitePolicies
from smtpproto.dns import Kind, Status
from smtpproto.errors import ConnectFailed, SMTPError, TLSFailed
from smtpproto.policy import (
    Fetched,
    KeptPolicy,
    MTASTSCache,
    MTASTSFinding,
    MTASTSMode,
    MTASTSPolicy,
    MTASTSStore,
    MTASTSTrouble,
    mta_sts_cache,
)
from smtpproto.ports import Runtime as AnyRuntime
from smtpproto.testing.zone import Mood, Zone

NAME = "_mta-sts.example.org"
DAY = 86400.0


def policy(*mx: str, mode: str = "enforce", max_age: int = 604800) -> bytes:
    hosts = mx or ("mx.example.org",)
    return bytes(MTASTSPolicy(mode=MTASTSMode(mode), mx=hosts, max_age=max_age))


@define
class Server:
    """What the server of the policy answers. Implements Fetch."""

    body: bytes = policy()
    status: int = 200
    media_type: str = "text/plain"
    error: SMTPError | None = None
    asked: list[str] = field(factory=list)

    async def get(self, host: str, path: str, runtime: AnyRuntime) -> Fetched:
        self.asked.append(f"https://{host}{path}")
        if self.error is not None:
            raise self.error
        return Fetched(status=self.status, media_type=self.media_type, body=self.body)


@define
class Domain:
    """A domain, its policy, and a cache."""

    server: Server = field(factory=Server)
    store: MTASTSStore | None = None
    zone: Zone = field(init=False)
    cache: MTASTSCache = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.zone = Zone({NAME: {Kind.TXT: [b"v=STSv1; id=1"]}})
        self.cache = MTASTSCache(Runtime(), self.zone, self.server, self.store)

    def at(self, now: float, *, anew: bool = False) -> MTASTSFinding:
        ask = self.cache.refresh if anew else self.cache.find
        return run(ask("example.org", now=now))

    def publish(self, *records: bytes) -> None:
        self.zone.records[NAME] = {Kind.TXT: [*records]}

    def check(self, found: MTASTSFinding, *mx: str) -> None:
        assert found.policy is not None
        assert found.policy.mx == mx


def test_a_policy_is_fetched_once_and_kept() -> None:
    domain = Domain()
    for now in (0, 1, 400, DAY - 1):
        domain.check(domain.at(now), "mx.example.org")
    assert domain.server.asked == ["https://mta-sts.example.org/.well-known/mta-sts.txt"]


def test_another_id_means_another_policy() -> None:
    domain = Domain()
    domain.at(0)
    domain.server.body = policy("mx2.example.org")
    domain.publish(b"v=STSv1; id=2")
    domain.check(domain.at(1), "mx2.example.org")


def test_a_policy_is_fetched_anew_once_a_day() -> None:
    domain = Domain()
    domain.at(0)
    domain.server.body = policy("mx2.example.org")
    domain.check(domain.at(DAY), "mx2.example.org")
    assert len(domain.server.asked) == 2


def test_a_policy_that_was_changed_without_a_new_id_is_found_by_refresh() -> None:
    domain = Domain()
    domain.at(0)
    domain.server.body = policy("mx2.example.org")
    domain.check(domain.at(299, anew=True), "mx.example.org")
    domain.check(domain.at(300, anew=True), "mx2.example.org")
    assert len(domain.server.asked) == 2


@pytest.mark.req("RFC8461-3.3-03")
@pytest.mark.parametrize("trouble", ["record gone", "two records", "DNS", "server", "malformed"])
def test_a_policy_that_is_not_too_old_applies_whatever_fails_now(trouble: str) -> None:
    domain = Domain()
    domain.at(0)
    match trouble:
        case "record gone":
            del domain.zone.records[NAME]
        case "two records":
            domain.publish(b"v=STSv1; id=2", b"v=STSv1; id=3")
        case "DNS":
            domain.zone.moods[NAME] = Mood(Status.FAILED)
        case "server":
            domain.publish(b"v=STSv1; id=2")
            domain.server.error = ConnectFailed("it is down")
        case _:
            domain.server.body = b"<html>"
    for now in (1, DAY, 6.9 * DAY):
        domain.check(domain.at(now), "mx.example.org")
    assert "although" in domain.at(6.9 * DAY).reason
    assert domain.at(7 * DAY).policy is None


@pytest.mark.req("RFC8461-3.3-02", "RFC8461-3.3-01")
@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        ({"status": 301}, MTASTSTrouble.FETCH_ERROR),
        ({"status": 404}, MTASTSTrouble.FETCH_ERROR),
        ({"status": 204}, MTASTSTrouble.FETCH_ERROR),
        ({"media_type": "text/html"}, MTASTSTrouble.INVALID),
        ({"media_type": ""}, MTASTSTrouble.INVALID),
        ({"body": b"version: STSv1"}, MTASTSTrouble.INVALID),
        ({"error": ConnectFailed("down")}, MTASTSTrouble.FETCH_ERROR),
        ({"error": TLSFailed("expired")}, MTASTSTrouble.WEBPKI_INVALID),
    ],
)
def test_without_a_policy_that_can_be_had_there_is_none(
    answer: dict[str, Any], trouble: MTASTSTrouble
) -> None:
    domain = Domain(Server(**answer))
    for now in (0, 299):  # and it is not asked for again at once
        found = domain.at(now)
        assert (found.policy, found.trouble) == (None, trouble)
        assert found.reason
    assert len(domain.server.asked) == 1
    domain.server.__init__(asked=domain.server.asked)  # type: ignore[misc]
    domain.check(domain.at(300), "mx.example.org")


def test_after_a_failure_another_id_is_tried_at_once() -> None:
    domain = Domain(Server(status=500))
    domain.at(0)
    domain.publish(b"v=STSv1; id=2")
    domain.server.status = 200
    domain.check(domain.at(1), "mx.example.org")


def test_a_domain_without_a_record_is_not_asked_for_a_policy() -> None:
    domain = Domain()
    for records in ([], [b"v=spf1 -all"], [b"v=STSv1; id=1"] * 2, [b"v=STSv1; id=?"]):
        domain.publish(*records)
        assert domain.at(0).policy is None
    domain.zone.moods[NAME] = Mood(Status.BOGUS)
    assert "bogus" in domain.at(0).reason
    assert domain.server.asked == []


@pytest.mark.req("RFC8461-3.1-02")
def test_the_record_may_be_at_the_end_of_aliases() -> None:
    domain = Domain()
    domain.zone.records[NAME] = "_mta-sts.example.net"
    domain.zone.records["_mta-sts.example.net"] = {Kind.TXT: [b"v=STSv1; id=1"]}
    domain.check(domain.at(0), "mx.example.org")
    assert domain.server.asked[0].startswith("https://mta-sts.example.org/")


def test_the_domain_above_is_not_asked() -> None:
    domain = Domain()
    assert run(domain.cache.find("sub.example.org", now=0)).policy is None
    assert domain.zone.asked == [("_mta-sts.sub.example.org", Kind.TXT)]


# -- without mail, and over restarts ---------------------------------------------------------------


@pytest.mark.req("RFC8461-3.3-04")
def test_policies_are_renewed_once_a_day_without_mail() -> None:
    domain = Domain()
    domain.at(0)
    for day in range(1, 10):
        for seconds in (0, 600, DAY - 1):
            run(domain.cache.renew(now=day * DAY + seconds))
        assert len(domain.server.asked) == 1 + day
    domain.zone.moods[NAME] = Mood(Status.FAILED)
    domain.check(domain.at(9 * DAY + 604799), "mx.example.org")  # counted from the last day


@pytest.mark.req("RFC8461-3.3-04")
@pytest.mark.parametrize("trouble", ["DNS", "server"])
def test_a_renewal_that_fails_is_logged_and_tried_again_after_an_hour(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    domain = Domain()
    domain.at(0)
    if trouble == "DNS":
        domain.zone.moods[NAME] = Mood(Status.FAILED)
    domain.server.error = ConnectFailed("it is down")
    for seconds in (0, 600, 3599, 3600):
        run(domain.cache.renew(now=DAY + seconds))
    said = [it.getMessage() for it in caplog.records if "is not renewed" in it.getMessage()]
    assert len(said) == 2
    assert "MTA-STS policy of example.org" in said[0]


def test_policies_that_cannot_be_renewed_do_not_delay_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mta_sts_cache, "_AT_ONCE", 1)
    domain, gone = Domain(), "_mta-sts.a.example"
    domain.zone.records[gone] = domain.zone.records[NAME]
    run(domain.cache.find("a.example", now=0))
    domain.at(0)
    del domain.zone.records[gone]
    for hour in range(2):
        run(domain.cache.renew(now=DAY + 3600 * hour))
    assert len(domain.server.asked) == 3


def test_a_policy_with_the_mode_none_is_not_renewed() -> None:
    domain = Domain(Server(policy(mode="none")))
    domain.at(0)
    run(domain.cache.renew(now=DAY))
    assert len(domain.server.asked) == 1


@pytest.fixture
def now() -> float:
    return Runtime().utc()


@pytest.fixture
def store(tmp_path: Path) -> SQLitePolicies:
    return SQLitePolicies(tmp_path / "policies.db")


@pytest.mark.req("RFC8461-3.3-03")
def test_a_policy_is_kept_over_a_restart(store: SQLitePolicies, now: float) -> None:
    domain = Domain(store=store)
    domain.at(now - 1)
    domain.server.body = policy("mx2.example.org")
    domain.publish(b"v=STSv1; id=2")
    domain.at(now)
    restarted = Domain(Server(error=ConnectFailed("it is down")), store)
    del restarted.zone.records[NAME]  # an attack on the first contact
    restarted.check(restarted.at(now + 1), "mx2.example.org")
    assert restarted.at(now + 604800).policy is None
    restarted = Domain(store=store)
    restarted.publish(b"v=STSv1; id=2")
    restarted.check(restarted.at(now + 1), "mx2.example.org")
    assert restarted.server.asked == []
    run(restarted.cache.renew(now=now + DAY))
    assert len(restarted.server.asked) == 1


def test_only_the_user_of_the_server_may_read_to_whom_it_sends(
    store: SQLitePolicies, now: float
) -> None:
    Domain(store=store).at(now)
    assert store.path.stat().st_mode & 0o077 == 0


def test_policies_that_are_too_old_are_not_loaded(store: SQLitePolicies, now: float) -> None:
    Domain(store=store).at(now - 604801)
    assert not run(store.load(Runtime()))


def test_a_policy_from_the_future_is_as_old_as_now(store: SQLitePolicies, now: float) -> None:
    Domain(store=store).at(now + 10**9)
    restarted = Domain(store=store)
    restarted.check(restarted.at(now), "mx.example.org")
    del restarted.zone.records[NAME]
    assert restarted.at(now + 604800).policy is None


def break_file(path: Path) -> None:
    path.write_bytes(b"junk" * 2000)


def break_page(path: Path) -> None:
    octets = path.read_bytes()
    path.write_bytes(octets[:100] + b"\xff" * (len(octets) - 100))


def break_policy(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE policies SET policy = 'junk', domain = 7")


@pytest.mark.parametrize("damage", [break_file, break_page, break_policy])
def test_a_damaged_file_counts_as_empty(
    store: SQLitePolicies,
    now: float,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    Domain(store=store).at(now)
    damage(store.path)
    domain = Domain(store=store)
    domain.check(domain.at(now), "mx.example.org")
    assert len(domain.server.asked) == 1
    assert "policies.db cannot be kept" in caplog.text
    assert store.path.with_name("policies.db.damaged").exists()
    assert [it.domain for it in run(store.load(Runtime()))] == ["example.org"]  # a new one


def test_a_file_that_cannot_be_written_loses_policies_only(
    tmp_path: Path, now: float, caplog: pytest.LogCaptureFixture
) -> None:
    domain = Domain(store=SQLitePolicies(tmp_path / "gone" / "policies.db"))
    domain.check(domain.at(now), "mx.example.org")
    assert caplog.text.count("cannot be kept") == 2
    assert not (tmp_path / "gone").exists()


def test_the_number_of_policies_in_the_file_is_bounded(
    store: SQLitePolicies, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_policies, "STS_POLICIES", 3)
    for place in range(5):
        kept = KeptPolicy(
            domain=f"d{place}.example",
            policy=MTASTSPolicy.parse(policy()),
            id="1",
            fetched_at=now + place,
        )
        run(store.save(kept, Runtime()))
    names = [f"d{place}.example" for place in (4, 3, 2)]
    assert [it.domain for it in run(store.load(Runtime()))] == names


def test_the_number_of_policies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mta_sts_cache, "STS_POLICIES", 4)
    domain = Domain()
    names = [f"d{n}.example" for n in range(9)]
    for place, name in enumerate(names):
        domain.zone.records[f"_mta-sts.{name}"] = {Kind.TXT: [b"v=STSv1; id=1"]}
        run(domain.cache.find(name, now=place))
    kept = [*_kept(domain.cache)]
    assert kept == names[-len(kept) :]
    assert 2 <= len(kept) <= 4


def _kept(cache: MTASTSCache) -> Iterable[str]:
    return cache._kept


def test_errors_of_the_grammar_are_told() -> None:
    found = Domain(Server(body=policy().replace(b"enforce", b"strict"))).at(0)
    assert "mode" in found.reason
    assert isinstance(GrammarError("x"), SMTPError)
