"""EHLO keyword lists, by example (RFC 5321 4.1.1.1)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.extension import EXTENSIONS, Extensions
from smtpproto.grammar.parameters import MAIL_CODECS, RCPT_CODECS
from smtpproto.grammar.parse_context import ParseContext
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


@pytest.mark.req(
    "RFC3030-3-03", "RFC8689-2-02", "RFC2852-2-02", "RFC4865-3-03", "RFC6710-3-02", "RFC6531-3.1-04"
)
@pytest.mark.parametrize(
    ("keyword", "added"),
    [("BINARYMIME", {"MAIL": 16}), ("REQUIRETLS", {"MAIL": 11}), ("DELIVERBY", {"MAIL": 17}),
     ("FUTURERELEASE", {"MAIL": 34}), ("MT-PRIORITY", {"MAIL": 15}),
     ("NO-SOLICITING", {"MAIL": 1007}), ("RRVS", {"RCPT": 33}),
     ("SMTPUTF8", {"MAIL": 10, "VRFY": 9, "EXPN": 9}), ("DSN", {"MAIL": 524, "RCPT": 524}),
     ("LIMITS", {}), ("CHUNKING", {}), ("PIPELINING", {}), ("ETRN", {})],
)  # fmt: skip
def test_what_each_extension_adds_to_the_line_limits(keyword: str, added: dict[str, int]) -> None:
    for others in ([], ["SIZE", "X-FOO"]):
        for verb in ("MAIL", "RCPT", "VRFY", "EXPN", "NOOP"):
            without, limit = offered(*others), offered(*others, keyword)
            assert limit.line_limit(verb) - without.line_limit(verb) == added.get(verb, 0)


def test_with_dsn_a_line_has_1036_octets_and_what_the_others_add() -> None:
    """RFC 3461 5.4."""
    assert offered("DSN").line_limit("MAIL") == offered("DSN").line_limit("RCPT") == 1036
    assert offered("DSN", "RRVS").line_limit("RCPT") == 1069
    assert offered("DSN", "SIZE").line_limit("MAIL") == 1062


LONGEST_PATH = f"<{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 61}>"
LONGEST_MAIL = (
    f"MAIL FROM:{LONGEST_PATH} SIZE={'9' * 20} BODY=BINARYMIME SMTPUTF8"
    f" AUTH={'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 61} RET=FULL ENVID={'e' * 100} REQUIRETLS"
    f" BY=+999999999;RT HOLDUNTIL=2030-01-01T00:00:00.25Z MT-PRIORITY=-9 SOLICIT={'s' * 1000}"
)
LONGEST_RCPT = (
    f"RCPT TO:{LONGEST_PATH} NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{'o' * 493}"
    " RRVS=2014-04-03T23:01:00-08:00;C"
)


@pytest.mark.req("RFC3461-5.4-04")
def test_the_longest_lines_fit_the_limits_of_the_extensions_that_they_use() -> None:
    everything = Extensions(dict.fromkeys(EXTENSIONS, ""))
    for line in (LONGEST_MAIL, LONGEST_RCPT):
        verb = line[:4]
        assert len(line) + len("\r\n") <= everything.line_limit(verb)
        command = parse_command(line.encode(), ParseContext(parameters=everything.parameters[verb]))
        assert isinstance(command, Mail | Rcpt)
        used = {parameter.keyword for parameter in command.parameters.parameters()}
        assert used == everything.parameters[verb] - {"HOLDFOR"}  # not with HOLDUNTIL


def test_what_the_rows_add() -> None:
    extensions = offered("STARTTLS", "AUTH PLAIN", "SIZE 5", "X-FOO", "PIPELINING")
    assert extensions.verbs == {"STARTTLS", "AUTH"}
    assert extensions.parameters == {"MAIL": {"AUTH", "SIZE"}, "RCPT": frozenset()}
    assert [row.keyword for row in extensions.rows] == ["STARTTLS", "AUTH", "SIZE", "PIPELINING"]
    assert offered().verbs == frozenset()
    added = {"STARTTLS", "AUTH", "BDAT", "ETRN", "XCLIENT", "XFORWARD"}
    assert added == {verb for row in EXTENSIONS.values() for verb in row.verbs}


@pytest.mark.parametrize(
    ("keyword", "verbs", "mail", "rcpt"),
    [("CHUNKING", {"BDAT"}, set(), set()), ("BINARYMIME", set(), {"BODY"}, set()),
     ("DSN", set(), {"RET", "ENVID"}, {"NOTIFY", "ORCPT"}),
     ("REQUIRETLS", set(), {"REQUIRETLS"}, set()), ("DELIVERBY", set(), {"BY"}, set()),
     ("FUTURERELEASE", set(), {"HOLDFOR", "HOLDUNTIL"}, set()),
     ("MT-PRIORITY", set(), {"MT-PRIORITY"}, set()), ("RRVS", set(), set(), {"RRVS"}),
     ("NO-SOLICITING", set(), {"SOLICIT"}, set()), ("LIMITS", set(), set(), set()),
     ("ETRN", {"ETRN"}, set(), set()), ("EXPN", set(), set(), set()), ("VRFY", set(), set(), set()),
     ("XCLIENT", {"XCLIENT"}, set(), set()), ("XFORWARD", {"XFORWARD"}, set(), set())],
)  # fmt: skip
def test_rows(keyword: str, verbs: set[str], mail: set[str], rcpt: set[str]) -> None:
    extensions = offered(keyword)
    assert extensions.verbs == verbs
    assert extensions.parameters == {"MAIL": mail, "RCPT": rcpt}


def test_each_parameter_of_the_table_can_be_read_and_each_is_of_a_row() -> None:
    everything = Extensions(dict.fromkeys(EXTENSIONS, ""))
    assert everything.parameters == {"MAIL": MAIL_CODECS.keys(), "RCPT": RCPT_CODECS.keys()}
    for row in EXTENSIONS.values():
        assert row.requires <= EXTENSIONS.keys()
