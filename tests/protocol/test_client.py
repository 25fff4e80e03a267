"""What the client's machine sends, refuses to send, and makes of replies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, LocalProtocolError, NotOffered, RemoteProtocolError
from smtpproto.events import Answer, Disconnected, Sent, Step, Unsolicited
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.command import (
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from smtpproto.grammar.domain import AddressLiteral, Domain, GeneralLiteral
from smtpproto.grammar.extension_command import Auth, StartTLS
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.limits import Limits, Timeouts
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO,
    MAIL,
    OFFER,
    RCPT,
    assert_protocol_error,
    assert_refused,
    client_in_body,
    cut,
    ehlo_reply,
    greeted_client,
    ready_client,
    receive,
    receive_codes,
    receive_events,
    sent_of,
    single_octets,
)

# -- the ledger --------------------------------------------------------------------------------


@pytest.mark.req("RFC2920-3.1-07", "RFC2920-3.1-08", "RFC2920-3.1-01", "RFC5321-4.2-11")
def test_replies_are_matched_by_counting() -> None:
    """All replies read the same; some have two lines; each still finds its command."""
    commands = (Rset(), MAIL, RCPT, RCPT, Rset(), MAIL, RCPT, RCPT, RCPT)
    data = b"250 ok\r\n250-ok\r\n250 ok\r\n" * 4 + b"250 ok\r\n"
    for position in range(1, len(data) + 1):
        client = ready_client("PIPELINING")
        sent = [client.send(command) for command in commands]
        assert client.unanswered == tuple(sent)
        assert client.data_to_send().count(b"\r\n") == 9
        answers = receive(client, *cut(data, [position]))
        assert sent_of(answers) == sent
        assert [answer.reply.text for answer in answers] == ["ok", "ok\nok"] * 4 + ["ok"]
        assert (client.unanswered, client.in_flight) == ((), 0)


def test_the_octets_in_flight_are_known() -> None:
    client = ready_client("PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    assert client.in_flight == len(client.data_to_send())
    receive(client, b"250 ok\r\n")
    assert client.in_flight == len(bytes(RCPT)) + 2


MUST_END_A_GROUP = [EHLO, Helo(EHLO.host), Vrfy("a"), Expn("a"), Help(), Noop(), Quit()]
MAY_BE_FOLLOWED = [MAIL, RCPT, Rset()]


@pytest.mark.req("RFC2920-3.1-02", "RFC3207-4-09")
@pytest.mark.parametrize(
    "first", [*MAY_BE_FOLLOWED, *MUST_END_A_GROUP, Data(), StartTLS(), Auth("PLAIN")], ids=str
)
@pytest.mark.parametrize(
    "second", [*MAY_BE_FOLLOWED, *MUST_END_A_GROUP, Data(), StartTLS(), Auth("PLAIN")], ids=str
)
def test_who_may_follow_whom(first: Command, second: Command) -> None:
    """MAIL, RCPT, RSET may be followed by anything that is then in order; all others by nothing."""
    client = ready_client(*OFFER)
    if isinstance(first, Rcpt | Data):
        client.send(MAIL)
        if isinstance(first, Data):
            client.send(RCPT)
        receive(client, b"250 ok\r\n" * len(client.unanswered))
    client.send(first)
    client.data_to_send()
    in_order = client.allows(second.verb)
    if isinstance(first, Mail | Rcpt | Rset) and in_order:
        client.send(second)
        assert client.data_to_send() == bytes(second) + b"\r\n"
        assert len(client.unanswered) == 2
    else:
        assert_refused(client, lambda: client.send(second))
    assert client.ready == (type(client.unanswered[-1].what) in (Mail, Rcpt, Rset))


@pytest.mark.req("RFC2920-3-01", "RFC5321-4.3.1-01")
@pytest.mark.parametrize("first", [*MAY_BE_FOLLOWED[:1], Rset(), *MUST_END_A_GROUP], ids=str)
def test_without_pipelining_one_at_a_time(first: Command) -> None:
    client = ready_client("8BITMIME")
    client.send(first)
    client.data_to_send()
    assert not client.ready
    assert_refused(client, lambda: client.send(Rset()))


@pytest.mark.req("RFC2920-3.1-04")
def test_the_next_transaction_may_follow_the_content() -> None:
    client = client_in_body("PIPELINING")
    client.send_body(b"text")
    (end,) = client.end_body()
    assert client.ready
    client.send(MAIL)
    client.send(RCPT)
    client.send(Data())
    assert client.data_to_send().startswith(b"text\r\n.\r\nMAIL FROM:")
    assert_refused(client, lambda: client.send_body(b"x"))
    assert receive_codes(client, b"554 no\r\n250 ok\r\n550 no\r\n354 go\r\n") == [
        554,
        250,
        550,
        354,
    ]
    assert end not in client.unanswered
    assert client.phase is Phase.BODY

    client = client_in_body()
    client.end_body()
    client.data_to_send()
    assert_refused(client, lambda: client.send(MAIL))


def test_a_group_in_which_something_fails() -> None:
    """What is allowed next follows what is really known."""
    client = ready_client("PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    assert client.allows("DATA")
    receive(client, b"550 no\r\n")
    assert not client.allows("DATA"), "the sender was refused, so the recipient will be"
    assert not client.allows("RCPT")
    receive(client, b"503 no\r\n")
    assert client.phase is Phase.READY
    client = ready_client("PIPELINING")
    client.send(MAIL)
    client.send(RCPT)
    client.send(RCPT)
    receive(client, b"250 ok\r\n550 no\r\n")
    assert client.allows("DATA"), "the other one may yet be accepted"
    receive(client, b"550 no\r\n")
    assert client.phase is Phase.MAIL
    assert not client.allows("DATA")


@pytest.mark.req("RFC2920-3.1-06")
def test_354_though_no_recipient_was_accepted() -> None:
    client = ready_client("PIPELINING")
    for command in (MAIL, RCPT, Data()):
        client.send(command)
    client.data_to_send()
    assert receive_codes(client, b"250 ok\r\n550 no\r\n354 go\r\n") == [250, 550, 354]
    client.end_body()
    assert client.data_to_send() == b".\r\n"
    assert receive_codes(client, b"554 no\r\n") == [554]
    assert client.phase is Phase.READY


# -- replies -----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.2-07", "RFC5321-4.3.2-01", "RFC5321-4.2-04")
@pytest.mark.parametrize("code", [200, 211, 250, 251, 252, 299])
@pytest.mark.parametrize("text", [b"", b" ", b" text", b" 2.1.5 \xff\x1b[0m", b"-1\r\n%d"])
def test_any_2yz_is_yes(code: int, text: bytes) -> None:
    text = text.replace(b"%d", b"%d" % code)
    client = ready_client()
    for command, phase in ((MAIL, Phase.MAIL), (RCPT, Phase.RCPT), (Rset(), Phase.READY)):
        client.send(command)
        assert receive_codes(client, b"%d%s\r\n" % (code, text)) == [code]
        assert client.phase is phase


@pytest.mark.req("RFC5321-4.2-07", "RFC5321-3.3-12")
@pytest.mark.parametrize("code", [400, 432, 450, 499, 500, 521, 550, 556, 599])
def test_any_4yz_or_5yz_is_no(code: int) -> None:
    client = ready_client()
    no = b"%d no\r\n" % code
    client.send(MAIL)
    client.data_to_send()
    assert receive_codes(client, no) == [code]
    assert_refused(client, lambda: client.send(RCPT))
    for command in (MAIL, RCPT):
        client.send(command)
        receive(client, b"250 ok\r\n")
    client.send(Data())
    assert receive_codes(client, no) == [code]
    assert client.phase is Phase.RCPT
    client.data_to_send()
    assert_refused(client, lambda: client.send_body(b"x"))


@pytest.mark.req("RFC5321-4.2-07")
@pytest.mark.parametrize("code", [300, 334, 354, 399])
def test_any_3yz_to_data_is_go(code: int) -> None:
    client = ready_client()
    for command in (MAIL, RCPT):
        client.send(command)
        receive(client, b"250 ok\r\n")
    client.send(Data())
    assert receive_codes(client, b"%d\r\n" % code) == [code]
    assert client.phase is Phase.BODY


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (MAIL, b"354 go\r\n"),
        (MAIL, b"334 \r\n"),
        (Noop(), b"300 x\r\n"),
        (StartTLS(), b"334 x\r\n"),
        (EHLO, b"354 x\r\n"),
        (Quit(), b"354 x\r\n"),
    ],
    ids=str,
)
def test_3yz_makes_no_sense_elsewhere(command: Command, reply: bytes) -> None:
    client = ready_client(*OFFER)
    client.send(command)
    assert_protocol_error(client, reply, "makes no sense")


@pytest.mark.req("RFC5321-3.3-12")
def test_a_greeting_or_end_of_data_is_never_3yz_and_data_never_2yz() -> None:
    assert_protocol_error(ClientProtocol(), b"354 go\r\n", "makes no sense")
    client = client_in_body()
    client.end_body()
    assert_protocol_error(client, b"354 go\r\n", "makes no sense")
    client = ready_client()
    for command in (MAIL, RCPT):
        client.send(command)
        receive(client, b"250 ok\r\n")
    client.send(Data())
    assert_protocol_error(client, b"250 ok\r\n", "makes no sense")
    assert_refused(client, lambda: client.send_body(b"x\r\n"))


@pytest.mark.req("RFC5321-4.2-09", "RFC5321-4.2-10", "RFC5321-4.2.1-04")
@pytest.mark.parametrize(
    "data",
    [
        b"150 x\r\n", b"650 x\r\n", b"050 x\r\n", b"99 x\r\n", b"25\r\n", b"2500 x\r\n",
        b"250_x\r\n", b"250\tx\r\n", b"\r\n", b"hello\r\n", b" 250 x\r\n", b"-250 x\r\n",
        b"25\xb2 x\r\n",
        b"250-a\r\n550 b\r\n", b"250-a\r\n250_b\r\n", b"250-a\r\nb\r\n", b"\x16\x03\x01\x00\r\n",
    ],
)  # fmt: skip
def test_what_is_no_reply(data: bytes) -> None:
    for octets in ([data], [data[i : i + 1] for i in range(len(data))]):
        client = ready_client()
        client.send(Noop())
        with pytest.raises(RemoteProtocolError):
            receive_events(client, *octets)
        assert client.phase is Phase.CLOSED


@pytest.mark.req("RFC5321-4.2-10", "RFC5321-4.2-02", "RFC5321-4.2.1-07", "RFC5321-4.2.1-08")
@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"250\r\n", Reply(250)),
        (b"250 \r\n", Reply(250)),
        (b"250-a\r\n250\r\n", Reply(250, None, ["a", ""])),
        (b"250-\r\n250 b\r\n", Reply(250, None, ["", "b"])),
        (b"250-234 Text\r\n250 251-x\r\n", Reply(250, None, ["234 Text", "251-x"])),
        (b"250 2.1.5 ok\r\n", Reply(250, "2.1.5", "ok")),
        (b"250 5.1.1 odd\r\n", Reply(250, None, ["5.1.1 odd"])),
        (b"250 a\rb\nc\r\n", Reply(250, None, ["a\\rb\\nc"])),
    ],
)
def test_forms_of_replies(data: bytes, reply: Reply) -> None:
    client = ready_client()
    sent = client.send(Noop())
    assert receive_events(client, data) == [Answer(sent, reply)]


@pytest.mark.req("RFC5321-3.8-06")
@pytest.mark.parametrize("command", [EHLO, MAIL, Noop(), Rset(), StartTLS(), Auth("PLAIN"), Quit()])
def test_421_closes(command: Command) -> None:
    client = ready_client(*OFFER)
    sent = client.send(command)
    got = receive_events(client, b"421 4.3.2 mx.example.org closing\r\n250 never read\r\n")
    assert [type(event) for event in got] == [Answer, Disconnected]
    assert isinstance(got[0], Answer)
    assert got[0].sent is sent
    client.data_to_send()
    assert_refused(client, lambda: client.send(Noop()))


def test_421_in_a_group_leaves_the_rest_unanswered() -> None:
    client = ready_client("PIPELINING")
    sents = [client.send(command) for command in (MAIL, RCPT, Data())]
    got = receive_events(client, b"250 ok\r\n421 bye\r\n")
    assert [type(event) for event in got] == [Answer, Answer, Disconnected]
    assert got[-1] == Disconnected((sents[2],))


@pytest.mark.parametrize("closing", ["greeting", "data", "body", "end", "auth", "auth response"])
def test_421_elsewhere(closing: str) -> None:
    if closing == "greeting":
        client = ClientProtocol()
    elif closing in ("body", "end"):
        client = client_in_body()
        if closing == "end":
            client.end_body()
    elif closing == "data":
        client = ready_client("PIPELINING")
        for command in (MAIL, RCPT, Data()):
            client.send(command)
        receive(client, b"250 ok\r\n250 ok\r\n")
    else:
        client = ready_client(*OFFER)
        client.send(Auth("LOGIN"))
        receive(client, b"334 \r\n")
        if closing == "auth response":
            client.respond(Secret(b"ann"))
    solicited = bool(client.unanswered)
    got = receive_events(client, b"421 bye\r\n")
    assert [type(event) for event in got] == [Answer if solicited else Unsolicited, Disconnected]
    assert client.phase is Phase.CLOSED
    client.data_to_send()
    assert_refused(client, lambda: client.send_body(b"x"))
    assert_refused(client, lambda: client.send(Noop()))


def test_421_that_nobody_asked_for() -> None:
    for client in (greeted_client(), ready_client(), client_in_body()):
        got = receive_events(client, b"421 4.4.2 idle\r\n")
        assert got == [Unsolicited(Reply(421, "4.4.2", "idle")), Disconnected()]
        assert_refused(client, lambda client=client: client.send(Quit()))  # type: ignore[misc]


@pytest.mark.parametrize("data", [b"250 ok\r\n", b"220 again\r\n", b"550 no\r\n", b"354 go\r\n"])
def test_a_reply_that_nothing_was_sent_for(data: bytes) -> None:
    for client in (greeted_client(), ready_client(), client_in_body()):
        assert_protocol_error(client, data, "nothing was sent for")
    client = ready_client()
    client.send(Noop())
    assert receive_codes(client, b"250 ok\r\n") == [250]
    assert_protocol_error(client, data, "nothing was sent for")


@pytest.mark.req("RFC5321-4.5.3.1.5-01", "RFC5321-4.5.3.1-01")
def test_bounds_of_replies() -> None:
    limits = Limits(reply_line=512, reply=65536)
    client = ready_client(limits=limits)
    client.send(Noop())
    assert receive_codes(client, b"250 ".ljust(510, b"x") + b"\r\n") == [250]
    client.send(Noop())
    assert_protocol_error(client, b"250 ".ljust(511, b"x") + b"\r\n", "too long")

    line = b"250-".ljust(512, b"x") + b"\r\n"
    client = ready_client(limits=Limits(reply=65536))
    client.send(Noop())
    assert receive_codes(client, line * 127 + b"250".ljust(512, b" ") + b"\r\n") == [250]
    client.send(Noop())
    assert_protocol_error(client, line * 128 + b"250\r\n", "too long")
    client = ready_client(limits=Limits(reply=65536))
    client.send(Noop())
    assert_protocol_error(client, line * 129, "too long")


def test_an_endless_reply_is_not_held() -> None:
    client = ready_client()
    client.send(Noop())
    for _ in range(100):
        assert receive_events(client, b"250-" + b"x" * 10000) == []
        assert len(client._buffer) < client.limits.reply_line
    with pytest.raises(RemoteProtocolError, match="too long"):
        receive_events(client, b"\r\n")
    for _ in range(100):
        client.receive(b"x" * 10000)
    assert len(client._buffer) == 0


# -- EHLO --------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.1.1.1-13", "RFC5321-4.1.4-04")
def test_only_the_last_list_counts() -> None:
    client = ready_client(*OFFER)
    assert "pipelining" in client.extensions
    client.send(EHLO)
    receive(client, b"550 no\r\n")
    assert "PIPELINING" in client.extensions, "a refused EHLO changes nothing"
    client.send(EHLO)
    receive(client, ehlo_reply("8BITMIME"))
    assert list(client.extensions) == ["8BITMIME"]
    client.send(Helo(EHLO.host))
    receive(client, ehlo_reply("SIZE"))
    assert list(client.extensions) == []


@pytest.mark.req("RFC5321-4.2-12", "RFC5321-4.2-11")
def test_sessions_open() -> None:
    client = greeted_client()
    client.send(EHLO)
    receive(client, b"502 what?\r\n")
    client.send(Helo(EHLO.host))
    receive(client, b"250 hi\r\n")
    assert client.phase is Phase.READY
    assert client.data_to_send() == b"EHLO client.example\r\nHELO client.example\r\n"
    client = ClientProtocol()
    assert receive_codes(client, b"220-mx.example.org\r\n220-warning\r\n220 go\r\n") == [220]
    client.send(EHLO)
    assert receive_codes(client, b"250 mx\r\n") == [250]
    assert client.phase is Phase.READY


@pytest.mark.req("RFC5321-2.4-01", "RFC5321-4.1.1.2-03", "RFC1870-4-01")
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
def test_what_was_not_offered_is_not_sent(command: Command, keyword: str) -> None:
    others = [other for other in OFFER if other.split()[0] != keyword.split()[0].split("=")[0]]
    client = ready_client(*others)
    with pytest.raises(NotOffered):
        client.send(command)
    assert_refused(client, lambda: client.send(command), match="does not offer")
    client = ready_client(keyword.lower())
    client.send(command)
    assert client.data_to_send() == bytes(command) + b"\r\n"


def test_a_mechanism_that_was_not_offered() -> None:
    client = ready_client("AUTH PLAIN")
    with pytest.raises(NotOffered, match="AUTH LOGIN"):
        client.send(Auth("LOGIN"))


def test_line_limit() -> None:
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


def test_the_line_limit_of_mail_grows_with_what_is_offered() -> None:
    name = "a" * 64 + "@" + ".".join(["b" * 61] * 3)
    escaped = "+" * 64 + "@" + ".".join(["b" * 61] * 3)  # three octets each in xtext
    wide = Mail(ReversePath.of(name), MailParameters(auth=ReversePath.of(escaped)))
    assert len(bytes(wide)) + 2 > 512
    client = ready_client("AUTH PLAIN")
    client.send(wide)
    assert client.data_to_send() == bytes(wide) + b"\r\n"


# -- what never leaves -------------------------------------------------------------------------


CONTROLS = ["\r", "\n", "\r\n", "\0", "\r\nQUIT", "\nRCPT TO:<evil@example.net>"]


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
def test_no_argument_carries_a_line_end(control: str, make: Callable[[str], Command]) -> None:
    with pytest.raises(GrammarError):
        make(control)


@given(st.text(st.sampled_from('a@.<>"\\ \r\n\0[]:é'), max_size=12))
@example("a@b.example>\r\nRCPT TO:<evil@x")
def test_a_command_is_one_line(text: str) -> None:
    """Whatever can be made of an argument, it has one CRLF, at its end, and no NUL."""
    makers: list[Callable[[], Command]] = [
        lambda: Ehlo(Domain(text)),
        lambda: Mail(ReversePath.of(text), MailParameters(auth=ReversePath.of(text))),
        lambda: Mail(ReversePath(Mailbox(text, EHLO.host))),
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
def test_addresses_beyond_ascii_need_smtputf8() -> None:
    path = ReversePath.of("\u00e9@b.example")
    client = ready_client(*OFFER)
    assert_refused(client, lambda: client.send(Mail(path)), match="SMTPUTF8")
    body = MailParameters(body=Body.EIGHT_BIT_MIME)
    assert_refused(client, lambda: client.send(Mail(path, body)), match="SMTPUTF8")
    client.send(MAIL)
    receive(client, b"250 ok\r\n")
    client.data_to_send()
    rcpt = Rcpt(ForwardPath.of("\u00e9@b.example"))
    assert_refused(client, lambda: client.send(rcpt), match="SMTPUTF8")
    client.send(Rset())
    receive(client, b"250 ok\r\n")
    client.send(Mail(path, MailParameters(smtputf8=True)))
    receive(client, b"250 ok\r\n")
    client.send(rcpt)
    assert receive_codes(client, b"250 ok\r\n") == [250]


@pytest.mark.req("RFC5321-2.4-06")
@pytest.mark.parametrize(
    "command", [Noop("\u00e9"), Help("\u00e9"), Vrfy("\u00e9"), Expn("\u00e9")]
)
def test_other_commands_are_ascii_even_in_and_after_an_smtputf8_transaction(
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
def test_octets_above_127_need_to_be_announced(parameters: MailParameters, allowed: bool) -> None:
    client = client_in_body(*OFFER, parameters=parameters)
    if allowed:
        client.send_body(b"caf\xc3\xa9\r\n")
        assert client.data_to_send() == b"caf\xc3\xa9\r\n"
    else:
        assert_refused(client, lambda: client.send_body(b"caf\xc3\xa9\r\n"), match="8BITMIME")
        client.send_body(b"cafe\r\n")
        client.end_body()
        assert client.data_to_send() == b"cafe\r\n.\r\n"


@pytest.mark.req("RFC5321-2.3.8-03")
def test_content_never_has_bare_cr_or_lf() -> None:
    for content in (b"a\n.\nb", b"a\rb", b"\n"):
        client = client_in_body()
        assert_refused(client, lambda client=client, c=content: client.send_body(c), match="alone")  # type: ignore[misc]
        client.send_body(b"x\r")
        assert client.data_to_send() == b"x"
        assert_refused(client, client.end_body, match="alone")
        client.send_body(b"\n.y")
        client.end_body()
        assert client.data_to_send() == b"\r\n..y\r\n.\r\n"


# -- STARTTLS ----------------------------------------------------------------------------------


def upgrading() -> ClientProtocol:
    client = ready_client(*OFFER)
    client.send(StartTLS())
    client.data_to_send()
    return client


@pytest.mark.req("RFC3207-6-05")
@pytest.mark.parametrize("behind", [b"2", b"250 fake\r\n", b"\x16\x03\x03", b"\r\n", b"\0"])
def test_octets_behind_220_to_starttls(behind: bytes) -> None:
    assert_protocol_error(upgrading(), b"220 go\r\n" + behind, "injecting")
    client = upgrading()
    client.receive(b"220 g")
    assert_protocol_error(client, b"o\r\n" + behind, "injecting")
    client = upgrading()
    assert receive_codes(client, b"220 go\r\n") == [220]
    with pytest.raises(LocalProtocolError):
        client.receive(behind)  # they are the business of TLS, which will not take them


@pytest.mark.req("RFC3207-4.2-02", "RFC3207-4.2-05")
def test_tls_makes_the_session_new() -> None:
    client = upgrading()
    assert not client.secure
    assert receive_codes(client, b"220 go\r\n") == [220]
    assert client.phase is Phase.TLS
    assert_refused(client, lambda: client.send(EHLO))
    client.tls_started()
    assert (client.phase, client.secure) == (Phase.START, True)
    assert list(client.extensions) == []
    for command in (MAIL, StartTLS(), Auth("PLAIN")):
        assert_refused(client, lambda command=command: client.send(command))  # type: ignore[misc]
    client.send(EHLO)
    receive(client, ehlo_reply("AUTH PLAIN"))
    client.data_to_send()
    assert_refused(client, lambda: client.send(StartTLS()), match="offer")
    client.send(Auth("PLAIN", Secret(b"x")))
    assert client.data_to_send() == b"AUTH PLAIN eA==\r\n"


def test_starttls_refused() -> None:
    client = upgrading()
    assert receive_codes(client, b"454 4.7.0 not now\r\n") == [454]
    assert client.phase is Phase.READY
    assert "STARTTLS" in client.extensions
    with pytest.raises(LocalProtocolError):
        client.tls_started()


# -- AUTH --------------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-4-04", "RFC4954-4-09", "RFC4954-4-11", "RFC4954-4-27", "RFC4422-3.5-01")
def test_an_exchange() -> None:
    client = ready_client(*OFFER)
    client.send(Auth("LOGIN"))
    assert receive_codes(client, b"334\r\n") == [334]
    assert client.phase is Phase.AUTH
    client.respond(Secret(b"ann"))
    refuses_to_say_more(client)
    assert receive_codes(client, b"334 \r\n") == [334]
    client.respond(Secret(b""))
    assert receive_codes(client, b"535 5.7.8 no\r\n") == [535]
    assert (client.phase, client.authenticated) == (Phase.READY, False)
    assert client.data_to_send() == b"\r\n"
    client.send(Auth("LOGIN"))
    receive(client, b"334 \r\n")
    client.respond(None)
    assert receive_codes(client, b"501 cancelled\r\n") == [501]
    assert (client.phase, client.authenticated) == (Phase.READY, False)
    assert client.data_to_send() == b"AUTH LOGIN\r\n*\r\n"
    client.send(Auth("PLAIN", Secret(b"")))
    assert client.data_to_send() == b"AUTH PLAIN =\r\n"
    assert receive_codes(client, b"235 2.7.0 yes\r\n") == [235]
    assert (client.phase, client.authenticated) == (Phase.READY, True)
    assert_refused(client, lambda: client.send(Auth("PLAIN")), match="already")


def refuses_to_say_more(client: ClientProtocol) -> None:
    client.data_to_send()
    assert_refused(client, lambda: client.respond(Secret(b"x")))
    assert_refused(client, lambda: client.send(Noop()))


def test_what_was_sent_shows_no_secret() -> None:
    client = ready_client(*OFFER)
    sent = client.send(Auth("PLAIN", Secret(b"hunter2hunter2")))
    encoded = client.data_to_send().split()[-1].decode()
    assert str(sent) == "AUTH PLAIN ***"
    receive(client, b"334 \r\n")
    other = client.respond(Secret(b"hunter2hunter2"))
    for shown in (repr(sent), str(sent), repr(other), str(other), repr(client.unanswered)):
        assert "hunter2" not in shown
        assert encoded not in shown
    client.receive(b"354 what\r\nagain\r\n")
    event = client.next_event()
    assert isinstance(event, Answer)
    with pytest.raises(RemoteProtocolError) as caught:
        client.next_event()
    assert encoded not in str(caught.value)


# -- the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [b"", b"250", b"250-a\r\n"])
def test_the_end_names_what_is_unanswered(rest: bytes) -> None:
    client = ready_client("PIPELINING")
    sents = [client.send(command) for command in (MAIL, RCPT, Data())]
    got = receive_events(client, b"250 ok\r\n" + rest, b"")
    assert got[1:] == [Disconnected(tuple(sents[1:]))]
    assert receive_events(client, b"") == []
    assert client.phase is Phase.CLOSED
    client.data_to_send()
    assert_refused(client, lambda: client.send(Quit()))
    assert_refused(client, lambda: client.send_body(b"x"))
    assert not client.allows("QUIT")


def test_the_end_in_each_phase() -> None:
    assert [s.what for s in ended(ClientProtocol())] == [Step.GREETING]
    assert ended(greeted_client()) == ()
    assert ended(client_in_body()) == ()
    client = client_in_body()
    assert ended(client, *client.end_body()) == ()
    client = upgrading()
    receive(client, b"220 go\r\n")
    assert ended(client) == ()
    client = ready_client()
    client.send(Quit())
    assert [type(e) for e in receive_events(client, b"221 bye\r\n", b"")] == [Answer, Disconnected]


def ended(client: ClientProtocol, *but: Sent) -> tuple[Sent, ...]:
    (event,) = receive_events(client, b"")
    assert isinstance(event, Disconnected)
    return tuple(sent for sent in event.unanswered if sent not in but)


def test_replies_that_came_before_the_end_count() -> None:
    client = client_in_body()
    (end,) = client.end_body()
    client.receive(b"250 2.0.0 accepted\r\n")
    client.receive(b"")
    assert client.next_event() == Answer(end, Reply(250, "2.0.0", "accepted"))
    assert client.next_event() == Disconnected()


# -- time --------------------------------------------------------------------------------------


TIMES = Timeouts(
    tls=1, greeting=2, hello=3, auth=4, mail=5, rcpt=6, data=7, block=8, final=9, other=10, quit=11
)


@pytest.mark.req("RFC5321-4.5.3.2-02")
def test_time_to_wait_by_phase() -> None:
    client = ClientProtocol(timeouts=TIMES)
    assert client.timeout == 2
    for command, time, reply in [
        (None, 2, b"220 hi\r\n"),
        (EHLO, 3, ehlo_reply(*OFFER)),
        (StartTLS(), 10, b"454 no\r\n"),
        (Auth("LOGIN"), 4, b"334 \r\n"),
        (Secret(b"x"), 4, b"235 yes\r\n"),
        (Noop(), 10, b"250 ok\r\n"),
        (Vrfy("a"), 10, b"252 ok\r\n"),
        (MAIL, 5, b"250 ok\r\n"),
        (RCPT, 6, b"250 ok\r\n"),
        (Data(), 7, b"354 go\r\n"),
        (b"", 9, b"250 ok\r\n"),
        (StartTLS(), 10, b"220 go\r\n"),
    ]:
        if isinstance(command, Secret):
            client.respond(command)
        elif isinstance(command, bytes):
            assert client.timeout == 8
            client.end_body()
        elif command is not None:
            client.send(command)
        assert client.timeout == time
        receive(client, reply)
    assert client.timeout == 1
    client.tls_started()
    client.send(Helo(EHLO.host))
    assert client.timeout == 3
    receive(client, b"250 ok\r\n")
    client.send(Quit())
    assert client.timeout == 11


def test_the_oldest_in_flight_counts() -> None:
    client = ready_client("PIPELINING", timeouts=TIMES)
    for command in (MAIL, RCPT, Data()):
        client.send(command)
    waits = []
    for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        waits.append(client.timeout)
        receive(client, reply)
    assert waits == [5, 6, 7]


@pytest.mark.req("RFC5321-4.5.3.2.1-01", "RFC5321-4.5.3.2.4-01", "RFC5321-4.5.3.2.6-01")
@pytest.mark.parametrize(
    ("name", "least"),
    [("greeting", 300), ("mail", 300), ("rcpt", 300), ("data", 120), ("block", 180), ("final", 600),
     ("command", 300)],
)  # fmt: skip
def test_default_times_are_those_of_the_rfc(name: str, least: float) -> None:
    assert getattr(Timeouts(), name) >= least


# -- laws --------------------------------------------------------------------------------------


REPLY_OCTETS = st.lists(
    st.sampled_from([b"250 ok\r\n", b"250-a\r\n", b"550 no\r\n", b"354 go\r\n", b"421 bye\r\n",
                     b"2", b"\r", b"\n", b"250\r\n", b"x\r\n", b"\xff\r\n"]), max_size=8
).map(b"".join)  # fmt: skip


def outcome(parts: list[bytes]) -> tuple[list[tuple[str, Reply]], str, Phase]:
    client = ready_client("PIPELINING")
    for command in (Rset(), MAIL, RCPT, Data()):
        client.send(command)
    taken = []
    try:
        for part in filter(None, parts):
            for event in receive_events(client, part):
                if isinstance(event, Answer):
                    taken.append((str(event.sent), event.reply))
    except RemoteProtocolError as error:
        return [], error.message, client.phase  # what was taken before it depends on who drives
    return taken, "", client.phase


@given(REPLY_OCTETS, st.lists(st.integers(0, 60), max_size=5))
def test_the_split_does_not_matter(data: bytes, cuts: list[int]) -> None:
    whole = outcome([data])
    assert outcome(cut(data, cuts)) == whole
    assert outcome(single_octets(data)) == whole
