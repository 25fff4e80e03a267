"""Scripted trouble: what each value makes a server do, in which order, and what is left."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Envelope, OutcomeUnknown, Reply, TLSMode
from smtpproto.adapters import blocking
from smtpproto.testing import SMTPD, Delay, Drop, Greylist, Refuse, Trouble
from smtpproto.testing.trouble import POINTS

CONTENT = b"Subject: x\r\n\r\nhello\r\n"
RECIPIENTS = ["bob@example.org", "eve@example.org"]
LOST = smtplib.SMTPServerDisconnected


def send(smtpd: SMTPD) -> dict[str, tuple[int, bytes]]:
    """Send a message as every program does it; return the recipients that were refused."""
    with smtplib.SMTP("localhost", smtpd.port, timeout=10) as mail:
        if smtpd._options.get("tls") is not None:
            mail.starttls(context=smtpd.client_context)
            mail.login(*smtpd.credentials)
        return mail.sendmail("ann@example.org", RECIPIENTS, CONTENT)


@pytest.mark.parametrize(
    ("at", "error", "code"),
    [
        ("connect", smtplib.SMTPConnectError, 554),
        ("MAIL", smtplib.SMTPSenderRefused, 550),
        ("RCPT", smtplib.SMTPRecipientsRefused, 550),
        ("DATA", smtplib.SMTPDataError, 554),
        (".", smtplib.SMTPDataError, 554),
        ("STARTTLS", smtplib.SMTPResponseException, 454),
        ("AUTH", smtplib.SMTPAuthenticationError, 535),
    ],
)
def test_the_server_refuses_at_each_point(
    at: str, error: type[Exception], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    tls: Any = {"tls": "starttls", "users": {"ann": "secret"}} if at in ("STARTTLS", "AUTH") else {}
    with SMTPD(trouble=Refuse(at), **tls) as smtpd:
        with pytest.raises(error, match=str(code)):
            send(smtpd)
        assert smtpd.messages == []
        assert f"*: refuse {at} with " in smtpd.sessions[0]
    assert not [it for it in caplog.records if it.levelname == "ERROR"]


def test_a_server_that_refuses_ehlo_knows_helo() -> None:
    with SMTPD(trouble=Refuse("EHLO", reply="500 5.5.1 What?")) as smtpd:
        send(smtpd)
        assert "C: HELO" in smtpd.sessions[0]


def test_421_closes_the_connection() -> None:
    with SMTPD(trouble=Refuse("MAIL", reply=Reply(421, "4.3.2", "Shutting down"))) as smtpd:
        with pytest.raises(smtplib.SMTPSenderRefused, match="421"):
            send(smtpd)
        assert "C: RSET" not in smtpd.sessions[0] and "C: QUIT" not in smtpd.sessions[0]


def test_only_the_recipient_that_is_named_is_refused() -> None:
    with SMTPD(trouble=Refuse("RCPT", to="bob@EXAMPLE.org", reply="452 4.2.2 Full")) as smtpd:
        assert send(smtpd) == {"bob@example.org": (452, b"4.2.2 Full")}
        assert smtpd.messages[0].rcpt_tos == ["eve@example.org"]


def test_in_lmtp_each_recipient_has_its_own_end_of_content() -> None:
    trouble = [Refuse(".", to="bob@example.org", times=1)]
    with SMTPD(lmtp=True, trouble=trouble) as smtpd:
        with blocking.connect(smtpd.host, smtpd.port, lmtp=True, tls=TLSMode.NONE) as client:
            outcome = client.send(CONTENT, Envelope("ann@example.org", RECIPIENTS))
        assert list(map(str, outcome.refused)) == ["bob@example.org"]
        assert smtpd.messages[0].rcpt_tos == ["eve@example.org"]


def test_skip_and_times_choose_the_occasions() -> None:
    with SMTPD(trouble=Refuse("MAIL", skip=1, times=2)) as smtpd:
        accepted = []
        for _ in range(5):
            try:
                accepted.append(send(smtpd) == {})
            except smtplib.SMTPSenderRefused:
                accepted.append(False)
    assert accepted == [True, False, False, True, True]


def test_the_first_value_that_is_due_happens_and_the_next_one_waits_for_the_next_occasion() -> None:
    script = [Refuse("RCPT", reply=f"45{n} 4.2.{n} No", times=1) for n in (1, 2)]
    slow = Delay("RCPT", 0.001, times=2)
    refused = pytest.raises(smtplib.SMTPRecipientsRefused)
    with SMTPD(trouble=[*script, slow]) as smtpd, refused as found:
        send(smtpd)
    assert [code for code, _ in found.value.recipients.values()] == [451, 452]


def test_greylisting_accepts_each_recipient_the_second_time() -> None:
    with SMTPD(trouble=Greylist()) as smtpd:
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="451"):
            send(smtpd)
        assert send(smtpd) == {}
        assert len(smtpd.messages) == 1


@pytest.mark.parametrize("at", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_the_connection_is_dropped_instead_of_a_reply(at: str) -> None:
    with SMTPD(trouble=Drop(at, times=1)) as smtpd:
        with pytest.raises(LOST):
            send(smtpd)
        assert smtpd.messages == []
        assert smtpd.sessions[0].splitlines()[-1] == f"*: drop the connection at {at}, 1 time"
        assert send(smtpd) == {}


def test_the_connection_is_dropped_in_a_tls_session() -> None:
    trouble = [Drop("STARTTLS", times=1), Drop("AUTH", times=1)]
    with SMTPD(tls="starttls", users={"ann": "secret"}, trouble=trouble) as smtpd:
        for _ in trouble:
            with pytest.raises((LOST, ConnectionError)):
                send(smtpd)
        assert send(smtpd) == {}


def test_the_connection_is_dropped_at_quit() -> None:
    with SMTPD(trouble=Drop("QUIT")) as smtpd:
        assert send(smtpd) == {}  # smtplib does not mind
        assert smtpd.sessions[0].splitlines()[-2:] == ["C: QUIT", "*: drop the connection at QUIT"]


def test_what_a_client_sent_ahead_of_a_lost_reply_is_not_handled() -> None:
    sent = b"".join(LINES).replace(b"DATA", b"RCPT TO:<e@f.test>\r\nDATA")
    with SMTPD(trouble=Drop("RCPT", times=1)) as smtpd:
        with socket.create_connection((smtpd.host, smtpd.port), 10) as client:
            client.sendall(sent)
            with contextlib.suppress(ConnectionError):
                while client.recv(9999):
                    pass
        assert smtpd.messages == []
        assert smtpd.sessions[0].splitlines()[-1] == "*: drop the connection at RCPT, 1 time"


LINES = (
    b"EHLO c.test\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<c@d.test>\r\n", b"DATA\r\n",
    b"Subject: x\r\n\r\nhello\r\n.\r\n",
)  # fmt: skip
ENDS = [len(b"".join(LINES[:number])) for number in range(1, len(LINES) + 1)]


@pytest.mark.parametrize("octets", [1, 12, *ENDS, ENDS[-1] - 1])
def test_exactly_so_many_octets_are_handled(octets: int) -> None:
    """A message whose last octet is among them is stored, but its client does not know."""
    with SMTPD(trouble=Drop(octets)) as smtpd:
        with socket.create_connection((smtpd.host, smtpd.port), 10) as client:
            client.sendall(b"".join(LINES))
            with contextlib.suppress(ConnectionError):
                while received := client.recv(9999):
                    assert b"250 2.0.0" not in received
        said = smtpd.sessions[0].splitlines()
        assert sum(line.startswith("C: ") for line in said) == sum(octets >= end for end in ENDS)
        assert len(smtpd.messages) == (octets == ENDS[-1])


def test_a_stored_message_whose_reply_is_lost_is_unknown_to_the_client() -> None:
    with SMTPD(trouble=Drop(".", stored=True)) as smtpd:
        with blocking.connect(smtpd.host, smtpd.port, tls=TLSMode.NONE) as client:
            outcome = client.send(CONTENT, Envelope("ann@example.org", RECIPIENTS))
            with pytest.raises(OutcomeUnknown):
                outcome.raise_unless_all_accepted()
        assert len(smtpd.messages) == 1


def test_a_client_that_does_not_wait_for_a_slow_dot_has_sent_the_message() -> None:
    with SMTPD(trouble=[Delay(".", 600), Delay("connect", 0.001)]) as smtpd:
        with pytest.raises(LOST), smtplib.SMTP("localhost", smtpd.port) as mail:
            mail.sock.settimeout(0.05)  # type: ignore[union-attr]
            mail.sendmail("ann@example.org", RECIPIENTS, CONTENT)
        assert len(smtpd.messages) == 1


def test_the_end_of_the_test_ends_delays_and_begins_no_other() -> None:
    smtpd = SMTPD(trouble=[Delay("EHLO", 600), Delay("QUIT", 600)]).__enter__()
    with socket.create_connection((smtpd.host, smtpd.port), 10) as client:
        assert client.recv(99).startswith(b"220 ")
        client.sendall(b"EHLO c.test\r\nQUIT\r\n")
        with pytest.raises(AssertionError, match=r"(?s)not all.*QUIT by 600 seconds \(0 of 1"):
            smtpd.__exit__(None, None, None)
        assert b"\r\n221 " in b"".join(iter(lambda: client.recv(9999), b""))


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (Refuse("RCPT", to="bob@example.org"), "refuse RCPT for bob@example.org with 550 5.1.1"),
        (Drop(".", times=2), r"drop the connection at \., 2 times \(1 of 2 times\)"),
        (Drop(".", skip=3), r"at \., not the first 3 \(0 of 1 times\)"),
        (Drop(1_000_000), r"after 1000000 octets \(0 of 1 times\)"),
        (Delay("AUTH", 1.5), r"delay the reply to AUTH by 1.5 seconds \(0 of 1 times\)"),
        (Greylist(), r"greylist with 451 .* \(bob@.*, eve@example.org was not tried again\)"),
    ],
)
def test_what_has_not_happened_fails_the_test(trouble: Trouble, text: str) -> None:
    with pytest.raises(AssertionError, match=text) as found, SMTPD(trouble=trouble) as smtpd:
        try:
            with smtplib.SMTP("localhost", smtpd.port) as mail:
                refused = "eve@example.org" if isinstance(trouble, Refuse) else "bob@example.org"
                mail.sendmail("ann@example.org", [refused, "eve@example.org"], CONTENT)
        except (smtplib.SMTPException, OSError):
            pass
    assert "test_what_has_not_happened_fails_the_test" in str(found.value)
    assert "Mend it, or take this out of the script" in str(found.value)


OCCASIONS = st.fixed_dictionaries(
    {}, optional={"skip": st.integers(0, 3), "times": st.integers(1, 3)}
)
REFUSABLE = [it for it in POINTS if it not in ("QUIT", "STARTTLS")]
SCRIPTS = st.lists(
    st.one_of(
        st.builds(lambda at, kw: Refuse(at, **kw), st.sampled_from(REFUSABLE), OCCASIONS),
        st.builds(lambda at, kw: Delay(at, 0.001, **kw), st.sampled_from(POINTS), OCCASIONS),
        st.builds(
            lambda at, kw: Drop(at, **kw),
            st.one_of(st.sampled_from(POINTS), st.integers(1, 150)),
            OCCASIONS,
        ),
        st.builds(lambda: Drop(".", stored=True)),
        st.builds(Greylist),
    ),
    max_size=4,
)


@given(SCRIPTS)
def test_any_script_lets_the_test_end_and_leaves_no_thread(script: list[Trouble]) -> None:
    threads, smtpd = threading.enumerate(), SMTPD(trouble=script).__enter__()
    sent = 0
    for _ in range(3):
        with contextlib.suppress(smtplib.SMTPException, OSError):
            send(smtpd)
            sent += 1
    with contextlib.ExitStack() as stack:
        if left := smtpd._script.unplayed():
            stack.enter_context(pytest.raises(AssertionError, match=re.escape(left[0])))
        smtpd.__exit__(None, None, None)
    assert threading.enumerate() == threads
    assert len(smtpd.messages) >= sent


def test_greylisting_that_nobody_met_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="no recipient was tried"), SMTPD(trouble=Greylist()):
        pass


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Refuse("RCTP"), "Refuse: no such point: 'RCTP'; it takes connect, EHLO"),
        (lambda: Refuse(5), "Refuse: no such point: 5"),
        (lambda: Refuse("QUIT"), "QUIT cannot be refused; use Drop or Delay"),
        (lambda: Refuse("RCPT", reply="250 2.0.0 OK"), "a code from 400 on, not 250"),
        (lambda: Refuse("RCPT", reply="no"), "reply"),
        (lambda: Refuse("RCPT", to="Bob <bob@example.org>"), "not an address"),
        (lambda: Refuse("MAIL", to="bob@example.org"), "no recipient is known at MAIL"),
        (lambda: Refuse("STARTTLS", reply="501 5.5.4 No"), "STARTTLS is always refused with 454"),
        (lambda: Refuse("MAIL", times=0), "times must be a number from 1 on"),
        (lambda: Refuse("MAIL", skip=-1), "skip must be a number from 0 on"),
        (lambda: Delay("MAIL", 0), "seconds must be more than 0"),
        (lambda: Delay("MAIL", cast("float", "1")), "seconds cannot be of the type str"),
        (lambda: Drop(0), "1 or more"),
        (lambda: Drop("MAIL", stored=True), r'stored=True is for the point "\."'),
    ],
)
def test_trouble_that_makes_no_sense_is_an_error(make: Callable[[], object], text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        make()
