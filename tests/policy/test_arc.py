"""The Authenticated Received Chain, verified and sealed."""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import os
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.dns import Answer, Kind, Status
from smtpproto.policy import (
    ARCCheck,
    ARCResult,
    ARCSealer,
    ARCVerifier,
    Sealing,
)
from smtpproto.testing.zone import Mood, Zone
from tests.policy.signing import KEYS, MESSAGE, ed25519, ed25519_key, run, sign
from tests.test_public_face import check_imports

yaml = pytest.importorskip("yaml")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is quicker

ARC_RESULTS = b"ARC-Authentication-Results"
SET = (b"ARC-Seal", b"ARC-Message-Signature", ARC_RESULTS)
ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("SMTPPROTO_VECTORS", ROOT.parent / "shared/vectors")) / "arc"
SUITE = VECTORS / "arc-draft-validation-tests.yml"
MAIL_AUTH = sorted(VECTORS.glob("mail-auth/*.txt"))
NOW = 1.7e9
# RFC 6376 3.5 wants names in h=, and 5.4 wants From: without it, anybody could write another one.
STRICTER = {"ams_fields_h_empty", "ams_fields_h_mis_hdr"}


def verify(message: bytes, records: dict[str, bytes], *cuts: int) -> ARCCheck:
    verifier = ARCVerifier()
    for start, end in itertools.pairwise([0, *sorted(cuts), len(message)]):
        verifier.feed(message[start:end])
    zone = Zone({name: {Kind.TXT: [record]} for name, record in records.items()})
    return run(verifier.check(zone, KEYS, now=NOW))


# -- public vectors --------------------------------------------------------------------------------


def cases() -> list[Any]:
    if not SUITE.is_file():
        return [pytest.param("", {}, {}, marks=pytest.mark.skip(f"there is no {SUITE}"), id="x")]
    return [
        pytest.param(name, case, scenario["txt-records"], id=name)
        for scenario in yaml.load_all(SUITE.read_text(), LOADER)
        for name, case in scenario["tests"].items()
        if case["cv"]  # others leave it open
    ]


@pytest.mark.parametrize(("name", "case", "records"), cases())
def test_the_suite_is_answered_as_it_wants(
    name: str, case: dict[str, str], records: dict[str, str]
) -> None:
    message = case["message"].replace("\n", "\r\n").encode()
    check = verify(message, {name: text.encode() for name, text in records.items()})
    expected = "fail" if name in STRICTER else case["cv"].lower()
    assert check.result.value == expected, check.reason


@pytest.mark.parametrize("path", MAIL_AUTH, ids=lambda path: path.stem)
def test_the_chains_of_mail_auth_pass(path: Path) -> None:
    head, _, message = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = [line.decode().split(" ", 1) for line in head.splitlines()]
    records = {name: record.encode() for name, record in lines}
    check = verify(message.replace(b"\n", b"\r\n"), records)
    assert check.result is ARCResult.PASS, check.reason


# -- chains of our own -----------------------------------------------------------------------------

RECORDS = {"e._domainkey.example.org": ed25519_key().record().encode()}
RESULTS = "mx.example.org; spf=pass smtp.mailfrom=ann@example.org"


def seal(message: bytes, check: ARCCheck | None = None, results: str = RESULTS) -> bytes:
    """Return *message* with one more set."""
    sealing = ARCSealer(ed25519()).start()
    sealing.feed(message)
    check = check or verify(message, RECORDS)
    return run(sealing.finish(check, results, now=NOW)) + message


def fields_of(message: bytes) -> list[bytes]:
    return re.split(rb"\r\n(?![ \t])", message.partition(b"\r\n\r\n")[0])


