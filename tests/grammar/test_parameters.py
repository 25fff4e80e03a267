"""Parameters, xtext, base64 and secrets, by example (RFC 5321 4.1.2, RFC 3461 4, RFC 4954)."""

from __future__ import annotations

import copy
import pickle

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ReversePath
from smtpproto.grammar.ascii_case import lower, upper
from smtpproto.grammar.parameters import (
    Body,
    MailParameters,
    Parameter,
    RcptParameters,
    read_parameters,
)
from smtpproto.grammar.secret import Secret
from smtpproto.grammar.xtext import decode_base64, decode_xtext, encode_base64, encode_xtext

ANN = ReversePath.of("ann@example.com")


def read(text: str) -> MailParameters:
    return MailParameters.read(read_parameters(text))


@pytest.mark.req("RFC1870-3-02", "RFC6152-2-01", "RFC3030-3-02", "RFC4954-5-01", "RFC5321-2.4-01")
@pytest.mark.parametrize(
    ("text", "parameters"),
    [("SIZE=0", MailParameters(size=0)), ("size=1", MailParameters(size=1)),
     ("SIZE=" + "9" * 20, MailParameters(size=10**20 - 1)),
     ("SIZE=" + "0" * 19 + "1", MailParameters(size=1)),
     ("BODY=7BIT", MailParameters(body=Body.SEVEN_BIT)),
     ("Body=8bitmime", MailParameters(body=Body.EIGHT_BIT_MIME)),
     ("BODY=binaryMIME", MailParameters(body=Body.BINARY_MIME)),
     ("SmtpUtf8", MailParameters(smtputf8=True)),
     ("AUTH=<>", MailParameters(auth=ReversePath(None))),
     ("AUTH=+3C+3E", MailParameters(auth=ReversePath(None))),
     ("AUTH=ann@example.com", MailParameters(auth=ANN)),
     ("AUTH=e+3Dmc2@example.com", MailParameters(auth=ReversePath.of("e=mc2@example.com"))),
     ("AUTH=a+2Bb@c", MailParameters(auth=ReversePath.of("a+b@c"))),
     ('AUTH="a+20b"@c', MailParameters(auth=ReversePath.of('"a b"@c'))),
     ("AUTH=+C3+A9@c", MailParameters(auth=ReversePath.of("é@c"))),
     ("SMTPUTF8 AUTH=<> BODY=7BIT SIZE=3",
      MailParameters(size=3, body=Body.SEVEN_BIT, smtputf8=True, auth=ReversePath(None)))],
)  # fmt: skip
def test_mail_parameters(text: str, parameters: MailParameters) -> None:
    assert read(text) == parameters
    assert read(str(parameters)) == parameters
    assert bytes(parameters) == str(parameters).encode()


