"""How a client reads replies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import RemoteProtocolError
from smtpproto.events import Answer, Disconnected, Unsolicited
from smtpproto.grammar.command import (
    Command,
    Data,
    Noop,
    Quit,
    Rset,
)
from smtpproto.grammar.extension_command import Auth, StartTLS
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.limits import Limits
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from tests.support.pieces import pieces_of, single_octets

from .machines import (
    EHLO,
    MAIL,
    OFFER,
    RCPT,
    assert_protocol_error,
    assert_refused,
    client_in_body,
    cut,
    greeted_client,
    ready_client,
    receive,
    receive_codes,
    receive_events,
)

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
        return (
            [],
            error.message,
            client.phase,
        )  # how many answers came before it depends on the split
    return taken, "", client.phase


@pytest.mark.req("RFC5321-4.2-07", "RFC5321-4.3.2-01", "RFC5321-4.2-04", "RFC5321-4.2-06")
@pytest.mark.parametrize("code", [200, 211, 250, 251, 252, 299])
@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b" text", b" 2.1.5 \xff\x1b[0m", b"-1\r\n%d", b" 550 5.1.1 User unknown",
        b" error: closing transmission channel", b"-421 bye\r\n%d closing", b" 354 go on",
    ],
)  # fmt: skip
def test_any_2yz_reply_accepts_a_command(code: int, text: bytes) -> None:
    text = text.replace(b"%d", b"%d" % code)
    client = ready_client()
    for command, phase in ((MAIL, Phase.MAIL), (RCPT, Phase.RCPT), (Rset(), Phase.READY)):
        client.send(command)
        assert receive_codes(client, b"%d%s\r\n" % (code, text)) == [code]
        assert client.phase is phase


@pytest.mark.req("RFC5321-4.2-07", "RFC5321-3.3-12")
@pytest.mark.parametrize("code", [400, 432, 450, 499, 500, 521, 550, 556, 599])
def test_any_4yz_or_5yz_reply_refuses_a_command(code: int) -> None:
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
def test_any_3yz_reply_to_data_starts_the_content(code: int) -> None:
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
def test_3yz_to_another_command_is_a_protocol_error(command: Command, reply: bytes) -> None:
    client = ready_client(*OFFER)
    client.send(command)
    assert_protocol_error(client, reply, "does not fit the command")


@pytest.mark.req("RFC5321-3.3-12")
def test_3yz_to_greeting_or_content_and_2yz_to_data_are_protocol_errors() -> None:
    assert_protocol_error(ClientProtocol(), b"354 go\r\n", "does not fit the command")
    client = client_in_body()
    client.end_body()
    assert_protocol_error(client, b"354 go\r\n", "does not fit the command")
    client = ready_client()
    for command in (MAIL, RCPT):
        client.send(command)
        receive(client, b"250 ok\r\n")
    client.send(Data())
    assert_protocol_error(client, b"250 ok\r\n", "does not fit the command")
    assert_refused(client, lambda: client.send_body(b"x\r\n"))


@pytest.mark.req("RFC5321-4.2-09", "RFC5321-4.2-10", "RFC5321-4.2.1-04")
@pytest.mark.parametrize(
    "data",
    [
        b"150 x\r\n", b"650 x\r\n", b"050 x\r\n", b"99 x\r\n", b"25\r\n", b"2500 x\r\n",
        b"250_x\r\n", b"250\tx\r\n", b"\r\n", b"hello\r\n", b" 250 x\r\n", b"-250 x\r\n",
        b"25\xb2 x\r\n",
        b"250-a\r\n550 b\r\n", b"250-a\r\n251 b\r\n",
        b"250-a\r\n250-b\r\n251 c\r\n", b"250-a\r\n251-b\r\n250 c\r\n", b"250-a\r\n250_b\r\n",
        b"250-a\r\nb\r\n", b"\x16\x03\x01\x00\r\n",
    ],
)  # fmt: skip
def test_malformed_replies_are_protocol_errors(data: bytes) -> None:
    for octets in ([data], [data[i : i + 1] for i in range(len(data))]):
        client = ready_client()
        client.send(Noop())
        with pytest.raises(RemoteProtocolError):
            receive_events(client, *octets)
        assert client.phase is Phase.CLOSED


@pytest.mark.req(
    "RFC5321-4.2-10",
    "RFC5321-4.2-02",
    "RFC5321-4.2.1-07",
    "RFC5321-4.2.1-08",
    "RFC5321-2.3.8-01/client",
)
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
def test_well_formed_replies_are_read(data: bytes, reply: Reply) -> None:
    client = ready_client()
    sent = client.send(Noop())
    assert receive_events(client, data) == [Answer(sent, reply)]


@pytest.mark.req("RFC5321-3.8-06")
@pytest.mark.parametrize("command", [EHLO, MAIL, Noop(), Rset(), StartTLS(), Auth("PLAIN"), Quit()])
def test_421_to_any_command_closes_the_session(command: Command) -> None:
    client = ready_client(*OFFER)
    sent = client.send(command)
    got = receive_events(client, b"421 4.3.2 mx.example.org closing\r\n250 never read\r\n")
    assert [type(event) for event in got] == [Answer, Disconnected]
    assert isinstance(got[0], Answer)
    assert got[0].sent is sent
    client.data_to_send()
    assert_refused(client, lambda: client.send(Noop()))


def test_421_in_a_group_leaves_the_later_commands_unanswered() -> None:
    client = ready_client("PIPELINING")
    sents = [client.send(command) for command in (MAIL, RCPT, Data())]
    got = receive_events(client, b"250 ok\r\n421 bye\r\n")
    assert [type(event) for event in got] == [Answer, Answer, Disconnected]
    assert got[-1] == Disconnected((sents[2],))


@pytest.mark.req("RFC5321-3.8-06")
@pytest.mark.parametrize("closing", ["greeting", "data", "body", "end", "auth", "auth response"])
def test_421_closes_the_session_in_any_phase(closing: str) -> None:
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


def test_an_unsolicited_421_is_reported_and_closes_the_session() -> None:
    for client in (greeted_client(), ready_client(), client_in_body()):
        got = receive_events(client, b"421 4.4.2 idle\r\n")
        assert got == [Unsolicited(Reply(421, "4.4.2", "idle")), Disconnected()]
        assert_refused(client, lambda client=client: client.send(Quit()))  # type: ignore[misc]


@pytest.mark.parametrize("data", [b"250 ok\r\n", b"220 again\r\n", b"550 no\r\n", b"354 go\r\n"])
def test_any_other_unsolicited_reply_is_a_protocol_error(data: bytes) -> None:
    for client in (greeted_client(), ready_client(), client_in_body()):
        assert_protocol_error(client, data, "answers no command")
    client = ready_client()
    client.send(Noop())
    assert receive_codes(client, b"250 ok\r\n") == [250]
    assert_protocol_error(client, data, "answers no command")


@pytest.mark.req("RFC5321-4.5.3.1.5-01/client", "RFC5321-4.5.3.1-01/client")
def test_replies_beyond_the_limits_are_protocol_errors() -> None:
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


@pytest.mark.parametrize("begin", [b"250-", b"250 ", b"", b"250-a\r\n250-"])
@pytest.mark.parametrize("size", [1, 100, 12300])
def test_an_endless_reply_line_ends_at_its_limit(begin: bytes, size: int) -> None:
    """The client does not wait for the end of the line, and keeps no more than the limit."""
    client = ready_client()
    client.send(Noop())
    limit = client.settings.limits.reply_line
    fits = begin + b"x" * (limit - 1 - len(begin.rpartition(b"\n")[2]))
    assert receive_events(client, *pieces_of(fits, size)) == []
    with pytest.raises(RemoteProtocolError, match="too long"):
        receive_events(client, b"x")
    for _ in range(100):
        client.receive(b"x" * 10000)
    assert not client.unfinished_reply


def test_the_last_octet_of_the_longest_line_may_be_a_cr_whose_lf_is_to_come() -> None:
    client = ready_client(limits=Limits(reply_line=512))
    client.send(Noop())
    assert receive_events(client, b"250 ".ljust(510, b"x") + b"\r") == []
    assert receive_codes(client, b"\n") == [250]


@pytest.mark.parametrize("line", [b"250-\r\n", b"250-x\r\n", b"250-" + b"x" * 500 + b"\r\n"])
def test_an_endless_reply_ends_at_its_limit(line: bytes) -> None:
    client = ready_client(limits=Limits(reply=65536))
    client.send(Noop())
    size = len(line) - 2
    assert receive_events(client, line * (65536 // size)) == []
    rest = 65536 % size
    with pytest.raises(RemoteProtocolError, match="too long"):  # in the middle of a line
        receive_events(client, *pieces_of(line[: rest + 3], 1))


@given(REPLY_OCTETS, st.lists(st.integers(0, 60), max_size=5))
def test_answers_do_not_depend_on_how_input_is_split(data: bytes, cuts: list[int]) -> None:
    whole = outcome([data])
    assert outcome(cut(data, cuts)) == whole
    assert outcome(single_octets(data)) == whole


@pytest.mark.req("RFC5248-2-01/client")
def test_an_enhanced_code_that_nobody_registered_is_kept() -> None:
    client = ready_client()
    client.send(MAIL)
    [answer] = receive_events(client, b"550 5.9.99 x\r\n")
    assert isinstance(answer, Answer)
    assert (str(answer.reply.enhanced), answer.reply.text) == ("5.9.99", "x")
