"""The field Authentication-Results: made, read, and removed where it is forged (RFC 8601)."""

from __future__ import annotations

import email.policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.adapters.blocking import run
from smtpproto.mail.header import header_fields
from smtpproto.policy.authentication_results import (
    METHODS,
    AuthenticationResults,
    MethodResult,
    Property,
    strip_results,
)
from smtpproto.policy.spf import SPFRequest, check_helo

from .signing import MESSAGE, ed25519, sign, verify_one
from .spf_zones import CLIENT, NOW, check, zone

KEYWORDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=90)
ANY_TEXT = (
    st.text(max_size=2000)
    | st.text('a \\"()\r\n;=@.<>é\x00', max_size=60)
    | st.text("a@.é\x85\x9b\u2028\u202e", max_size=8)  # of these, atoms may consist
    | st.text("\U0001f600", min_size=200, max_size=300)
)
ADDRESSES = st.sampled_from(["ann@example.org", "@example.org", '"a b"@example.org', "a@[1.2.3.4]"])
REGISTERED = [(method, result) for method, found in METHODS.items() for result in found.split()]


def results(text: st.SearchStrategy[str]) -> st.SearchStrategy[MethodResult]:
    return st.builds(
        lambda registered, **others: MethodResult(
            method=registered[0], result=registered[1], **others
        ),
        registered=st.sampled_from([*REGISTERED, ("x-ours", "anything")]),
        version=st.integers(1, 10**9 - 1),
        reason=text,
        comment=text,
        properties=st.lists(st.builds(Property, KEYWORDS, KEYWORDS, text), max_size=3).map(tuple),
    )


def fields(text: st.SearchStrategy[str]) -> st.SearchStrategy[AuthenticationResults]:
    several = st.lists(results(text), max_size=3).map(tuple)
    return st.builds(AuthenticationResults, text, several)


def body(octets: bytes) -> str:
    [field] = header_fields(octets + b"\r\n")
    assert field.name == "Authentication-Results"
    return field.body.decode()


def spf(*properties: Property, **others: Any) -> MethodResult:
    return MethodResult(method="spf", result="pass", properties=properties, **others)


# -- made ------------------------------------------------------------------------------------------


@pytest.mark.req("RFC8601-2.2-01")
@given(fields(PRINTABLE | ADDRESSES))
def test_a_field_that_was_written_is_read_as_it_was(field: AuthenticationResults) -> None:
    assert AuthenticationResults.parse(body(bytes(field))) == field


@pytest.mark.req("RFC8601-2.2-02")
@given(fields(ANY_TEXT))
def test_no_text_leaves_its_place(field: AuthenticationResults) -> None:
    octets = bytes(field)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert octets.decode().replace("\r\n", "").isprintable()
    read = AuthenticationResults.parse(body(octets))
    assert len(read.results) == len(field.results)
    for ours, theirs in zip(field.results, read.results, strict=True):
        assert (ours.method, ours.result) == (theirs.method, theirs.result)
        assert [(it.ptype, it.name) for it in ours.properties] == [
            (it.ptype, it.name) for it in theirs.properties
        ]


@given(fields(ANY_TEXT))
def test_the_email_package_finds_one_field_without_defect(field: AuthenticationResults) -> None:
    message = email.message_from_bytes(bytes(field) + b"\r\n", policy=email.policy.SMTPUTF8)
    assert message.keys() == ["Authentication-Results"] and not message.defects


@pytest.mark.req("RFC8601-2.2-02")
def test_a_name_in_helo_cannot_add_a_result() -> None:
    helo = 'x; dkim=pass header.d=bank.example"; dmarc=pass'
    request = SPFRequest(client=CLIENT, helo=helo, sender=None, now=NOW)
    found = run(check_helo(request, zone("v=spf1 -all")))
    field = AuthenticationResults("mx.example.com", (MethodResult.of_spf(found),))
    [read] = AuthenticationResults.parse(body(bytes(field))).results
    assert (read.method, read.result, read.value_of("smtp", "helo")) == ("spf", "none", helo)


WRITTEN = """\
Authentication-Results: mx.example.com;
 spf=fail reason="-all of example.org matches 192.0.2.1"
 smtp.mailfrom=example.org;
 dkim=pass (2048 bits) header.d=example.org header.b="q/7+"
"""


@pytest.mark.req("RFC8601-2.7.2-01")
def test_a_field_is_written_in_the_least_quoting() -> None:
    properties = (Property("header", "d", "example.org"), Property("Header", "B", "q/7+"))
    dkim = MethodResult(method="dkim", result="pass", comment="2048 bits", properties=properties)
    spf = MethodResult.of_spf(check(zone("v=spf1 -all")))
    field = AuthenticationResults("mx.example.com", (spf, dkim))
    assert bytes(field).decode().replace("\r\n", "\n") == WRITTEN