def signs(seal: bytes, fields: list[bytes]) -> bool:
    """Return whether *seal* signs these fields, by a computation of its own."""
    head, _, signature = seal.rpartition(b"b=")
    lines = []
    for field in [*fields, head + b"b="]:
        name, _, value = field.partition(b":")
        lines.append(name.lower() + b":" + re.sub(rb"[ \t\r\n]+", b" ", value).strip())
    digest = hashlib.sha256(b"\r\n".join(lines)).digest()
    key: Any = ed25519_key()._key
    try:
        key.public_key().verify(base64.b64decode(signature), digest)
    except InvalidSignature:
        return False
    return True


@functools.cache
def sealed(number: int) -> bytes:
    return seal(sealed(number - 1)) if number else MESSAGE


@pytest.mark.req("RFC8617-5.1-03", "RFC8617-5.2-01")
@given(st.integers(1, 4), st.lists(st.integers(0, 3000), max_size=4))
def test_a_chain_that_was_sealed_passes_in_slices_of_any_size(number: int, cuts: list[int]) -> None:
    check = verify(sealed(number), RECORDS, *cuts)
    assert check.result is ARCResult.PASS, check.reason
    assert [it.instance for it in check.sets] == list(range(1, number + 1))
    assert [it.chain for it in check.sets] == ["none", "pass", "pass", "pass"][:number]
    assert all(it.domain == "example.org" and it.selector == "e" for it in check.sets)
    assert check.sets[0].authentication_results == b" " + RESULTS.encode()


@pytest.mark.req("RFC8617-5.2-07")
def test_each_seal_is_verified_not_only_the_last_one() -> None:
    own = fields_of(sealed(1))[0]
    broken = sealed(1).replace(own, own.replace(b"t=17", b"t=16"))
    message = seal(broken, verify(sealed(1), RECORDS))
    assert verify(message, RECORDS).reason == "seal 1 does not match what it seals"


@given(st.data())
def test_any_changed_octet_of_the_results_of_a_host_is_found(data: st.DataObject) -> None:
    message = sealed(3)
    starts = [it.end() for it in re.finditer(rb"ARC-Authentication-Results: i=\d; ", message)]
    at = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, len(RESULTS) - 1))
    change = data.draw(st.integers(1, 255))
    changed = message[:at] + bytes([message[at] ^ change]) + message[at + 1 :]
    blanks = (b" ", b"\t")
    if not (message[at : at + 1] in blanks and changed[at : at + 1] in blanks):
        assert verify(changed, RECORDS).result is ARCResult.FAIL


@pytest.mark.req("RFC8617-5.2-06")
def test_a_message_that_a_list_changed_passes_if_the_list_seals_it() -> None:
    changed = sealed(2) + b"footer\r\n"
    check = verify(changed, RECORDS)
    assert check.result is ARCResult.FAIL and "the body was changed" in check.reason
    by_the_list = seal(changed, verify(sealed(2), RECORDS))
    assert verify(by_the_list, RECORDS).result is ARCResult.PASS


@pytest.mark.req("RFC8617-5.1-02", "RFC8617-5.2-03")
def test_a_chain_that_failed_is_sealed_once_more_and_then_left_alone() -> None:
    failed = seal(sealed(1) + b"footer\r\n")
    check = verify(failed, RECORDS)
    assert check.result is ARCResult.FAIL and check.sets[-1].chain == "fail"
    assert check.reason == "set 2 says cv=fail"
    assert seal(failed, check) == failed


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(
            b"ARC-Seal: i=1", b"ARC-Seal: i=51", "not the instance of a set, 1 to 50: '51'",
            marks=pytest.mark.req("RFC8617-4.2.1-02"), id="51",
        ),
        pytest.param(
            b"ARC-Seal: i=1;", b"ARC-Seal: i=1; h=From;", "seal 1 has h= or bh=",
            marks=pytest.mark.req("RFC8617-4.1.3-01"), id="h",
        ),
        (b"ARC-Seal: i=1;", b"ARC-Seal:", "the tag i= is missing"),
        (b"cv=none;", b"", "the tag cv= is missing"),
        (b"cv=none;", b"cv=pass;", "set 1 says cv=pass"),
        (b"Results: i=1;", b"Results: ", "without its instance"),
        (b" h=From:", b" h=ARC-Seal:From:", "must not sign ARC-Seal"),
        (b"Subject:  Lunch", b"Subject: Supper", "a signed header field was changed"),
        (b"Subject:  Lunch", b"Subject: Lunch", "the chain is right"),
        (b"\r\nSubject", b"\r\noops\r\nSubject", "a line is not a header field"),
    ],
)  # fmt: skip
def test_the_reason_of_a_failure_is_told(old: bytes, new: bytes, reason: str) -> None:
    assert old in sealed(1)
    assert reason in verify(sealed(1).replace(old, new), RECORDS).reason


