"""Transcripts are replayed to servers, clients and sockets, compared, run again and shrunk."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from smtpproto import Envelope, Handler, Reply, Session
from smtpproto.adapters import blocking
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.testing import (
    SMTPD,
    Transcript,
    assert_matches,
    replay_on_machine,
    replay_over_socket,
    replay_to_client,
    replay_to_server,
    rerun,
    shrink,
)
from smtpproto.testing.certificates import client_context
from tests.support import server_dialogue

HELLO = server_dialogue.HELLO.replace(server_dialogue.GREETING, "S: 220 ...")
MAIL = """
    C: MAIL FROM:<ann@example.org>
    C: RCPT TO:<bob@example.org>
    C: DATA
    S: 250 2.1.0 ...
    S: 250 2.1.5 Recipient OK
    S: 354 ...
    C: hi
    C: .
    S: 250 2.0.0 ...
"""
QUIT = """
    C: QUIT
    S: 221 2.0.0 ...
"""
SESSION = Transcript.parse(HELLO + MAIL + QUIT)
BYE = Transcript.parse("C: QUIT\nS: 221 2.0.0 bye")


def changed(old: str, new: str, *, text: str = HELLO + MAIL + QUIT) -> Transcript:
    assert old in text
    return Transcript.parse(text.replace(old, new))


class Taking(Handler):
    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        assert body == b"hi\r\n"


def test_a_server_replays_a_transcript() -> None:
    replay_to_server(SESSION, Taking)


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("250 2.1.5 Recipient OK", "250 2.1.5 KO", r"server says something else at line 18 (?s:.*)"
         r"\n      S: 250 2.1.0 ...\n    - S: 250 2.1.5 KO\n    \+ S: 250 2.1.5 Recipient OK$"),
        ("    S: 221 2.0.0 ...\n", "", "(?s)server says more than the transcript:.*\\+ S: 221"),
        ("    S: 221 2.0.0 ...\n", "S: 221 2.0.0 ...\nS: 250 ok",
         "(?s)server ended the session at line 26 of the transcript:.*- S: 250 ok$"),
        ("C: MAIL FROM:<ann@example.org>\n", "S: 250 ok\nC: NOOP\n", "server waits for more, and"),
    ],
)  # fmt: skip
def test_a_difference_of_a_server_is_shown_with_its_line(
    old: str, new: str, difference: str
) -> None:
    with pytest.raises(AssertionError, match=difference):
        replay_to_server(changed(old, new), Taking, splits="whole")


def send(client: blocking.Client) -> None:
    client.send(b"hi\r\n", Envelope("ann@example.org", ["bob@example.org"]))


CLIENT = HELLO.replace("client.example", "[127.0.0.1]") + MAIL.replace(
    "<ann@example.org>", "<ann@example.org> ..."
)


def test_a_client_replays_a_transcript() -> None:
    replay_to_client(Transcript.parse(CLIENT + QUIT), send)


def test_a_client_with_content_that_was_left_out_replays() -> None:
    transcript = changed("C: hi", "C: [4 octets of content]", text=CLIENT + QUIT)
    replay_to_client(transcript, send, splits="octets")
    with pytest.raises(ValueError, match="line 20 of the transcript leaves content out"):
        replay_to_server(transcript, Taking)


def test_a_difference_of_a_client_is_shown_before_the_error_that_it_causes() -> None:
    with pytest.raises(AssertionError, match="the client says something else at line 15"):
        replay_to_client(changed("bob@", "eve@", text=CLIENT + QUIT), send)


def test_what_a_client_raises_is_raised() -> None:
    refused = changed("S: 250 2.1.5 Recipient OK", "S: 550 5.1.1 no", text=CLIENT + QUIT)
    refused = changed("C: hi\nC: .\nS: 250 2.0.0 ...\n", "", text=str(refused))
    refused = changed("S: 354 ...", "S: 503 5.5.1 no", text=str(refused))
    with pytest.raises(Exception, match=r"550 5\.1\.1 no"):
        replay_to_client(refused, send, splits="whole")


def test_a_side_or_splits_misspelt_are_refused() -> None:
    with pytest.raises(ValueError, match=r"plays must be one of \('C', 'S'\), not 'client'"):
        replay_over_socket(BYE, "client", socket.socket)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"splits must be one of .*, not 'all'"):
        replay_to_server(BYE, Taking, splits="all")  # type: ignore[arg-type]


def test_a_secret_that_is_masked_cannot_be_sent() -> None:
    transcript = Transcript.parse("S: 220 hi\nC: AUTH PLAIN ***")
    with pytest.raises(ValueError, match=r"line 2 of the transcript hides a secret"):
        replay_to_server(transcript, Taking)


def test_a_machine_reports_other_content() -> None:
    class Deaf(ServerProtocol):
        def next_event(self) -> object:  # type: ignore[override]
            event = super().next_event()
            return super().next_event() if type(event).__name__ == "BodyChunk" else event

    with pytest.raises(AssertionError, match="the server reports other content"):
        replay_on_machine(SESSION, Deaf, splits="whole")
    replay_on_machine(SESSION, ServerProtocol, splits="octets")


def test_a_client_machine_reports_other_replies() -> None:
    class Deaf(ClientProtocol):
        def next_event(self) -> object:  # type: ignore[override]
            return None if self.phase is Phase.CLOSED else super().next_event()

    replay_on_machine(SESSION, ClientProtocol, splits="octets")
    with pytest.raises(AssertionError, match="the client reports other replies"):
        replay_on_machine(SESSION, Deaf, splits="whole")


# -- sockets ------------------------------------------------------------------------------------


def test_a_server_replays_over_sockets_and_tls() -> None:
    text = HELLO.replace("S: 250 HELP", "S: 250-HELP\n    S: 250 STARTTLS")
    tls = "C: STARTTLS\nS: 220 ...\n-- TLS --\n"
    transcript = Transcript.parse(text + tls + "\n".join(HELLO.splitlines()[2:]) + MAIL + QUIT)
    with SMTPD(tls="starttls") as smtpd:
        replay_over_socket(
            transcript,
            "C",
            lambda: socket.create_connection((smtpd.host, smtpd.port)),
            tls=lambda sock: client_context().wrap_socket(sock, server_hostname="localhost"),
        )
        assert smtpd.messages[0].content == b"hi\r\n"


@contextmanager
def serving(talk: Callable[[int], object]) -> Iterator[socket.socket]:
    """Let *talk* connect to the port of the socket, in a thread."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=talk, args=(listener.getsockname()[1],))
        thread.start()
        yield listener
        thread.join()