@pytest.mark.req("RFC8601-2.7.1-01")
def test_the_result_of_a_signature_names_its_domain_key_and_algorithm() -> None:
    found = MethodResult.of_dkim(verify_one(sign(MESSAGE, ed25519(identity="list@example.org"))))
    assert (found.method, found.result, found.reason) == ("dkim", "pass", "")
    shown = {it.name: it.value for it in found.properties if it.ptype == "header"}
    assert len(shown.pop("b")) == 12
    assert shown == {"d": "example.org", "i": "list@example.org", "s": "e", "a": "ed25519-sha256"}


@pytest.mark.req("RFC8601-2.2-04")
@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("ann@example.org", "ann@example.org"),
        ("@example.org", "@example.org"),
        ('"a b"@example.org', '"a b"@example.org'),
        ('"a@b\\"c"@example.org', '"a@b\\"c"@example.org'),
        ("j\u00f6rg@m\u00fcller.example", "j\u00f6rg@m\u00fcller.example"),
        ('"a; b@example.org', '"\\"a; b@example.org"'),
        ('"a b"c@example.org', '"\\"a b\\"c@example.org"'),
        ('"a\r\nb"@example.org', '"\\"a\\\\r\\\\nb\\"@example.org"'),
    ],
)
def test_of_an_address_only_the_local_part_is_quoted(address: str, written: str) -> None:
    assert str(Property("smtp", "mailfrom", address)) == f"smtp.mailfrom={written}"


@pytest.mark.req("RFC8601-4.1-02")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("spf=pass smtp.helo=a", True), ("x-ours=pass", True), ("spf=maybe", False),
     ("magic=pass", False), ("spf/2=pass", False), ("spf=pass odd.helo=a", False)],
)  # fmt: skip
def test_results_that_are_not_registered_are_not_usable(text: str, expected: bool) -> None:
    [found] = AuthenticationResults.parse(f"a.example; {text}").results
    assert found.is_usable is expected


def test_a_field_without_results_says_so() -> None:
    assert (
        bytes(AuthenticationResults("a.example")) == b"Authentication-Results: a.example; none\r\n"
    )


@pytest.mark.req("RFC8601-4-01")
@pytest.mark.parametrize(
    ("method", "result"),
    [("spf", "hardfail"), ("spf", "maybe"), ("dmarc", "softfail"), ("magic", "pass"), ("xspf",
    "pass")],
)  # fmt: skip
def test_results_that_are_not_registered_are_read_but_not_written(method: str, result: str) -> None:
    field = AuthenticationResults.parse(f"a.example; {method}={result}")
    with pytest.raises(GrammarError, match="not a registered result"):
        bytes(field)


@pytest.mark.parametrize("keyword", ["", "-a", "a-", "a b", "a=b", "a\r\n", "ä", "a.b"])
def test_methods_results_and_names_are_keywords(keyword: str) -> None:
    for make in (
        lambda: MethodResult(method=keyword, result="pass"),
        lambda: MethodResult(method="spf", result=keyword),
        lambda: Property(keyword, "a", "b"),
        lambda: Property("a", keyword, "b"),
    ):
        with pytest.raises(GrammarError, match="not a keyword"):
            make()


# -- read ------------------------------------------------------------------------------------------


@pytest.mark.req("RFC8601-2.2-01")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.example; none", ()),
        ("a.example; NONE", ()),
        ("a.example; none=pass", (MethodResult(method="none", result="pass"),)),
        ("a.example 1 ; (x) none (y)", ()),
        ('"a.example"; spf=pass', (spf(),)),
        ("(a) a.example (b) 1 (c); (d) SPF (e) / (f) 2 (g) = (h) Pass", (spf(version=2),)),
        ("a.example;spf=pass (b)(c) reason (d) = (e) f", (spf(comment="b c", reason="f"),)),
        ('a.example; spf=pass reason="x; y"', (spf(reason="x; y"),)),
        ("a.example; spf=pass smtp . mailfrom = b", (spf(Property("smtp", "mailfrom", "b")),)),
        ("a.example; spf=pass smtp.mailfrom=b@c smtp.helo=d",
         (spf(Property("smtp", "mailfrom", "b@c"), Property("smtp", "helo", "d")),)),
        ('a.example; spf=pass smtp.mailfrom="b c"@d', (spf(Property("smtp", "mailfrom",
        '"b c"@d')),)),
        ("a.example; spf=pass x.y=@d", (spf(Property("x", "y", "@d")),)),
        ("a.example; spf=pass\r\n\tx.y=z;\r\n spf=pass", (spf(Property("x", "y", "z")), spf())),
    ],
)  # fmt: skip
def test_fields_of_others_are_read(text: str, expected: tuple[MethodResult, ...]) -> None:
    assert AuthenticationResults.parse(text) == AuthenticationResults("a.example", expected)