@pytest.mark.req("RFC8617-4.2.1-01")
@pytest.mark.parametrize("name", SET)
def test_a_set_has_each_field_exactly_once(name: bytes) -> None:
    own = next(it for it in fields_of(sealed(1)) if it.startswith(name)) + b"\r\n"
    for changed in (sealed(1).replace(own, b""), own + sealed(1)):
        assert "without each field once" in verify(changed, RECORDS).reason


@pytest.mark.req("RFC8617-5.2-04")
def test_the_sets_are_numbered_from_1_without_a_gap() -> None:
    for number in (b"2", b"4"):
        changed = sealed(3).replace(b": i=3;", b": i=%b;" % number)
        assert "once for each of 1 to 3" in verify(changed, RECORDS).reason


@pytest.mark.req("RFC8617-5.2-05")
@pytest.mark.parametrize(("number", "chain"), [(1, "pass"), (1, "fail"), (2, "none"), (3, "fail")])
def test_the_first_seal_says_none_and_the_others_pass(number: int, chain: str) -> None:
    own = next(it for it in fields_of(sealed(3)) if it.startswith(b"ARC-Seal: i=%d;" % number))
    lie = re.sub(rb"cv=\w+", b"cv=" + chain.encode(), own)
    assert verify(sealed(3).replace(own, lie), RECORDS).reason == f"set {number} says cv={chain}"


@pytest.mark.req("RFC8617-5.1.1-01")
def test_a_seal_signs_the_fields_of_all_sets_in_their_order() -> None:
    sets = [fields_of(sealed(it))[:3][::-1] for it in (1, 2, 3)]
    [*before, last] = itertools.chain(*sets)
    assert signs(last, before)
    assert not signs(last, before[::-1])


@pytest.mark.req("RFC8617-5.1.2-01")
def test_the_seal_of_a_chain_that_failed_signs_only_its_own_set() -> None:
    newest, *own = fields_of(seal(sealed(1) + b"footer\r\n"))[:3]
    assert b"cv=fail" in newest and signs(newest, own[::-1])


