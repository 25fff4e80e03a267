"""EHLO keyword lists, by example (RFC 5321 4.1.1.1)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.extension import EXTENSION_VERBS, EXTENSIONS, Extensions
from smtpproto.grammar.parameters import MAIL_CODECS, RCPT_CODECS
from smtpproto.grammar.reply import Reply


def offered(*lines: str) -> Extensions:
    return Extensions.from_reply(Reply(250, None, ["mx.example", *lines]))


@pytest.mark.req("RFC5321-4.1.1.1-09", "RFC5321-4.1.1.1-12", "RFC5321-2.4-01")
@pytest.mark.parametrize(
    ("lines", "keywords"),
    [([], {}), (["PIPELINING"], {"PIPELINING": ""}), (["pipelining"], {"PIPELINING": ""}),
     (["StartTLS"], {"STARTTLS": ""}), (["SIZE 1000"], {"SIZE": "1000"}),
     (["X-foo a=b  c "], {"X-FOO": "a=b c"}), (["8BITMIME "], {"8BITMIME": ""}),
     ([" SIZE\t10 "], {"SIZE": "10"}), ([""], {}), ([" "], {}), (["SMTPUTF8 X"], {"SMTPUTF8": "X"}),
     (["SIZE 1", "HELP", "size 2"], {"SIZE": "2", "HELP": ""}),
     # not keyword lines: passed over, the rest counts
     (["-x", "a_b", "é", "SIZE é", "?", "HELP"], {"HELP": ""}),
     (["\u017fize 5", "SI\u212aE"], {}), (["SIZE=5", "X=1"], {}),
     # AUTH as servers before RFC 2554 wrote it
     (["AUTH=LOGIN PLAIN"], {"AUTH": "LOGIN PLAIN"}), (["auth=LOGIN"], {"AUTH": "LOGIN"}),
     (["AUTH PLAIN", "AUTH=LOGIN"], {"AUTH": "PLAIN"}),
     (["AUTH=LOGIN", "AUTH PLAIN"], {"AUTH": "PLAIN"}), (["AUTH="], {"AUTH": ""})],
)  # fmt: skip
def test_keyword_lines(lines: list[str], keywords: dict[str, str]) -> None:
    extensions = offered(*lines)
    assert extensions == Extensions(keywords)
    assert offered(*extensions.lines()) == extensions


def test_the_first_line_is_the_greeting() -> None:
    assert not list(Extensions.from_reply(Reply.parse(b"250-SIZE\r\n250 \r\n")))
    assert not list(Extensions.from_reply(Reply.parse(b"250\r\n")))
    assert not list(Extensions.from_reply(Reply.parse(b"250 SIZE 10\r\n")))
    assert list(Extensions.from_reply(Reply.parse(b"250-\r\n250-SIZE\r\n250 HELP\r\n"))) == [
        "SIZE",
        "HELP",
    ]


@pytest.mark.req("RFC1870-3-01")
@pytest.mark.parametrize(
    ("line", "size"),
    [("SIZE", None), ("SIZE 0", None), ("SIZE 00", None), ("SIZE 1000", 1000), ("SIZE 01000", 1000),
     (f"SIZE {'9' * 20}", 10**20 - 1), (f"SIZE {'9' * 21}", None), ("SIZE x", None),
     ("SIZE -1", None), ("SIZE +1", None), ("SIZE 1_0", None), ("SIZE 1 2", None),
     ("SIZE 0x10", None)],
)  # fmt: skip
def test_size(line: str, size: int | None) -> None:
    assert offered(line).size == size
    assert "SIZE" in offered(line)


def test_without_size() -> None:
    assert offered("HELP").size is None


@pytest.mark.req("RFC4954-3-01")
def test_mechanisms() -> None:
    assert offered("AUTH PLAIN scram-sha-256  LOGIN").mechanisms == (
        "PLAIN", "SCRAM-SHA-256", "LOGIN",
    )  # fmt: skip
    assert offered("AUTH=PLAIN").mechanisms == ("PLAIN",)
    assert offered("AUTH").mechanisms == offered().mechanisms == ()


@pytest.mark.req("RFC5321-2.4-01")
def test_keywords_are_looked_up_in_any_case() -> None:
    extensions = offered("SIZE")
    assert "size" in extensions
    assert "Size" in extensions
    assert "\u017fize" not in extensions
    assert b"SIZE" not in extensions
    assert "HELP" not in extensions


@pytest.mark.parametrize(
    "keywords",
    [{"size": ""}, {"": ""}, {"-A": ""}, {"A B": ""}, {"A=": ""}, {"A\n": ""}, {"É": ""},
     {"A": " "}, {"A": "b "}, {"A": "b  c"}, {"A": "é"}, {"A": "b\r\n250 C"}, {"A": "\x7f"},
     {"A": "b\n"}],
)  # fmt: skip
def test_not_a_list_of_keywords(keywords: dict[str, str]) -> None:
    with pytest.raises(GrammarError):
        Extensions(keywords)


@pytest.mark.req("RFC1870-3-03", "RFC6531-3.1-04", "RFC4954-3-03", "RFC5321-4.5.3.1.4-01")
@pytest.mark.parametrize(
    ("lines", "limit"),
    [([], 512), (["SIZE"], 538), (["SMTPUTF8"], 522), (["AUTH PLAIN"], 1012), (["8BITMIME"], 526),
     (["SIZE", "SMTPUTF8", "AUTH PLAIN", "X-FOO"], 1048)],
)  # fmt: skip
def test_extensions_add_to_the_line_limit_of_mail(lines: list[str], limit: int) -> None:
    assert offered(*lines).line_limit("MAIL") == limit
    assert offered(*lines).line_limit("RCPT") == 512


def test_what_the_rows_add() -> None:
    extensions = offered("STARTTLS", "AUTH PLAIN", "SIZE 5", "X-FOO", "PIPELINING")
    assert extensions.verbs == {"STARTTLS", "AUTH"}
    assert extensions.parameters == {"MAIL": {"AUTH", "SIZE"}, "RCPT": frozenset()}
    assert [row.keyword for row in extensions.rows] == ["STARTTLS", "AUTH", "SIZE", "PIPELINING"]
    assert offered().verbs == frozenset()
    added = {"STARTTLS", "AUTH", "BDAT", "ETRN", "XCLIENT", "XFORWARD"}
    assert added == EXTENSION_VERBS


def test_each_parameter_of_the_table_can_be_read() -> None:
    for row in EXTENSIONS.values():
        assert row.mail <= MAIL_CODECS.keys()
        assert row.rcpt <= RCPT_CODECS.keys()