BAD = [
    "", ";", "a", "a 1", "a;", "a; none;", "a; none none", "a; spf", "a; spf=", "a; spf=pass;",
    "a spf=pass", "a b; spf=pass", "a/1; spf=pass", "a; spf=pass (", "a; spf=pass (\x00)",
    "a; spf=pass x", "a; spf=pass x.y", "a; spf=pass x.y=", "a; spf=pass x=",
    "a; spf=pass x.y=b/c",
    "a; spf=pass reason=", "a; spf=pass reason=a reason=b", "a; spf=pass x.y=z reason=a",
    'a; spf=pass x.y="', "a; spf=pass x.y=z=z", "a; spf/x=pass", "a;; spf=pass", "a, spf=pass",
    "a\n; none", "a; spf=pass " + "x.y=z " * 20000,
]  # fmt: skip


def test_a_property_without_a_type_is_left_out() -> None:
    text = "mx.microsoft.com 1; dmarc=pass action=none header.from=a.test; dkim=pass"
    dmarc, dkim = AuthenticationResults.parse(text).results
    assert [str(it) for it in dmarc.properties] == ["header.from=a.test"]
    assert dkim.result == "pass"


@pytest.mark.req("RFC8601-2.2-01")
@pytest.mark.parametrize("text", BAD, ids=[text[:40] for text in BAD])
def test_what_is_no_field_is_an_error(text: str) -> None:
    with pytest.raises(GrammarError):
        AuthenticationResults.parse(text)


@pytest.mark.req("RFC8601-2.6-01")
@pytest.mark.parametrize("version", ["0", "2", "01x", "99999999999"])
def test_a_version_that_is_not_known_is_not_read(version: str) -> None:
    with pytest.raises(GrammarError):
        AuthenticationResults.parse(f"a.example {version}; spf=pass")


@given(st.text(max_size=40) | st.text('a;. =()"\\none1/@\r\n', max_size=40))
def test_any_text_is_a_field_or_an_error_inside_it(text: str) -> None:
    try:
        AuthenticationResults.parse(text)
    except GrammarError as error:
        assert 0 <= error.offset <= len(text.encode("utf-8", "replace"))


# -- removed ---------------------------------------------------------------------------------------

OWN = "mx.example.org"
OURS = [
    "mx.example.org; spf=pass", "MX.Example.ORG; none", "mx.example.org. ; none",
    '"mx.example.org"; none',
    '"mx.\\example.org"; none', "(x) mx.example.org (y) 1 (z); none", "\r\n mx.example.org; none",
    "mx.example.org 2; none", "other.example 2; none", "mx.example.org", "mx.example.org;;;",
    "mx.example.org; spf=pass; (",
    "mx.example.org spf=pass", "mx(x).example.org; none", "(mx.example.org; none",
    "x mx.example.org; none",
    '"mx.example.org; none', "mx.example.org/1; none", "=?utf-8?b?bXguZXhhbXBsZS5vcmc=?=; none",
    "", ";",
    "\u200bmx.example.org; none", "\xa0mx.example.org\xa0; none", "\uff4dx\u3002example.org; none",
    "mx.example.org\x00; none", "; mx.example.org; none", "x" * 70000,
]  # fmt: skip
OTHERS = [
    "other.example; none", "other.example", "xmx.example.org; none", "mx.example.org.other; none",
    "example.org; spf=pass smtp.helo=mx.example.org", "other.example; (mx.example.org; none",
    "(mx.example.org) other.example; none", "\xe4.example; none",
]  # fmt: skip


@pytest.mark.req("RFC8601-5-01", "RFC8601-5-02", "RFC8601-5-03")
@pytest.mark.parametrize(
    "name", ["Authentication-Results", "AUTHENTICATION-results \t", "Authentication-Results\r\n "]
)
@pytest.mark.parametrize("text", OURS, ids=[text[:40] for text in OURS])
def test_a_field_that_claims_our_name_or_may_be_read_so_is_removed(text: str, name: str) -> None:
    header = f"Subject: a\r\n{name}: {text}\r\nFrom: b\r\n"
    assert strip_results(header.encode(), OWN) == b"Subject: a\r\nFrom: b\r\n"


@pytest.mark.req("RFC8601-5-01")
@pytest.mark.parametrize("text", OTHERS)
def test_a_field_that_claims_another_name_is_kept(text: str) -> None:
    header = f"Subject: a\r\nAuthentication-Results: {text}\r\nFrom: b\r\n".encode("latin-1")
    assert strip_results(header, OWN) == header