@pytest.mark.req("RFC1870-3-02", "RFC6152-2-01", "RFC3030-3-02", "RFC4954-5-01", "RFC6531-3.1-03")
@pytest.mark.parametrize(
    "text",
    ["SIZE", "SIZE=", "SIZE=" + "9" * 21, "SIZE=" + "0" * 21, "SIZE=-1", "SIZE=+1",
     "SIZE=1_0", "SIZE=x", "SIZE=1.0", "SIZE=\u0661", "SIZE=0x1", "BODY", "BODY=", "BODY=16BIT",
     "BODY=BINARY", "BODY=8BITM\u0131ME",
     "SMTPUTF8=1", "SMTPUTF8=", "AUTH", "AUTH=", "AUTH=<ann@example.com>", "AUTH=ann", "AUTH=a+b@c",
     "AUTH=a+2bb@c", "AUTH=a+0D+0A@c", "AUTH=a+00@c", "AUTH=+FF@c", "AUTH=é@c", "AUTH=e=mc2@c",
     "AUTH=+3C", "AUTH=@", "AUTH=+ED+A0+80@c", "SIZE=1\n", "SIZE=1\0", "\u017fIZE=1", "SI\u017fZE",
     "A=\ud800", "SIZE =1", "SIZE= 1"],
)  # fmt: skip
def test_bad_mail_parameters(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        read(text)
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501
    assert 0 <= caught.value.offset <= len(text.encode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("text", "offset"),
    [("", 0), ("é", 0), ("A é", 2), ("A=é é", 5), ("A B A", 4), ("A a", 2), ("A ", 2), (" A", 0),
     ("A  B", 2), ("A=", 0), ("A=b=c", 0), ("A=b c=d=e", 4)],
)  # fmt: skip
def test_where_a_parameter_is_bad(text: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        read_parameters(text)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "offset"),
    [("SIZE=x", 5), ("SIZE=1 BODY=16BIT", 12), ("SIZE", 0), ("RET=HDRS SIZE", 9),
     ("SMTPUTF8=1", 9), ("SIZE=1 ENVID=ab+", 15), ("SIZE=1 FOO=2", 7), ("A=é FOO", 0),
     ("SIZE=1 SIZE=2", 7), ("BY=0;R", 3), ("MT-PRIORITY=10 SIZE=1", 12),
     # each is good, but not with the other
     ("SIZE=1 HOLDFOR=2 BY=1;R", 0)],
)  # fmt: skip
def test_where_a_value_is_bad(text: str, offset: int) -> None:
    for before in ("", "FROM:<é@b> "):
        with pytest.raises(GrammarError) as caught:
            MailParameters.read(read_parameters(before + text, len(before)))
        assert caught.value.offset == len(before.encode()) + offset


def test_where_an_original_recipient_is_bad() -> None:
    with pytest.raises(GrammarError) as caught:
        RcptParameters.read(read_parameters(r"NOTIFY=DELAY ORCPT=utf-8;é\x{41}"))
    assert caught.value.offset == len("NOTIFY=DELAY ORCPT=utf-8;é".encode())


def test_parameters_are_equal_wherever_they_stood() -> None:
    first, second = read_parameters("SIZE=1 size=2".replace("size", "BODY"))
    assert (first.offset, second.offset) == (0, 7)
    assert first == Parameter("SIZE", "1")
    assert "offset" not in repr(second)


def test_numbers_are_numbers() -> None:
    for number in (1.5, "1", "1\r\nRSET"):
        for name in ("size", "hold_for", "mt_priority"):
            with pytest.raises(GrammarError):
                MailParameters(**{name: number})  # type: ignore[arg-type]


def test_generic_parameters() -> None:
    parameters = read_parameters("MAIL FROM:<> a b-1=<x>;é,+", 13)
    assert parameters == (Parameter("A"), Parameter("B-1", "<x>;é,+"))
    assert " ".join(map(str, parameters)) == "A B-1=<x>;é,+"
    assert Parameter("size", "1").keyword == "SIZE"
    for keyword, value in (("", None), ("-A", None), ("A", ""), ("A", "b c"), ("A", "b\r\nC"),
                           ("A B", None), ("É", None), ("A", "=")):  # fmt: skip
        with pytest.raises(GrammarError):
            Parameter(keyword, value)


@pytest.mark.parametrize("size", [-1, 10**20])
def test_a_size_cannot_be_built_invalid(size: int) -> None:
    with pytest.raises(GrammarError):
        MailParameters(size=size)


def test_nothing_set_writes_nothing() -> None:
    assert bytes(MailParameters()) == bytes(RcptParameters()) == b""
    assert MailParameters().parameters() == RcptParameters().parameters() == ()
    assert MailParameters.read(()) == MailParameters()
    assert str(MailParameters(size=0)) == "SIZE=0"


@pytest.mark.req("RFC5321-4.1.2-03")
def test_addresses_are_written_in_xtext() -> None:
    assert str(MailParameters(auth=ReversePath.of("e=mc2+x@c"))) == "AUTH=e+3Dmc2+2Bx@c"
    assert str(MailParameters(auth=ReversePath.of('"a b"@c'))) == 'AUTH="a+20b"@c'
    assert str(MailParameters(auth=ReversePath(None))) == "AUTH=<>"