def test_a_program_that_is_a_client_replays_over_a_socket() -> None:
    def talk(port: int) -> None:
        with blocking.connect("127.0.0.1", port, tls="none") as client:
            send(client)

    with serving(talk) as listener:
        replay_over_socket(
            Transcript.parse(CLIENT + QUIT), "S", lambda: listener.accept()[0], splits="whole"
        )


@pytest.mark.parametrize(
    ("wait", "error"),
    [(True, "the client was silent for too long at line 1"), (False, "the client ended the")],
)
def test_a_peer_that_is_silent_or_leaves_is_no_hang(wait: bool, error: str) -> None:
    ours, theirs = socket.socketpair()
    if not wait:
        theirs.close()
    with pytest.raises(AssertionError, match=error):
        replay_over_socket(BYE, "S", lambda: ours, splits="whole", seconds=0.05)
    theirs.close()


def test_tls_in_a_transcript_needs_a_socket_and_a_function() -> None:
    tls = Transcript.parse("-- TLS --\nC: QUIT")
    with pytest.raises(ValueError, match="use replay_over_socket"):
        replay_to_server(tls, Taking)
    ours, theirs = socket.socketpair()
    with closing(theirs), pytest.raises(ValueError, match="pass tls="):
        replay_over_socket(tls, "C", lambda: ours)


# -- comparing, running again, shrinking ----------------------------------------------------------


def test_transcripts_match_but_for_what_varies_and_notes() -> None:
    actual = Transcript.parse("S: 250 queued as 7F3\n*: late\nC: AUTH PLAIN AGE=")
    assert_matches(actual, "S: 250 queued as ...\nC: AUTH PLAIN ***")
    with pytest.raises(AssertionError, match=r"(?s)differ:.*\n S: 250.*7F3\n-C: QUIT\n\+C: A"):
        assert_matches(actual, "S: 250 queued as ...\nC: QUIT")
    with pytest.raises(AssertionError, match=r"\+C: AUTH"):
        assert_matches(actual, "S: 250 queued as ...")


class Forgetful(Handler):
    """Has a fault: it knows nobody after eve."""

    seen = False

    def vrfy(self, session: Session, name: str) -> Reply:
        verdict = Reply(451 if self.seen else 252, None, "?")
        self.seen = self.seen or name == "eve"
        return verdict


def test_a_failing_transcript_shrinks_to_the_commands_that_are_needed() -> None:
    calls = 0

    def fails(transcript: Transcript) -> bool:
        nonlocal calls
        calls += 1
        return "S: 451" in str(rerun(transcript, Forgetful))

    noise = "C: NOOP\nS: 250 ok\n" * 20
    long = Transcript.parse(
        f"{HELLO}{noise}C: VRFY eve\nS: 252 ?\n{noise}*: now\nC: VRFY bob\nS: 451 4.0.0 ?\n{QUIT}"
    )
    assert str(shrink(long, fails)) == "C: VRFY eve\nC: VRFY bob\n"
    assert calls < 200
    assert shrink(long, fails, attempts=0).octets("C") == long.octets("C")
    with pytest.raises(ValueError, match="the transcript does not fail"):
        shrink(BYE, fails)


def test_differences_show_no_secrets() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"AUTH PLAIN c2VjcmV0\r\n")
    expected = Transcript.parse("C: AUTH PLAIN b3RoZXI=\nS: 235 ok")
    with closing(theirs), pytest.raises(AssertionError) as error:
        replay_over_socket(expected, "S", lambda: ours, splits="whole")
    assert str(error.value).endswith("\n    - C: AUTH PLAIN ***\n    + C: AUTH PLAIN ***")
    with pytest.raises(AssertionError) as error:
        assert_matches(expected, "C: AUTH PLAIN cGFzcw==")
    assert str(error.value).endswith(" C: AUTH PLAIN ***\n+S: 235 ok")
