"""Records and policies of MTA-STS (RFC 8461 3, 4.1)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.limits import STS_MAX_AGE, STS_POLICY
from smtpproto.policy import MTASTSMode, MTASTSPolicy, parse_sts_record
from smtpproto.policy.mta_sts import sts_id

FILE = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmx: *.example.net\r\n"
    b"max_age: 86400\r\n"
)
POLICY = MTASTSPolicy(
    mode=MTASTSMode.ENFORCE, mx=("mx.example.org", "*.example.net"), max_age=86400
)

# -- the record ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (b"v=STSv1; id=20160831085700Z;", "20160831085700Z"),
        (b"v=STSv1;id=1", "1"),
        (b"v=STSv1 \t; id=1 ; ", "1"),
        (b"v=STSv1; a.b-c_d=!x; id=1; id=2; 9=9", "1"),
        (b"v=STSv1; id=" + b"a" * 32, "a" * 32),
    ],
)
def test_a_record_has_an_id(record: bytes, found: str) -> None:
    assert parse_sts_record(record) == found


@pytest.mark.req("RFC8461-3.1-01")
@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"v=STSv1;",
        b"v=STSv1; id=",
        b"v=STSv1; id=a_b",
        b"v=STSv1; id=" + b"a" * 33,
        b"v=STSv1; id=1;;",
        b"v=STSv1; id = 1",
        b"v=STSv1; ID=1",
        b"v=STSv1; x=1",
        b"v=stsv1; id=1",
        b" v=STSv1; id=1",
        b"v=STSv1; id=1; x=a=b",
        b"v=STSv1; id=1; x=\xff",
        b"v=STSv1; id=1\n",
        "v=STSv1; id=\u0661".encode(),
    ],
)
def test_a_malformed_record_is_none(record: bytes) -> None:
    with pytest.raises(GrammarError):
        sts_id([record])


@pytest.mark.req("RFC8461-3.1-01")
def test_exactly_one_record_of_this_version_counts() -> None:
    other = [b"v=STSv2; id=2", b"v=spf1 -all", b"V=STSv1; id=3"]
    assert sts_id([*other, b"v=STSv1; id=1"]) == "1"
    for records in (
        [],
        other,
        [b"v=STSv1; id=1", b"v=STSv1; id=1"],
        [b"v=STSv1; id=1", b"v=STSv1;"],
    ):
        with pytest.raises(GrammarError, match="one is needed"):
            sts_id(records)


# -- the policy ------------------------------------------------------------------------------------


@pytest.mark.req("RFC8461-3.2-01")
@pytest.mark.parametrize(
    ("file", "policy"),
    [
        (FILE, POLICY),
        (FILE.replace(b"\r\n", b"\n"), POLICY),
        (FILE.removesuffix(b"\r\n"), POLICY),
        (FILE.replace(b": ", b":"), POLICY),
        (FILE.replace(b": ", b": \t ").replace(b"\r", b" \t\r"), POLICY),
        (FILE + b"mode: none\nversion: STSv9\nmax_age: x\n", POLICY),
        (b"x.y-z_9: gr\xc3\xbc\xc3\x9fe an alle\n" + FILE, POLICY),
        (FILE.replace(b"86400", b"0"), MTASTSPolicy(mode=POLICY.mode, mx=POLICY.mx, max_age=0)),
        (
            b"mode: none\nmax_age: 31557601\nversion: STSv1",
            MTASTSPolicy(mode=MTASTSMode.NONE, max_age=STS_MAX_AGE),
        ),
    ],
)
def test_a_policy_is_read(file: bytes, policy: MTASTSPolicy) -> None:
    assert MTASTSPolicy.parse(file) == policy


@pytest.mark.req("RFC8461-3.2-01")
@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\xff" + FILE,
        FILE + b"\r\n\r\n",
        FILE.replace(b"\r\n", b"\r"),
        FILE.replace(b"version: STSv1", b"version: STSv2"),
        FILE.replace(b"version", b"Version"),
        FILE.replace(b"enforce", b"Enforce"),
        FILE.replace(b"mode: enforce\r\n", b""),
        FILE.replace(b"max_age: 86400", b"max_age: -1"),
        FILE.replace(b"max_age: 86400", b"max_age: 1.5"),
        FILE.replace(b"max_age: 86400", b"max_age: 12345678901"),
        FILE.replace(b"max_age: 86400", "max_age: \u0661".encode()),
        FILE.replace(b"max_age: 86400\r\n", b""),
        FILE.replace(b"mx: mx.example.org", b"mx:"),
        FILE.replace(b"mx: mx.example.org", b"mx: a.*.example.org"),
        FILE.replace(b"mx: mx.example.org", b"mx: *"),
        FILE.replace(b"mx: mx.example.org", b"mx: *."),
        FILE.replace(b"mx: mx.example.org", b"mx: a..b"),
        FILE.replace(b"mx: mx.example.org", b"mx: [192.0.2.1]"),
        FILE.replace(b"mx: mx.example.org", b"mx: a b"),
        b"version: STSv1\nmode: enforce\nmax_age: 1\n",
        b"version: STSv1\nmode: testing\nmax_age: 1\n",
        FILE + b"x: " + b"y" * STS_POLICY,
        FILE + b"x\n",
        FILE + b" x: y\n",
    ],
)
def test_a_malformed_policy_is_refused(file: bytes) -> None:
    with pytest.raises(GrammarError):
        MTASTSPolicy.parse(file)


@given(st.builds(
    MTASTSPolicy,
    mode=st.sampled_from(MTASTSMode),
    mx=st.lists(st.sampled_from(["a.b", "*.c.d", "xn--mx-eka.example"]), min_size=1).map(tuple),
    max_age=st.integers(0, STS_MAX_AGE),
))  # fmt: skip
def test_what_is_written_is_read(policy: MTASTSPolicy) -> None:
    assert MTASTSPolicy.parse(bytes(policy)) == policy


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
@example(b"mx: \xc3\xbc" + b"a" * 300 + b".b\n")
def test_nothing_but_an_error_of_ours_leaves_the_parsers(octets: bytes) -> None:
    for parse in (parse_sts_record, MTASTSPolicy.parse):
        for text in (octets, b"v=STSv1; " + octets, FILE + octets, FILE + b"mx: " + octets):
            with contextlib.suppress(GrammarError):
                parse(text)


# -- hosts -----------------------------------------------------------------------------------------


@pytest.mark.req("RFC8461-4.1-01")
@pytest.mark.parametrize(
    ("mx", "host", "allowed"),
    [
        ("mx.example.org", "mx.example.org", True),
        ("mx.example.org", "MX.Example.org.", True),
        ("MX.example.org", "mx.example.org", True),
        ("mx.example.org", "a.mx.example.org", False),
        ("mx.example.org", "example.org", False),
        ("*.example.org", "mx.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "mxexample.org", False),
        ("*.example.org", "*.example.org", True),
        ("*.b\u00fccher.example", "mx.xn--bcher-kva.example", True),
        ("mx.b\u00fccher.example", "mx.xn--bcher-kva.example", True),
        ("mx.xn--bcher-kva.example", "mx.xn--bcher-kva.example", True),
        ("mx.example.org", "", False),
    ],
)
def test_a_host_is_allowed_by_its_name_or_by_a_wildcard_for_one_label(
    mx: str, host: str, allowed: bool
) -> None:
    file = f"version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 1\n"
    assert MTASTSPolicy.parse(file.encode()).allows(host) is allowed
