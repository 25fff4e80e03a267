"""Commands and content that a client sends or refuses to send."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, LocalProtocolError, NotOffered
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.command import (
    Command,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Rcpt,
    Rset,
    Vrfy,
)
from smtpproto.grammar.domain import AddressLiteral, Domain, GeneralLiteral
from smtpproto.grammar.extension_command import Auth, StartTLS
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.grammar.secret import Secret

from .machines import (
    EHLO,
    MAIL,
    OFFER,
    assert_refused,
    client_in_body,
    exchange,
    ready_client,
    receive,
    receive_codes,
)

CONTROLS = ["\r", "\n", "\r\n", "\0", "\r\nQUIT", "\nRCPT TO:<evil@example.net>"]


@pytest.mark.req("RFC5321-2.4-01/client", "RFC5321-4.1.1.2-03", "RFC1870-4-01")
@pytest.mark.parametrize(
    ("command", "keyword"),
    [
        (Mail(MAIL.path, MailParameters(size=1)), "SIZE"),
        (Mail(MAIL.path, MailParameters(body=Body.EIGHT_BIT_MIME)), "8BITMIME"),
        (Mail(MAIL.path, MailParameters(body=Body.SEVEN_BIT)), "8BITMIME"),
        (Mail(MAIL.path, MailParameters(smtputf8=True)), "SMTPUTF8"),
        (Mail(MAIL.path, MailParameters(auth=ReversePath())), "AUTH PLAIN"),
        (StartTLS(), "STARTTLS"),
        (Auth("PLAIN"), "AUTH PLAIN"),
        (Auth("PLAIN", Secret(b"")), "AUTH=PLAIN"),
        (Auth("LOGIN"), "AUTH PLAIN LOGIN"),
    ],
    ids=str,
)
def test_a_command_that_was_not_offered_is_not_sent(command: Command, keyword: str) -> None:
    name = keyword.replace("=", " ").split()[0]
    others = [other for other in OFFER if other.split()[0] != name]
    client = ready_client(*others)
    with pytest.raises(NotOffered):
        client.send(command)
    assert_refused(client, lambda: client.send(command), match="does not offer")
    client = ready_client(keyword.lower())
    client.send(command)
    assert client.data_to_send() == bytes(command) + b"\r\n"


@pytest.mark.req("RFC5321-2.4-15/client")
@pytest.mark.parametrize(
    ("command", "line"),
    [
        (EHLO, b"EHLO client.example"),
        (Mail(MAIL.path, MailParameters(size=1)), b"MAIL FROM:<ann@example.org> SIZE=1"),
        (Noop("a b"), b"NOOP a b"),
        (Help("MAIL"), b"HELP MAIL"),
        (Vrfy("bob"), b"VRFY bob"),
        (Vrfy("bob", smtputf8=True), b"VRFY bob SMTPUTF8"),
        (Expn("list"), b"EXPN list"),
        (Auth("PLAIN", Secret(b"")), b"AUTH PLAIN ="),
        (Rset(), b"RSET"),
    ],
    ids=str,
)
def test_one_space_separates_a_verb_from_its_argument(command: Command, line: bytes) -> None:
    client = ready_client(*OFFER)
    client.send(command)
    assert client.data_to_send() == line + b"\r\n"


@pytest.mark.req("RFC5321-4.5.3.1.4-01/client", "RFC5321-4.5.3.1-01/client")
def test_a_command_line_may_have_512_octets() -> None:
    client = ready_client("SIZE", "AUTH PLAIN")
    for command in (Noop, Help, Vrfy):
        exact = command("x" * (512 - len("NOOP \r\n")))
        client.send(exact)
        assert len(client.data_to_send()) == 512
        receive(client, b"250 ok\r\n")
        longer = command(exact.text + "x")
        assert_refused(client, lambda longer=longer: client.send(longer), match="512")  # type: ignore[misc]
    assert_refused(client, lambda: client.send(Auth("PLAIN", Secret(b"x" * 373))), match="512")
    client.send(Auth("PLAIN", Secret(b"x" * 372)))
    assert len(client.data_to_send()) == 509


@pytest.mark.req("RFC5321-4.5.3.1.4-01/client")
def test_the_line_limit_of_mail_grows_with_the_offer() -> None:
    name = "a" * 64 + "@" + ".".join(["b" * 61] * 3)
    escaped = "+" * 64 + "@" + ".".join(["b" * 61] * 3)  # three octets each in xtext
    wide = Mail(ReversePath.of(name), MailParameters(auth=ReversePath.of(escaped)))
    assert len(bytes(wide)) + 2 > 512
    client = ready_client("AUTH PLAIN")
    client.send(wide)
    assert client.data_to_send() == bytes(wide) + b"\r\n"


@pytest.mark.req("SMUGGLING-06")
@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda text: Ehlo(Domain("a" + text)),
        lambda text: Helo(Domain("a" + text + "b")),
        lambda text: Ehlo(AddressLiteral(GeneralLiteral("x", "a" + text))),
        lambda text: Mail(ReversePath.of("a" + text + "@b.example")),
        lambda text: Mail(ReversePath.of("a@b.example" + text)),
        lambda text: Mail(ReversePath(Mailbox("a" + text, Domain("b.example")))),
        lambda text: Rcpt(ForwardPath.of("a@b.example>" + text)),
        lambda text: Rcpt(ForwardPath.of("postmaster" + text)),
        lambda text: Rcpt(ForwardPath.of('"a' + text + '"@b.example')),
        lambda text: Noop("a" + text),
        lambda text: Help("a" + text + "b"),
        lambda text: Vrfy("a" + text),
        lambda text: Expn(text + "a"),
        lambda text: Auth("PLAIN" + text),
        Auth,
    ],
)
def test_no_argument_may_contain_cr_lf_or_nul(control: str, make: Callable[[str], Command]) -> None:
    with pytest.raises(GrammarError):
        make(control)


@pytest.mark.req("SMUGGLING-06")
@given(st.text(st.sampled_from('a@.<>"\\ \r\n\0[]:é'), max_size=12))
@example("a@b.example>\r\nRCPT TO:<evil@x")
def test_a_command_is_one_line_or_is_not_sent(text: str) -> None:
    """Whatever the argument, the line has one CRLF, at its end, and no NUL."""
    makers: list[Callable[[], Command]] = [
        lambda: Ehlo(Domain(text)),
        lambda: Mail(ReversePath.of(text), MailParameters(auth=ReversePath.of(text))),
        lambda: Mail(ReversePath(Mailbox(text, "client.example"))),
        lambda: Noop(text),
        lambda: Auth("PLAIN", Secret(text)),
    ]
    for make in makers:
        client = ready_client(*OFFER)
        try:
            client.send(make())
        except (GrammarError, LocalProtocolError):
            assert client.data_to_send() == b""
        else:
            line = client.data_to_send()
            assert line.endswith(b"\r\n")
            assert not set(line[:-2]) & set(b"\r\n\0")


@pytest.mark.req("RFC5321-2.4-11")
def test_addresses_in_utf8_are_sent_only_with_smtputf8() -> None:
    path = ReversePath.of("\u00e9@b.example")
    client = ready_client(*OFFER)
    assert_refused(client, lambda: client.send(Mail(path)), match="SMTPUTF8")
    body = MailParameters(body=Body.EIGHT_BIT_MIME)
    assert_refused(client, lambda: client.send(Mail(path, body)), match="SMTPUTF8")
    rcpt = Rcpt(ForwardPath.of("\u00e9@b.example"))
    for mail in (MAIL, Mail(MAIL.path, body)):
        exchange(client, mail)
        assert_refused(client, lambda: client.send(rcpt), match="SMTPUTF8")
        exchange(client, Rset())
    client.send(Mail(path, MailParameters(smtputf8=True)))
    receive(client, b"250 ok\r\n")
    client.send(rcpt)
    assert receive_codes(client, b"250 ok\r\n") == [250]


@pytest.mark.req("RFC5321-2.4-06")
@pytest.mark.parametrize(
    "command", [Noop("\u00e9"), Help("\u00e9"), Vrfy("\u00e9"), Expn("\u00e9")]
)
def test_other_commands_are_ascii_even_in_an_smtputf8_transaction(
    command: Command,
) -> None:
    client = ready_client(*OFFER)
    client.send(Mail(MAIL.path, MailParameters(smtputf8=True)))
    receive(client, b"250 ok\r\n")
    client.data_to_send()
    assert_refused(client, lambda: client.send(command), match="ASCII")
    client.send(Rset())
    receive(client, b"250 ok\r\n")
    client.data_to_send()
    assert_refused(client, lambda: client.send(command), match="ASCII")


@pytest.mark.req("RFC6152-3-05", "RFC5321-2.4-06")
@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [
        (MailParameters(), False),
        (MailParameters(body=Body.SEVEN_BIT), False),
        (MailParameters(size=5), False),
        (MailParameters(body=Body.EIGHT_BIT_MIME), True),
        (MailParameters(smtputf8=True), True),
    ],
    ids=str,
)
def test_octets_above_127_need_8bitmime_or_smtputf8(
    parameters: MailParameters, allowed: bool
) -> None:
    client = client_in_body(*OFFER, parameters=parameters)
    if allowed:
        client.send_body(b"caf\xc3\xa9\r\n")
        assert client.data_to_send() == b"caf\xc3\xa9\r\n"
    else:
        assert_refused(client, lambda: client.send_body(b"caf\xc3\xa9\r\n"), match="8BITMIME")
        client.send_body(b"cafe\r\n")
        client.end_body()
        assert client.data_to_send() == b"cafe\r\n.\r\n"


@pytest.mark.req("RFC5321-2.3.8-03", "RFC6152-3-08/client")
@pytest.mark.parametrize("body", [None, Body.SEVEN_BIT, Body.EIGHT_BIT_MIME])
def test_content_with_a_bare_cr_or_lf_is_not_sent(body: Body | None) -> None:
    contents = [b"a\n.\nb", b"a\rb", b"\n"]
    if body is Body.EIGHT_BIT_MIME:
        contents += [b"\xe9\n", b"\r\xe9", b"\xc3\xa9\r\n\xff\n\r\n"]
    for content in contents:
        client = client_in_body("8BITMIME", parameters=MailParameters(body=body))
        assert_refused(client, lambda client=client, c=content: client.send_body(c), match="alone")  # type: ignore[misc]
        client.send_body(b"x\r")
        assert client.data_to_send() == b"x"
        assert_refused(client, client.end_body, match="alone")
        client.send_body(b"\n.y")
        client.end_body()
        assert client.data_to_send() == b"\r\n..y\r\n.\r\n"