def test_other_fields_and_the_body_are_kept() -> None:
    field = b"Authentication-Results: mx.example.org; none\r\n"
    kept = b"X-Authentication-Results: mx.example.org\r\nSubject: a\r\n b\r\n"
    assert strip_results(kept + field + b" c\r\n\tc\r\n\r\n" + field, OWN) == kept + b"\r\n" + field


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_any_line_end_ends_a_field(end: bytes) -> None:
    header = end.join([b"A: b", b"Authentication-Results: mx.example.org;", b" none", b"C: d"])
    assert strip_results(header, OWN) == b"A: b" + end + b"C: d"


@pytest.mark.req("RFC8601-5-01")
@pytest.mark.parametrize("end", [b"\r\r\n", b"\n\r\n", b"\n\n", b"\r\n\r", b"\r\n\n", b"\r\r"])
def test_no_reader_finds_a_forged_field_where_others_see_the_end(end: bytes) -> None:
    field = b"Authentication-Results: mx.example.org; none\r\n"
    header = b"Subject: a\r\nX: y" + end
    assert strip_results(header + field + b"\r\n" + field, OWN) == header + b"\r\n" + field


@pytest.mark.parametrize("line", [b" ; dkim=pass header.d=a.test\r\n", b"\tx\r\n", b" \r\n"])
def test_the_first_line_cannot_continue_the_field_before_it(line: bytes) -> None:
    field = bytes(AuthenticationResults(OWN, (spf(),)))
    own = header_fields(field)
    assert header_fields(field + strip_results(line + b"Received: x\r\n", OWN)) == own


def test_u_labels_and_a_labels_are_the_same_name() -> None:
    header = "Authentication-Results: m\u00fcller.example; none\r\n".encode()
    assert strip_results(header, "xn--mller-kva.example") == b""


@given(st.lists(st.sampled_from([
    b"Authentication-Results:", b"authentication-results :", b" mx.example.org", b"mx.example.org",
    b";", b"\r\n", b"\n", b"\r", b" ", b"(", b")", b'"', b"x", b"A: b\r\n", b"\r\n\r\n", b"\\",
])).map(b"".join))  # fmt: skip
def test_what_is_left_has_no_field_of_our_name(header: bytes) -> None:
    stripped = strip_results(header, OWN)
    assert strip_results(stripped, OWN) == stripped
    message = email.message_from_bytes(stripped, policy=email.policy.compat32)
    for value in message.get_all("Authentication-Results", []):
        assert not value.strip().startswith(OWN + ";")


# -- authres, an independent library ---------------------------------------------------------------


def theirs(text: str) -> list[tuple[str, str, str, list[tuple[str, str, str]]]]:
    authres = pytest.importorskip("authres")
    header = authres.AuthenticationResultsHeader.parse(text)
    return [
        (it.method, it.result, it.reason or "", [(p.type, p.name, p.value) for p in it.properties])
        for it in header.results
    ]


WORDS = st.text(  # authres does not remove backslashes
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'),
    min_size=1,
    max_size=20,
)
PLAIN = KEYWORDS | st.sampled_from(["ann@example.org", "@example.org"])
PTYPES = st.sampled_from(["smtp", "header", "body", "policy"])  # authres knows no others


@given(
    st.sampled_from(REGISTERED),
    WORDS,
    st.lists(st.builds(Property, PTYPES, KEYWORDS, PLAIN), max_size=3),
    st.lists(st.builds(Property, PTYPES, KEYWORDS, WORDS), max_size=1),
)
def test_authres_reads_what_we_write(
    registered: tuple[str, str], reason: str, several: list[Property], last: list[Property]
) -> None:
    method, result = registered
    properties = (*several, *last)  # authres reads a quoted value only at the end
    ours = MethodResult(method=method, result=result, reason=reason, properties=properties)
    field = bytes(AuthenticationResults("mx.example.org", (ours,))).decode()
    found = [(it.ptype, it.name, it.value) for it in properties]
    assert theirs(field.replace("\r\n", "")) == [(method, result, reason, found)]


@given(
    st.sampled_from(["pass", "fail", "none"]),
    st.text("abc .-", min_size=1, max_size=9),
    st.sampled_from(["ann@example.org", "example.org", "a.b+c@x.example"]),
)
def test_we_read_what_authres_writes(result: str, reason: str, address: str) -> None:
    authres = pytest.importorskip("authres")
    spf = authres.SPFAuthenticationResult(result=result, reason=reason, smtp_mailfrom=address)
    header = authres.AuthenticationResultsHeader(authserv_id="mx.example.org", results=[spf])
    read = AuthenticationResults.parse(str(header).partition(":")[2])
    assert read.authserv_id == "mx.example.org"
    [found] = read.results
    assert (found.method, found.result, found.reason) == ("spf", result, reason)
    assert found.value_of("SMTP", "MailFrom") == address
