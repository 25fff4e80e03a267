"""The conversation with a milter."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Envelope, Reply, Session, SMTPError, TLSInfo
from smtpproto.errors import ConnectionLost, RemoteProtocolError, TimedOut, TransportError
from smtpproto.filters import AddField, ChangeField, FilterVerdict, Milter
from smtpproto.filters.milter_wire import COMMANDS, RESPONSES, Packet
from tests.support.filter_peers import HEADER, FilterNetwork, ScriptedMilter, ask, message

MILTER = Milter("inet:8891@127.0.0.1")
BODY = (b"hello\r\n", b"x" * 100_000)
ORDER = ["optneg", "connect", "helo", "mail", "rcpt", "rcpt", "data", *["header"] * 3, "eoh"]
WHOLE = [*ORDER, "body", "body", "body", "eob", "quit"]
NO_STEPS = 0x27F  # none of the steps is wanted
SILENT = 0x100000 | 0xDF080  # no step is answered


def tell(milter: ScriptedMilter, step: int = 100_000, **changes: Any) -> FilterVerdict:
    network = FilterNetwork(lambda: milter, step=step)
    verdict = ask(MILTER, network, message(HEADER, *BODY, **changes))
    assert [it.closed for it in network.streams] == [True]
    return verdict


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_milter_is_told_everything_in_order(step: int) -> None:
    milter = ScriptedMilter({})
    assert tell(milter, step) == FilterVerdict()
    assert milter.names() == WHOLE
    told = {it.name: it.values for it in milter.told}
    assert told["mail"] == ((b"<ann@example.com>",),)
    assert told["rcpt"] == ((b"<al@example.org>",),)
    headers = [it.values for it in milter.told if it.name == "header"]
    assert headers == [(b"Subject", b" hello"), (b"X-A", b"  1\n\t2"), (b"x-a", b"3")]
    bodies = [it.values[0] for it in milter.told if it.name == "body"]
    assert b"".join(map(bytes, bodies)) == b"".join(BODY)  # type: ignore[arg-type]


def test_values_lose_one_space_for_milters_that_do_not_expect_it() -> None:
    milter = ScriptedMilter({}, steps=0)
    tell(milter)
    headers = [it.values[1] for it in milter.told if it.name == "header"]
    assert headers == [b"hello", b" 1\n\t2", b"3"]


def test_macros_tell_the_queue_id_the_login_and_tls() -> None:
    milter = ScriptedMilter({})
    session = Session(
        peer=("192.0.2.1", 4000),
        user="ann",
        tls=TLSInfo(version="TLSv1.3", cipher="AES", peer_certificate=None),
    )
    tell(milter, session=session)
    pairs: dict[Any, dict[bytes, bytes]] = {}
    for packet in milter.told:
        if packet.name == "macro":
            command, names = packet.values
            assert isinstance(names, tuple)
            pairs[command] = dict(zip(names[::2], names[1::2], strict=True))
    assert pairs[b"C"][b"j"] == b"mx.example.org"
    assert pairs[b"H"] == {b"{tls_version}": b"TLSv1.3", b"{cipher}": b"AES"}
    assert pairs[b"M"][b"{auth_authen}"] == b"ann"
    assert {it[b"i"] for it in (pairs[b"M"], pairs[b"R"], pairs[b"T"], pairs[b"E"])} == {b"01abc"}


@pytest.mark.parametrize(
    ("steps", "expected"), [(NO_STEPS, ["optneg", "eob", "quit"]), (SILENT, WHOLE)]
)
def test_a_milter_gets_only_the_steps_it_wants(steps: int, expected: list[str]) -> None:
    milter = ScriptedMilter({it: [] for it in [*ORDER[1:], "body"]}, steps=steps)
    assert tell(milter) == FilterVerdict()
    assert milter.names() == expected


def test_skip_ends_what_is_told_of_one_kind() -> None:
    milter = ScriptedMilter({("body", 2): [Packet("skip")], "header": [Packet("skip")]})
    assert tell(milter) == FilterVerdict()
    names = milter.names()
    assert (names.count("header"), names.count("body"), names[-2:]) == (1, 2, ["eob", "quit"])


DECISIONS: list[tuple[Packet, FilterVerdict]] = [
    (Packet("accept"), FilterVerdict()),
    (Packet("discard"), FilterVerdict(discard=True)),
    (
        Packet("reject"),
        FilterVerdict(refusal=Reply(550, "5.7.1", "Message refused by a filter")),
    ),
    (Packet("tempfail"), FilterVerdict(refusal=Reply(451, "4.7.1", "Try again later"))),
    (Packet("connfail"), FilterVerdict(refusal=Reply(421, "4.7.0", "Try again later"))),
    (
        Packet("replycode", (b"554 5.7.1 100%% spam",)),
        FilterVerdict(refusal=Reply(554, "5.7.1", "100% spam")),
    ),
    (
        Packet("replycode", (b"554-5.7.1 a\r\n554 5.7.1 b",)),
        FilterVerdict(refusal=Reply(554, "5.7.1", ["a", "b"])),
    ),
]


@pytest.mark.parametrize(("answer", "verdict"), DECISIONS, ids=lambda it: getattr(it, "name", ""))
@pytest.mark.parametrize("step", ["connect", "mail", ("rcpt", 2), "eoh", ("body", 2), "eob"])
def test_a_decision_is_taken_at_each_step(
    step: Any, answer: Packet, verdict: FilterVerdict
) -> None:
    milter = ScriptedMilter({step: [Packet("progress"), answer]})
    assert tell(milter) == verdict
    name = step if isinstance(step, str) else step[0]
    assert milter.names()[-2:] == [name, "quit"]


def test_changes_come_at_the_end() -> None:
    changes = [
        Packet("addheader", (b"X-B", b" 1\n\t2")),
        Packet("insheader", (1, b"X-C", b"3")),
        Packet("progress"),
        Packet("chgheader", (2, b"X-A", b" 4")),
        Packet("chgheader", (0, b"Subject", b"")),
        Packet("addrcpt", (b"<cleo@example.org>",)),
        Packet("addrcpt_par", ((b"dan@example.org", b"NOTIFY=NEVER"),)),
        Packet("delrcpt", (b"<al@example.org>",)),
        Packet("chgfrom", ((b"<>",),)),
        Packet("quarantine", (b"odd\x1b",)),
        Packet("continue"),
    ]
    assert tell(ScriptedMilter({"eob": changes})) == FilterVerdict(
        edits=[
            AddField("X-B", b" 1\r\n\t2", None),
            AddField("X-C", b" 3", 1),
            ChangeField("X-A", b" 4", 2),
            ChangeField("Subject", None),
        ],
        added=["cleo@example.org", "dan@example.org"],
        removed=["al@example.org"],
        sender=Envelope("", ["x@example.org"]).sender,
        hold="odd\\x1b",
    )


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"optneg": [Packet("optneg", (7, 0, 0, b""))]}, "version 7"),
        ({"optneg": [Packet("continue")]}, "no answer"),
        ({"mail": [Packet("addheader", (b"A", b"b"))]}, "not allowed here"),
        ({"mail": [Packet("replycode", (b"250 ok",))]}, "250 is no refusal"),
        ({"mail": [Packet("replycode", (b"nonsense",))]}, "not a line of a reply"),
        ({"eob": [Packet("replbody", (b"x",)), Packet("accept")]}, "not allowed here"),
        ({"eob": [Packet("addheader", (b"A", b"b\nC: d"))]}, "not the value of one"),
        ({"eob": [Packet("addheader", (b"\xff", b"b"))]}, "not the name"),
        ({"eob": [Packet("addrcpt", (b"<>",))]}, "asks for what cannot be"),
        ({"eob": [Packet("chgfrom", ((),))]}, "without an address"),
        ({"eob": [Packet("addrcpt", (b"<a@b.test>",))] * 1001}, "more than 1000 changes"),
    ],
)
def test_a_milter_that_breaks_the_protocol_has_failed(answers: Any, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        tell(ScriptedMilter(answers))


def test_a_change_needs_to_be_announced() -> None:
    changes = {"eob": [Packet("addheader", (b"A", b"b"))]}
    with pytest.raises(RemoteProtocolError, match="has not said that it sends addheader"):
        tell(ScriptedMilter(changes, actions=0x10))


def test_a_milter_that_is_silent_or_makes_progress_for_ever_runs_out_of_time() -> None:
    with pytest.raises(TimedOut):
        tell(ScriptedMilter({"mail": []}))

    class Busy(FilterNetwork):
        def now(self) -> float:
            self.calls = getattr(self, "calls", 0) + 1
            return self.calls / 10

    progress = Packet("progress").write(RESPONSES) * 100_000
    network = Busy(lambda: lambda _: progress)
    with pytest.raises(TimedOut, match="took too long"):
        ask(MILTER, network, message())
    assert network.calls < 1000


@pytest.mark.parametrize("most", [0, 5, 17, 30])
def test_a_lost_connection_is_a_failure(most: int) -> None:
    network = FilterNetwork(lambda: ScriptedMilter({}), most=most)
    with pytest.raises(TransportError, match="closed the connection"):
        ask(MILTER, network, message(HEADER, *BODY))


@pytest.mark.parametrize("answer", [Packet("reject"), Packet("accept")], ids=["reject", "accept"])
def test_a_decision_holds_although_the_milter_closes_the_connection_after_it(
    answer: Packet,
) -> None:
    milter = ScriptedMilter({"eob": [answer]})

    def answer_or_fail(data: bytes) -> bytes:
        said = milter(data)
        if milter.names()[-1] == "quit":
            raise ConnectionLost("reset", phase="filter")
        return said

    network = FilterNetwork(lambda: answer_or_fail)
    refusal = ask(MILTER, network, message()).refusal
    assert (refusal is None) is (answer.name == "accept")


@given(st.binary(max_size=60), st.booleans())
def test_only_errors_of_the_library_leave_the_conversation(octets: bytes, is_framed: bool) -> None:
    if is_framed:
        octets = ScriptedMilter({})(Packet("optneg", (6, 0, 0, b"")).write(COMMANDS)) + octets
    network = FilterNetwork(lambda: lambda _: octets)
    with contextlib.suppress(SMTPError):
        ask(MILTER, network, message())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("unix:/run/x", ("/run/x", 0)),
        ("local:/run/x", ("/run/x", 0)),
        ("/run/x", ("/run/x", 0)),
        ("inet:8891@127.0.0.1", ("127.0.0.1", 8891)),
        ("inet:localhost:8891", ("localhost", 8891)),
        ("inet6:[::1]:99", ("::1", 99)),
        ("127.0.0.1:99", ("127.0.0.1", 99)),
        ("::1", ("::1", 8891)),
        ("localhost", ("localhost", 8891)),
    ],
)
def test_addresses_are_those_of_sendmail_and_postfix(
    address: str, expected: tuple[str, int]
) -> None:
    dialled: list[tuple[Any, ...]] = []

    class Network(FilterNetwork):
        async def dial(
            self, host: str, port: int, timeout: float | None, source: Any = None
        ) -> Any:
            dialled.append((host, port))
            return await super().dial(host, 8891, timeout)

    ask(Milter(address), Network(lambda: ScriptedMilter({})), message())
    assert dialled == [expected]


@pytest.mark.parametrize("address", ["", "unix:run", "host:", "host:0", "host:x", "inet:99999@h"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="not the"):
        Milter(address)
