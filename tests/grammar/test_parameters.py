"""Parameters of MAIL and RCPT, generic and typed (RFC 5321 4.1.2)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ReversePath
from smtpproto.grammar.parameters import (
    Body,
    MailParameters,
    Parameter,
    RcptParameters,
    read_parameters,
)
from tests.support.parameters import parse_mail

ANN = ReversePath.of("ann@example.com")


def read(text: str) -> MailParameters:
    return MailParameters.read(read_parameters(text))


@pytest.mark.req(
    "RFC1870-3-02",
    "RFC6152-2-01",
    "RFC3030-3-02",
    "RFC4954-5-01",
    "RFC5321-2.4-01/client",
    "RFC5321-2.4-01/server",
)
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
def test_mail_parameters_are_read_and_read_back_after_writing(
    text: str, parameters: MailParameters
) -> None:
    assert read(text) == parameters
    assert read(str(parameters)) == parameters
    assert bytes(parameters) == str(parameters).encode()


@pytest.mark.req("RFC1870-3-02", "RFC6152-2-01", "RFC3030-3-02", "RFC4954-5-01", "RFC6531-3.1-03")
@pytest.mark.parametrize(
    "text",
    ["SIZE", "SIZE=", "SIZE=" + "9" * 21, "SIZE=" + "0" * 21, "SIZE=-1", "SIZE=+1",
     "SIZE=1_0", "SIZE=x", "SIZE=1.0", "SIZE=\u0661", "SIZE=0x1", "BODY", "BODY=", "BODY=16BIT",
     "BODY=BINARY", "BODY=8BITM\u0131ME",
     "SMTPUTF8=1", "SMTPUTF8=TRUE", "SMTPUTF8=SMTPUTF8", "SMTPUTF8=",
     "AUTH", "AUTH=", "AUTH=<ann@example.com>", "AUTH=ann", "AUTH=a+b@c",
     "AUTH=a+2bb@c", "AUTH=a+0D+0A@c", "AUTH=a+00@c", "AUTH=+FF@c", "AUTH=é@c", "AUTH=e=mc2@c",
     "AUTH=+3C", "AUTH=@", "AUTH=+ED+A0+80@c", "SIZE=1\n", "SIZE=1\0", "\u017fIZE=1", "SI\u017fZE",
     "A=\ud800", "SIZE =1", "SIZE= 1"],
)  # fmt: skip
def test_a_bad_mail_parameter_is_refused_with_501(text: str) -> None:
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
def test_an_error_reports_the_offset_of_a_malformed_parameter(text: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        read_parameters(text)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "offset"),
    [("SIZE=x", 5), ("SIZE=1 BODY=16BIT", 12), ("SIZE", 0), ("RET=HDRS SIZE", 9),
     ("SMTPUTF8=1", 9), ("SIZE=1 ENVID=ab+", 15), ("SIZE=1 FOO=2", 7), ("A=é FOO", 0),
     ("SIZE=1 SIZE=2", 7), ("BY=0;R", 3), ("MT-PRIORITY=10 SIZE=1", 12),
     # valid values that exclude each other
     ("SIZE=1 HOLDFOR=2 BY=1;R", 0)],
)  # fmt: skip
def test_an_error_reports_the_offset_of_a_bad_value(text: str, offset: int) -> None:
    for before in ("", "FROM:<é@b> "):
        with pytest.raises(GrammarError) as caught:
            MailParameters.read(read_parameters(before + text, len(before)))
        assert caught.value.offset == len(before.encode()) + offset


def test_an_error_reports_the_offset_inside_an_orcpt() -> None:
    with pytest.raises(GrammarError) as caught:
        RcptParameters.read(read_parameters(r"NOTIFY=DELAY ORCPT=utf-8;é\x{41}"))
    assert caught.value.offset == len("NOTIFY=DELAY ORCPT=utf-8;é".encode())


def test_parameters_compare_without_their_offset() -> None:
    first, second = read_parameters("SIZE=1 size=2".replace("size", "BODY"))
    assert (first.offset, second.offset) == (0, 7)
    assert first == Parameter("SIZE", "1")
    assert "offset" not in repr(second)


def test_numeric_parameters_cannot_be_built_from_other_types() -> None:
    for number in (1.5, "1", "1\r\nRSET"):
        for name in ("size", "hold_for", "mt_priority"):
            with pytest.raises(TypeError, match="pass an int"):
                MailParameters(**{name: number})  # type: ignore[arg-type]


def test_generic_parameters_are_read_and_written() -> None:
    parameters = read_parameters("MAIL FROM:<> a b-1=<x>;é,+", 13)
    assert parameters == (Parameter("A"), Parameter("B-1", "<x>;é,+"))
    assert " ".join(map(str, parameters)) == "A B-1=<x>;é,+"
    assert Parameter("size", "1").keyword == "SIZE"
    for keyword, value in (("", None), ("-A", None), ("A", ""), ("A", "b c"), ("A", "b\r\nC"),
                           ("A B", None), ("É", None), ("A", "=")):  # fmt: skip
        with pytest.raises(GrammarError):
            Parameter(keyword, value)


@pytest.mark.parametrize("size", [-1, 10**20])
def test_a_size_has_at_most_20_digits(size: int) -> None:
    with pytest.raises(GrammarError):
        MailParameters(size=size)


def test_parameters_that_are_not_set_are_not_written() -> None:
    assert bytes(MailParameters()) == bytes(RcptParameters()) == b""
    assert MailParameters().parameters() == RcptParameters().parameters() == ()
    assert MailParameters.read(()) == MailParameters()
    assert str(MailParameters(size=0)) == "SIZE=0"


@pytest.mark.req("RFC5321-4.1.2-03")
def test_auth_is_written_in_xtext() -> None:
    assert str(MailParameters(auth=ReversePath.of("e=mc2+x@c"))) == "AUTH=e+3Dmc2+2Bx@c"
    assert str(MailParameters(auth=ReversePath.of('"a b"@c'))) == 'AUTH="a+20b"@c'
    assert str(MailParameters(auth=ReversePath(None))) == "AUTH=<>"


def test_requiretls_is_read_and_written_without_a_value() -> None:
    assert parse_mail("RequireTLS") == MailParameters(requiretls=True)
    assert str(MailParameters(requiretls=True)) == "REQUIRETLS"
