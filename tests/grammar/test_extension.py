"""EHLO keyword lists, and what each extension adds (RFC 5321 2.2, 4.1.1.1)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.extension import EXTENSIONS, Extensions
from smtpproto.grammar.parameters import MAIL_CODECS, RCPT_CODECS
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Leniencies, Tolerance
from tests.support.parameters import offered


@pytest.mark.req("RFC5321-2.4-01/client", "RFC5321-2.4-01/server")
@pytest.mark.parametrize(
    ("lines", "keywords"),
    [([], {}), (["PIPELINING"], {"PIPELINING": ""}), (["pipelining"], {"PIPELINING": ""}),
     (["StartTLS"], {"STARTTLS": ""}), (["SIZE 1000"], {"SIZE": "1000"}),
     (["X-foo a=b  c "], {"X-FOO": "a=b c"}), (["8BITMIME "], {"8BITMIME": ""}),
     ([" SIZE\t10 "], {"SIZE": "10"}), ([""], {}), ([" "], {}), (["SMTPUTF8 X"], {"SMTPUTF8": "X"}),
     (["SIZE 1", "HELP", "size 2"], {"SIZE": "2", "HELP": ""}),
     # lines that are not keyword lines are ignored
     (["-x", "a_b", "é", "SIZE é", "?", "HELP"], {"HELP": ""}),
     (["\u017fize 5", "SI\u212aE"], {}), (["SIZE=5", "X=1"], {}),
     # AUTH in the form that servers used before RFC 2554
     (["AUTH=LOGIN PLAIN"], {"AUTH": "LOGIN PLAIN"}), (["auth=LOGIN"], {"AUTH": "LOGIN"}),
     (["AUTH PLAIN", "AUTH=LOGIN"], {"AUTH": "PLAIN LOGIN"}),
     (["AUTH=LOGIN", "AUTH PLAIN"], {"AUTH": "LOGIN PLAIN"}),
     (["AUTH PLAIN", "AUTH=login plain", "HELP", "AUTH LOGIN CRAM-MD5"],
      {"AUTH": "PLAIN LOGIN CRAM-MD5", "HELP": ""}),
     (["AUTH", "AUTH PLAIN"], {"AUTH": "PLAIN"}), (["AUTH PLAIN", "AUTH=é"], {"AUTH": "PLAIN"}),
      (["AUTH="], {"AUTH": ""})],
)  # fmt: skip
def test_keyword_lines_are_read_leniently(lines: list[str], keywords: dict[str, str]) -> None:
    extensions = offered(*lines)
    assert extensions == Extensions(keywords)
    assert offered(*extensions.lines()) == extensions


@pytest.mark.parametrize(
    ("lines", "mechanisms"),
    [
        (["AUTH PLAIN", "AUTH=LOGIN"], ("PLAIN",)),
        (["AUTH=LOGIN", "AUTH PLAIN"], ("PLAIN",)),
        (["AUTH PLAIN", "AUTH LOGIN"], ("LOGIN",)),
        (["AUTH=LOGIN"], ()),
    ],
)
def test_without_the_leniency_only_the_last_line_of_auth_counts(
    lines: list[str], mechanisms: tuple[str, ...]
) -> None:
    reply = Reply(250, None, ["mx", *lines])
    context = ParseContext(leniencies=Leniencies(auth_lines=Tolerance.REJECT))
    assert Extensions.from_reply(reply, context.tolerate).mechanisms == mechanisms
    assert context.used == []


def test_the_first_line_of_an_ehlo_reply_is_not_a_keyword() -> None:
    assert not list(Extensions.from_reply(Reply.parse(b"250-SIZE\r\n250 \r\n")))
    assert not list(Extensions.from_reply(Reply.parse(b"250\r\n")))
    assert not list(Extensions.from_reply(Reply.parse(b"250 SIZE 10\r\n")))
    assert list(Extensions.from_reply(Reply.parse(b"250-\r\n250-SIZE\r\n250 HELP\r\n"))) == [
        "SIZE",
        "HELP",
    ]


@pytest.mark.req("RFC5321-2.4-01/client", "RFC5321-2.4-01/server")
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
def test_extensions_cannot_be_built_with_malformed_keywords(keywords: dict[str, str]) -> None:
    with pytest.raises(GrammarError):
        Extensions(keywords)


@pytest.mark.req("RFC1870-3-03", "RFC6531-3.1-04", "RFC4954-3-03")
@pytest.mark.parametrize(
    ("lines", "limit"),
    [([], 512), (["SIZE"], 538), (["SMTPUTF8"], 522), (["AUTH PLAIN"], 1012), (["8BITMIME"], 526),
     (["SIZE", "SMTPUTF8", "AUTH PLAIN", "X-FOO"], 1048)],
)  # fmt: skip
def test_the_line_limit_of_mail_grows_with_the_extensions(lines: list[str], limit: int) -> None:
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
def test_each_extension_adds_the_octets_of_its_rfc_to_the_line_limits(
    keyword: str, added: dict[str, int]
) -> None:
    for others in ([], ["SIZE", "X-FOO"]):
        for verb in ("MAIL", "RCPT", "VRFY", "EXPN", "NOOP"):
            without, limit = offered(*others), offered(*others, keyword)
            assert limit.line_limit(verb) - without.line_limit(verb) == added.get(verb, 0)


def test_dsn_raises_the_line_limit_to_1036_octets() -> None:
    """RFC 3461 5.4; the octets of other extensions are added to it."""
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
def test_the_longest_lines_fit_the_limits_of_their_extensions() -> None:
    everything = Extensions(dict.fromkeys(EXTENSIONS, ""))
    for line in (LONGEST_MAIL, LONGEST_RCPT):
        verb = line[:4]
        assert len(line) + len("\r\n") <= everything.line_limit(verb)
        command = parse_command(line.encode(), ParseContext(parameters=everything.parameters[verb]))
        assert isinstance(command, Mail | Rcpt)
        used = {parameter.keyword for parameter in command.parameters.parameters()}
        assert used == everything.parameters[verb] - {"HOLDFOR"}  # HOLDUNTIL excludes it


def test_the_offered_extensions_add_verbs_and_parameters() -> None:
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
def test_each_extension_adds_its_verbs_and_parameters(
    keyword: str, verbs: set[str], mail: set[str], rcpt: set[str]
) -> None:
    extensions = offered(keyword)
    assert extensions.verbs == verbs
    assert extensions.parameters == {"MAIL": mail, "RCPT": rcpt}


def test_the_extensions_and_the_codecs_have_the_same_parameters() -> None:
    everything = Extensions(dict.fromkeys(EXTENSIONS, ""))
    assert everything.parameters == {"MAIL": MAIL_CODECS.keys(), "RCPT": RCPT_CODECS.keys()}
    for row in EXTENSIONS.values():
        assert row.requires <= EXTENSIONS.keys()
