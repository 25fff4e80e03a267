"""A mail agent checks what strangers send, and signs what users and the program send."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import Envelope, PlainPasswords, Reply, SendRefused, Session
from smtpproto.dns import Kind, Status
from smtpproto.mta.queue import State
from smtpproto.mta.settlement import Hold
from smtpproto.policy import (
    ARCCheck,
    ARCResult,
    ARCSealer,
    ARCVerifier,
    DKIMResult,
    DKIMSigner,
    Inspection,
    MessageCheck,
)
from smtpproto.testing import Mood, Simulation, Zone
from smtpproto.transfer.receive import Check, Receiver
from tests.policy.signing import KEYS, ed25519, run, sign, verify, zone
from tests.support.receiving import ANN, BOB, INSIDE, Site

OWN = b"Authentication-Results: mx.example.org"
MAIL = b"From: ann@example.com\r\nSubject: hello\r\n\r\nhello\r\n"
LOGIN: dict[str, Any] = {
    "options": {"authenticator": PlainPasswords({"ann": "secret"}), "auth_in_clear": True},
    "client": {"login": ("ann", "secret"), "login_in_clear": True, "tls": "none"},
}


def example(policy: str = "reject", record: str = "v=spf1 ip4:192.0.2.1 -all") -> Zone:
    found = zone("example.com")
    found.records["_dmarc.example.com"] = {Kind.TXT: [f"v=DMARC1; p={policy}".encode()]}
    found.records["example.com"] = {Kind.TXT: [record.encode()]}
    return found


def site(resolver: Zone | None = None, inspect: Any = None, **options: Any) -> Site:
    inspect = {"keys": KEYS} | (inspect or {})
    facts = {"inspect": Inspection(**inspect), "resolver": resolver or example()}
    return Site(facts=facts | options.pop("facts", {}), **options)


def send(to: Site, content: bytes = MAIL) -> bytes:
    """Send a message; return what is in the queue."""
    assert to.send(Envelope(ANN, BOB), content).accepted
    [(entry, found)] = to.queued()
    assert entry.message.size == len(found)
    return found


def refused(to: Site, content: bytes = MAIL) -> str:
    with pytest.raises(SendRefused) as caught:
        to.send(Envelope(ANN, BOB), content)
    assert to.queued() == []
    [reply] = caught.value.outcome.refused.values()
    return str(reply)


@pytest.mark.req("RFC8601-4.1-01")
def test_the_results_stand_above_all_other_fields_which_stay_as_they_are() -> None:
    found = send(site())
    fields, received, rest = found.partition(b"Received: ")
    assert fields.startswith(OWN + b";\r\n spf=pass smtp.mailfrom=example.com;")
    assert b"\r\n dkim=none" in fields
    assert fields.endswith(b"\r\n dmarc=pass header.from=example.com\r\n")
    assert fields.count(b"Authentication-Results") == 1
    assert (received + rest).endswith(MAIL)


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
def test_contents_of_all_sizes_are_kept(size: int) -> None:
    content = MAIL + b"0123456789abcdef" * 4 * (size // 64) + b"\r\n"
    content = b"\r\n".join(content[i : i + 900] for i in range(0, len(content), 900)) + b"\r\n"
    content = MAIL + content.partition(b"\r\n\r\n")[2]
    assert send(site(), content).endswith(content)


def test_the_organizational_domain_is_found_as_told() -> None:
    found = example(record="v=spf1 -all")
    found.records["_dmarc.org.test"] = found.records.pop("_dmarc.example.com")
    inspect = {"refuse_dmarc": True, "organizational_domain": lambda domain: "org.test"}
    assert "the DMARC record of org.test" in refused(site(found, inspect))


def test_forged_results_are_removed_and_those_of_others_kept() -> None:
    forged = b"authentication-results : MX.example.org;\r\n dmarc=pass header.from=a.test\r\n"
    other = b"Authentication-Results: mx.example.net; dmarc=fail\r\n"
    found = send(site(), b"X-A: b\r\n" + forged + other + MAIL)
    assert b"a.test" not in found
    assert found.endswith(b"X-A: b\r\n" + other + MAIL)
    assert found.count(OWN) == 1
    named = site(inspect={"authserv_id": "example.org"})
    assert send(named, forged + MAIL).startswith(b"Authentication-Results: example.org;")
    [(_, found)] = named.queued()
    assert forged in found


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\r\nhello\r\n", b"Subject: hello\r\n"])
def test_messages_without_header_or_body_are_checked_too(content: bytes) -> None:
    found = send(site(), content)
    assert found.startswith(OWN)
    assert found.endswith(content)
    assert b"dmarc=permerror" in found


def test_clients_that_may_relay_are_not_checked_and_keep_their_results() -> None:
    forged = OWN + b"; spf=pass smtp.mailfrom=a.test\r\n"
    found = send(site(relay_from=INSIDE), forged + MAIL)
    assert found.startswith(b"Received: ")
    assert found.endswith(forged + MAIL)


@pytest.mark.parametrize(
    ("inspect", "record", "expected"),
    [
        ({}, "v=spf1 -all", ""),
        ({"refuse_dmarc": True}, "v=spf1 -all", "550 5.7.26"),
        ({"refuse_spf": True}, "v=spf1 -all", "550 5.7.23"),
        ({"refuse_spf": True}, "v=spf1 ~all", ""),
        ({"refuse_dmarc": True, "refuse_spf": True}, "v=spf1 ip4:192.0.2.1", ""),
    ],
)
def test_messages_are_refused_only_as_told(
    inspect: dict[str, Any], record: str, expected: str
) -> None:
    to = site(example(record=record), inspect)
    if expected:
        assert refused(to).startswith(expected)
    else:
        send(to)


def test_a_signed_message_passes_whoever_sends_it() -> None:
    content = sign(MAIL, ed25519("example.com"))
    to = site(example(record="v=spf1 -all"), {"refuse_dmarc": True, "refuse_spf": True})
    found = send(to, content)
    assert b" dkim=pass header.d=example.com" in found
    assert [it.result for it in verify(found, example())] == [DKIMResult.PASS]


def test_a_dns_that_fails_or_hangs_keeps_no_message_away() -> None:
    simulation = Simulation(1)
    hanging = Zone(runtime=simulation)
    hanging.moods["example.com"] = Mood(delay=1000)
    failing = Zone()
    failing.moods["_dmarc.example.com"] = Mood(Status.FAILED)
    inspect = {"refuse_dmarc": True, "refuse_spf": True}
    found = send(site(hanging, inspect, simulation=simulation))
    assert b"spf=temperror" in found and b"dmarc=temperror" in found
    assert b"took longer than 30 seconds" in found.replace(b"\r\n", b"")
    assert b"dmarc=temperror" in send(site(failing, inspect))


def test_a_check_that_cannot_be_interrupted_asks_nothing_when_its_time_is_over() -> None:
    names = example(record="v=spf1 " + " ".join(f"a:{i}.example.com" for i in range(9)))
    to = site(names, {"timeout": 30})
    names.runtime = to.simulation
    for i in range(9):
        names.records[f"{i}.example.com"] = {Kind.A: ["198.51.100.1"]}
        names.moods[f"{i}.example.com"] = Mood(delay=12)

    async def uninterrupted(seconds: float, awaitable: Any) -> Any:  # as with blocking sockets
        return await awaitable

    to.simulation.within = uninterrupted  # type: ignore[method-assign, assignment]
    assert b"spf=temperror" in send(to)
    assert len([name for name, _ in names.asked if name[0].isdigit()]) == 3


def test_a_header_section_without_end_is_refused() -> None:
    assert refused(site(), b"Subject: x\r\n" * 100_000).startswith("554 5.6.0")


class Judging(Receiver):
    answer: Check = None

    def inspected(self, session: Any, envelope: Envelope, found: MessageCheck) -> Check:
        self.found = found
        return self.answer

    def check(self, session: Any, envelope: Envelope, header: bytes) -> Check:
        assert header.startswith(OWN)
        return Reply(250, "2.0.0", "Welcome")


def test_a_receiver_may_hold_or_refuse_by_the_results() -> None:
    class Holding(Judging):
        answer = Hold("suspicious")

    class Refusing(Judging):
        answer = Reply(550, "5.7.1", "No")

    to = site(receiver=Holding)
    send(to)
    [(entry, _)] = to.queued()
    assert entry.deliveries[0].state is State.HELD
    assert refused(site(receiver=Refusing)) == "550 5.7.1 No"
    send(site(receiver=Judging))


# -- more fields, if they are asked for ------------------------------------------------------------


@pytest.mark.req("RFC7208-9.1-03")
def test_received_spf_stands_above_all_others_if_it_is_asked_for() -> None:
    theirs = b"Received-SPF: fail receiver=a.test;\r\n"
    found = send(site(inspect={"received_spf": True}), theirs + MAIL)
    results, _, rest = found.partition(b"Received-SPF: ")
    assert results.startswith(OWN) and b"\nReceived" not in results
    assert rest.startswith(b"pass\r\n (mx.example.org: ") and rest.endswith(theirs + MAIL)
    assert b"Received-SPF" not in send(site())


@pytest.mark.req("RFC8601-2.7.4-01")
@pytest.mark.parametrize("signer", [None, DKIMSigner(ed25519("example.com"))])
def test_the_user_who_has_logged_in_is_named_if_it_is_asked_for(signer: DKIMSigner | None) -> None:
    forged = OWN + b"; auth=pass smtp.auth=postmaster\r\n"
    named = OWN + b";\r\n auth=pass smtp.auth=ann\r\n"
    for content in (MAIL, MAIL + b"hello\r\n" * 20_000, b"From: ann@example.com\r\n"):
        to = site(inspect={"logins": True}, facts={"signer": signer}, **LOGIN)
        found = send(to, forged + content)
        assert found.startswith(named)
        assert found.endswith(content) and forged not in found
        [check] = verify(found, example(), now=to.simulation.utc())
        assert check.passed is bool(signer)
    assert not send(site(**LOGIN)).startswith(OWN)
    assert b"auth=" not in send(site(inspect={"logins": True}))


# -- sealing ---------------------------------------------------------------------------------------

SEALER = ARCSealer(ed25519("mx.example.org"))
ELSEWHERE = "bob@example.net"


def sealed(content: bytes, *recipients: str, resolver: Zone | None = None) -> ARCCheck:
    """Return the chain of a message in the queue of a server that seals."""
    to = site(resolver, facts={"sealer": SEALER}, relay_for=["example.net"])
    assert to.send(Envelope(ANN, recipients), content).accepted
    [(_, found)] = to.queued()
    assert found.endswith(content)
    verifier = ARCVerifier()
    verifier.feed(found)
    return run(verifier.check(zone("mx.example.org"), KEYS, now=to.simulation.utc()))


@pytest.mark.parametrize("recipients", [[ELSEWHERE], [BOB, ELSEWHERE]])
@pytest.mark.parametrize("content", [MAIL, MAIL + b"hello\r\n" * 20_000, b"From: a@b.test\r\n"])
def test_checked_mail_that_is_passed_on_is_sealed(content: bytes, recipients: list[str]) -> None:
    check = sealed(content, *recipients)
    assert check.result is ARCResult.PASS, check.reason
    [one] = check.sets
    assert (one.domain, one.chain) == ("mx.example.org", "none")
    assert one.authentication_results.startswith(b" mx.example.org;\r\n spf=pass")


def test_mail_that_stays_and_malformed_mail_are_not_sealed() -> None:
    for content, to in [(MAIL, BOB), (b"no field\r\n\r\n", ELSEWHERE)]:
        assert sealed(content, to).result is ARCResult.NONE


def test_a_chain_that_the_dns_keeps_from_being_checked_is_not_sealed() -> None:
    chain = SEALER.start()
    chain.feed(MAIL)
    first = run(chain.finish(ARCCheck(result=ARCResult.NONE, reason=""), "a.test; none", now=1e9))
    failing = example()
    failing.moods["e._domainkey.mx.example.org"] = Mood(Status.FAILED)
    assert len(sealed(first + MAIL, ELSEWHERE, resolver=failing).sets) == 1
    known = example()
    known.records |= zone("mx.example.org").records
    assert len(sealed(first + MAIL, ELSEWHERE, resolver=known).sets) == 2


# -- signing ---------------------------------------------------------------------------------------

SIGNER = DKIMSigner(ed25519("example.com"))


def test_what_users_send_is_signed_and_not_checked() -> None:
    found = send(site(facts={"signer": SIGNER}, **LOGIN))
    assert found.startswith(
        b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com;"
    )
    assert found.endswith(MAIL)
    [check] = verify(found, example(), now=Simulation(1).utc())
    assert check.passed, check.reason


def test_what_strangers_and_relays_send_is_not_signed() -> None:
    for relay_from in ([], INSIDE):
        found = send(site(facts={"signer": SIGNER}, relay_from=relay_from))
        assert b"DKIM-Signature" not in found


def test_a_receiver_may_sign_what_programs_send_without_a_login() -> None:
    class Signing(Receiver):
        def signs_for(self, session: Session) -> bool:
            return self.may_relay(session)

    for relay_from, signs in ((INSIDE, True), ([], False)):
        to = site(
            facts={"signer": SIGNER, "inspect": None}, relay_from=relay_from, receiver=Signing
        )
        assert (b"DKIM-Signature: " in send(to)) is signs


def test_what_no_key_covers_is_sent_unsigned() -> None:
    content = MAIL.replace(b"example.com", b"example.net")
    assert send(site(facts={"signer": SIGNER}, **LOGIN), content).startswith(b"Received: ")


@pytest.mark.parametrize("content", [b"Subject: x\r\n\r\n", b"From: a@b.test\r\nno field\r\n\r\n"])
def test_a_message_that_cannot_be_signed_is_refused(content: bytes) -> None:
    reply = refused(site(facts={"signer": SIGNER}, **LOGIN), content)
    assert reply.startswith("554 5.6.0 The message is malformed")