@pytest.mark.req("RFC3461-4-01", "RFC3461-4-02")
@pytest.mark.parametrize(
    ("text", "encoded"),
    [("", ""), ("abc~!", "abc~!"), ("+", "+2B"), ("=", "+3D"), ("a b", "a+20b"), ("\r\n", "+0D+0A"),
     ("\0\x7f", "+00+7F"), ("é", "+C3+A9"), ("\U0001f600", "+F0+9F+98+80"), ("+2B", "+2B2B")],
)  # fmt: skip
def test_xtext(text: str, encoded: str) -> None:
    assert encode_xtext(text) == encoded
    assert decode_xtext(encoded) == text


@pytest.mark.req("RFC3461-4-01")
@pytest.mark.parametrize(
    ("text", "offset"),
    [("+", 0), ("+2", 0), ("a+2b", 1), ("+2G", 0), ("+ 1", 0), ("ab=", 2), ("a b", 1), ("a\n", 1),
     ("é", 0), ("a\x7f", 1), ("++41", 0), ("+41+", 3), ("+4\u0661", 0)],
)  # fmt: skip
def test_not_xtext(text: str, offset: int) -> None:
    with pytest.raises(GrammarError, match="not xtext") as caught:
        decode_xtext(text)
    assert caught.value.offset == offset
    assert caught.value.reply is not None


@pytest.mark.parametrize("text", ["+FF", "+C3", "+C0+AE", "+ED+A0+80", "a+80"])
def test_xtext_holds_utf8(text: str) -> None:
    with pytest.raises(GrammarError, match="UTF-8"):
        decode_xtext(text)


@pytest.mark.req("RFC4954-4-15")
@pytest.mark.parametrize(
    "text",
    [b"A", b"AA", b"AAA", b"AA=", b"AAA==", b"AA===", b"AAAA=", b"AAAA==", b"AAAA====", b"=",
     b"====",
     b"=AAA", b"AAA=BBB", b"AA==AA==", b"AA==AAAA", b"AA A", b"AAAA\n", b"AA==\n", b" AAAA",
     b"AA-_",
     b"AA\0A", b"\xc3\xa9==", b"!!!!"],
)  # fmt: skip
def test_not_base64(text: bytes) -> None:
    with pytest.raises(GrammarError) as caught:
        decode_base64(text)
    assert caught.value.reply is not None
    assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (501, "5.5.2")


def test_base64() -> None:
    for octets, text in ((b"", b""), (b"a", b"YQ=="), (b"ab", b"YWI="), (b"abc", b"YWJj")):
        assert encode_base64(octets) == text
        assert decode_base64(text) == octets
    assert encode_base64(bytes(range(256)) * 4).count(b"\n") == 0


def test_a_secret_is_used_and_compared_but_not_printed_or_copied() -> None:
    secret = Secret("pä55")
    assert secret.reveal() == "pä55".encode()
    assert secret == Secret("pä55".encode())
    assert hash(secret) == hash(Secret("pä55"))
    assert secret != Secret("other")
    assert secret != "pä55"
    assert not hasattr(secret, "__dict__")
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Secret"):
            leak(secret)


@pytest.mark.parametrize(
    ("text", "up", "low"),
    [("aZ-9", "AZ-9", "az-9"), ("\u017fize", "\u017fIZE", "\u017fize"),
     ("\u0130I", "\u0130I", "\u0130i"),
     ("\u212aK", "\u212aK", "\u212ak"), ("ß", "ß", "ß"), ("éÉ", "éÉ", "éÉ")],
)  # fmt: skip
def test_case_is_that_of_ascii(text: str, up: str, low: str) -> None:
    assert upper(text) == up
    assert lower(text) == low