@pytest.mark.req("RFC8617-4.1.2-01")
@pytest.mark.parametrize("version", ["1", "2", "x"])
def test_a_version_in_a_message_signature_is_ignored(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = Sealing._tags
    monkeypatch.setattr(Sealing, "_tags", lambda it: {**tags(it), "v": version})
    message = seal(MESSAGE)
    assert f"v={version};".encode() in message
    assert verify(message, RECORDS).result is ARCResult.PASS


@pytest.mark.req("RFC8617-4.1.1-01", "RFC8617-4.1.2-04")
def test_a_set_has_all_results_and_signs_the_signatures_of_the_message() -> None:
    results = f"{RESULTS}; dkim=pass header.d=example.org"
    message = seal(sign(MESSAGE), results=results)
    [found] = verify(message, RECORDS).sets
    assert found.authentication_results.decode().strip() == results
    assert b":DKIM-Signature" in fields_of(message)[1].replace(b"\r\n ", b"")


@pytest.mark.req("RFC8617-5.2-02")
def test_a_chain_has_50_sets_at_most() -> None:
    fields = sealed(1)[: -len(MESSAGE)]
    chain = b"".join(fields.replace(b" i=1;", b" i=%d;" % i) for i in range(1, 52))
    assert verify(chain + MESSAGE, RECORDS).reason == "a chain of more than 50 sets"
    check = ARCCheck(result=ARCResult.PASS, reason="", sets=verify(sealed(1), RECORDS).sets * 50)
    assert seal(MESSAGE, check) == MESSAGE


@pytest.mark.req("RFC8617-5.2.1-01")
def test_a_dns_that_does_not_answer_is_told() -> None:
    verifier = ARCVerifier()
    verifier.feed(sealed(1))
    zone = Zone()
    zone.moods["e._domainkey.example.org"] = Mood(Status.FAILED)
    check = run(verifier.check(zone, KEYS, now=NOW))
    assert check.result is ARCResult.FAIL and check.temporary
    assert not verify(sealed(1), {}).temporary


def test_each_key_is_asked_for_once() -> None:
    verifier = ARCVerifier()
    verifier.feed(sealed(4))
    zone = Zone({name: {Kind.TXT: [record]} for name, record in RECORDS.items()})
    assert run(verifier.check(zone, KEYS, now=NOW)).result is ARCResult.PASS
    assert zone.asked == [("e._domainkey.example.org", Kind.TXT)]


@given(st.binary(max_size=60) | st.text("ARC-Sealimcv=;1\r\n: ", max_size=99).map(str.encode))
def test_nothing_is_raised_for_any_fields(octets: bytes) -> None:
    for name in SET:
        for message in (name + b": " + octets, name + b": " + octets + b"\r\n" + sealed(1)):
            assert verify(message, RECORDS).reason.isprintable()


@pytest.mark.parametrize("results", ["", " ", "a\r\nb", "a\nb", "a\rb", "a\x00", "a\r\n\r\n b"])
def test_results_that_are_not_one_field_are_refused(results: str) -> None:
    with pytest.raises(GrammarError, match="results must be the value of one"):
        seal(MESSAGE, results=results)


def test_folded_results_are_sealed() -> None:
    check = verify(seal(MESSAGE, results="mx.example.org;\r\n spf=none"), RECORDS)
    assert check.result is ARCResult.PASS
    assert check.sets[0].authentication_results == b" mx.example.org;\r\n spf=none"


@pytest.mark.req("RFC8617-4.1.2-02", "RFC8617-4.1.2-03")
@pytest.mark.parametrize("name", [*map(bytes.decode, SET), "Authentication-Results", "return-path"])
def test_fields_that_must_not_be_signed_cannot_be_chosen(name: str) -> None:
    with pytest.raises(GrammarError, match="must not sign"):
        ARCSealer(ed25519(), signed=["From", name])


def test_the_page_on_arc_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/reference/policy/arc.md").read_text()
    [snippet] = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    check_imports(snippet)
    names: dict[str, Any] = {}
    exec(snippet, names)

    async def lookup(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
        record = names["sealer"].key.key.record().encode()
        return Answer(status=Status.FOUND, records=(record,))

    monkeypatch.setattr(DNSResolver, "lookup", lookup)
    passed_on = run(names["passed_on"](MESSAGE, MESSAGE + b"footer\r\n"))
    assert run(names["chain_of"](passed_on)).result is ARCResult.PASS
    results = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert results == [it.value for it in ARCResult]


def test_a_message_with_a_malformed_header_section_is_not_sealed() -> None:
    with pytest.raises(GrammarError, match="not a header field"):
        seal(b"oops\r\n" + MESSAGE)


@pytest.mark.parametrize("message", [b"", b"\r\nhello\r\n", b"Subject: x\r\n\r\nhello\r\n"])
def test_a_message_without_a_from_field_is_not_sealed(message: bytes) -> None:
    with pytest.raises(GrammarError, match="no From field"):
        seal(message)
