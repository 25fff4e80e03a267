"""The mail server for tests: what it keeps, its options, its end, and its errors."""

from __future__ import annotations

import asyncio
import os
import smtplib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

from smtpproto import Envelope, Limits, SendRefused, Timeouts, TLSMode
from smtpproto.adapters import asyncio as asyncio_adapter
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as trio_adapter
from smtpproto.testing import SMTPD, AsyncSMTPD, Delay, Greylist, Inbox, Transcript, certificates

CONTENT = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello, Bob!\r\n"
TO_BOB = Envelope("ann@example.org", "bob@example.org")
LOOPS: dict[str, Any] = {
    "asyncio": (asyncio_adapter, lambda function: asyncio.run(function())),
    "trio": (trio_adapter, trio.run),
}


def send(smtpd: SMTPD | AsyncSMTPD, content: bytes = CONTENT) -> None:
    with smtplib.SMTP(smtpd.host, smtpd.port, timeout=10) as mail:
        mail.sendmail("ann@example.org", ["bob@example.org", "eve@example.org"], content)


def in_loop(loop: str, test: Callable[[Any], Awaitable[None]]) -> None:
    """Run *test* with the adapter of *loop*, in that loop."""
    adapter, run = LOOPS[loop]
    run(partial(test, adapter))


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_message_is_there_before_its_client_reads_the_reply() -> None:
    with SMTPD() as smtpd:
        send(smtpd)
        (message,) = smtpd.messages
        assert smtpd.wait_for(1) == [message]
        assert repr(smtpd) == f"<SMTPD on port {smtpd.port}, 1 messages>"
    assert message.mail_from == "ann@example.org"
    assert message.rcpt_tos == ["bob@example.org", "eve@example.org"]
    assert message.content == CONTENT
    assert message.parsed["Subject"] == "Grüße"
    assert message.text == "Hello, Bob!\n" and message.html == ""
    assert message.user is None and message.tls is None
    assert repr(message) == (
        "<ReceivedMessage 'Grüße' from ann@example.org to bob@example.org, eve@example.org,"
        f" {len(CONTENT)} octets>"
    )


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_in_the_loop_of_the_test_is_the_same(loop: str) -> None:
    async def test(adapter: Any) -> None:
        users = {"ann": "secret"}
        async with AsyncSMTPD(tls="starttls", users=users, trouble=Greylist()) as smtpd:
            async with adapter.connect(
                "localhost", smtpd.port, login=smtpd.credentials, context=smtpd.client_context
            ) as client:
                with pytest.raises(SendRefused):
                    await client.send(CONTENT, TO_BOB)
                await client.send(CONTENT, TO_BOB)
            assert [it.user for it in await smtpd.wait_for(1)] == ["ann"]
            said = smtpd.sessions[0]
            assert "secret" not in said and str(Transcript.parse(said)) == said
            assert "\nC: STARTTLS\nS: 220 2.0.0 Ready to start TLS\n-- TLS: TLSv1.3 --\n" in said
            assert "\n*: greylist with 451 4.7.1" in said
            with pytest.raises(AssertionError, match=r"1 of 2 messages arrived within 0\.01 s"):
                await smtpd.wait_for(2, 0.01)

    in_loop(loop, test)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_block_raises_leaves_a_server_in_the_loop_as_it_is(loop: str) -> None:
    async def test(adapter: Any) -> None:
        async with (
            AsyncSMTPD(trouble=Greylist()) as smtpd,
            adapter.connect(smtpd.host, smtpd.port, tls=TLSMode.NONE),
        ):
            raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        in_loop(loop, test)


def test_a_delay_is_virtual_where_the_clock_of_the_loop_is() -> None:
    async def test() -> None:
        async with AsyncSMTPD(trouble=Delay("connect", 200)) as smtpd:
            await trio_adapter.send(CONTENT, smtpd.host, smtpd.port, envelope=TO_BOB)
            assert trio.current_time() >= began + 200

    clock = trio.testing.MockClock(autojump_threshold=0.05)
    began = clock.current_time()
    trio.run(test, clock=clock)


def test_a_server_leaves_no_thread_no_descriptor_and_no_file() -> None:
    with SMTPD(tls="starttls"):  # what the process keeps is made once
        pass
    threads, descriptors = threading.enumerate(), open_descriptors()
    with SMTPD(tls="starttls", users={"ann": "secret"}) as smtpd:
        path = smtpd.ca_file
        assert "PRIVATE" not in path.read_text()
        context = ssl.create_default_context(cafile=path)
        with smtplib.SMTP("localhost", smtpd.port) as mail:
            mail.starttls(context=context)
            mail.login(*smtpd.credentials)
    assert (threading.enumerate(), open_descriptors()) == (threads, descriptors)
    with pytest.raises(RuntimeError, match="not running"):
        smtpd.ca_file  # noqa: B018
    assert not path.parent.exists()


@pytest.mark.parametrize("certificate", ["expired", "wrong name", "unknown CA"])
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_client_refuses_a_bad_certificate(certificate: Any, tls: Any) -> None:
    with SMTPD(tls=tls, certificate=certificate) as smtpd:
        with pytest.raises(ssl.SSLCertVerificationError):
            if tls == "implicit":
                smtplib.SMTP_SSL("localhost", smtpd.port, context=smtpd.client_context)
            with smtplib.SMTP("localhost", smtpd.port) as mail:
                mail.starttls(context=smtpd.client_context)
        assert smtpd.messages == []


def test_with_users_mail_needs_a_login_unless_the_test_says_otherwise() -> None:
    with SMTPD(users={"ann": "secret"}) as smtpd, pytest.raises(smtplib.SMTPSenderRefused) as found:
        send(smtpd)
    assert found.value.smtp_code == 530
    with SMTPD(users={"ann": "secret"}, require_auth=False) as smtpd:
        send(smtpd)


def test_a_wrong_password_is_refused_at_once_for_each_mechanism_that_a_client_tries() -> None:
    with SMTPD(users={"ann": "secret"}) as smtpd:
        with (
            pytest.raises(smtplib.SMTPAuthenticationError, match="535"),
            smtplib.SMTP(smtpd.host, smtpd.port, timeout=10) as mail,
        ):
            mail.login("ann", "wrong")
        assert smtpd.sessions[0].count("S: 535") == 3
        assert smtpd._server_options["limits"].failed_login_delay == 0
    with SMTPD(limits=Limits(failed_logins=5)) as smtpd:
        assert smtpd._server_options["limits"].failed_logins == 5


def test_options_of_the_protocol_work() -> None:
    options: Any = {"extensions": {"DSN": ""}, "limits": Limits(message_size=65_536)}
    with SMTPD(lmtp=True, hostname="mx.example.org", **options) as smtpd:
        with blocking.connect(smtpd.host, smtpd.port, lmtp=True, tls=TLSMode.NONE) as client:
            assert client.extensions.size == 65_536 and "DSN" in client.extensions
            client.send(CONTENT, TO_BOB)
        assert "C: LHLO" in smtpd.sessions[0]
    assert smtpd.messages[0].session.lmtp


def test_a_client_that_is_silent_gets_421_after_the_time_that_the_test_chooses() -> None:
    with SMTPD(timeouts=Timeouts(command=0.01)) as smtpd:
        with socket.create_connection((smtpd.host, smtpd.port), 10) as client:
            received = b"".join(iter(lambda: client.recv(9999), b""))
        assert received.endswith(b"421 4.4.2 localhost Timeout; closing transmission channel\r\n")


def test_the_messages_can_be_forgotten() -> None:
    with SMTPD() as smtpd:
        send(smtpd)
        smtpd.messages.clear()
        send(smtpd)
        assert len(smtpd.wait_for(1)) == 1


def test_a_wait_ends_when_the_last_message_arrives() -> None:
    with SMTPD(seconds=60) as smtpd:
        threads = [threading.Thread(target=send, args=[smtpd]) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert len(smtpd.wait_for(3)) == 3
        for thread in threads:
            thread.join()


def test_a_wait_for_what_does_not_come_shows_the_dialogue() -> None:
    with SMTPD() as smtpd:
        with pytest.raises(AssertionError, match=r"0 of 1 .*\nNo client has connected"):
            smtpd.wait_for(1, 0.01)
        send(smtpd)
        with pytest.raises(AssertionError, match=r"(?s)1 of 2 .*C: MAIL FROM:<ann@example\.org>"):
            smtpd.wait_for(2, 0.01)
        with pytest.raises(TypeError, match="count cannot be of the type str; pass a number"):
            smtpd.wait_for("2")  # type: ignore[arg-type]


def test_a_wait_ends_even_if_the_test_has_stopped_the_clock(monkeypatch: Any) -> None:
    with SMTPD() as smtpd:
        monkeypatch.setattr(time, "monotonic", lambda: 1.0)
        with pytest.raises(AssertionError, match="0 of 1"):
            smtpd.wait_for(1, 0.01)
        monkeypatch.undo()


def test_a_client_that_stays_connected_is_an_error_that_names_it() -> None:
    smtpd = SMTPD(seconds=0.05)
    smtpd.__enter__()
    mail = smtplib.SMTP(smtpd.host, smtpd.port)
    mail.ehlo("shop.example.org")
    port = mail.sock.getsockname()[1]  # type: ignore[union-attr]
    match = (
        f"(?s)test_a_client_that_stays.*still connected at the end: 127.0.0.1 port {port}"
        ".*allow_connected=True.*C: EHLO shop"
    )
    with pytest.raises(AssertionError, match=match):
        smtpd.__exit__(None, None, None)
    mail.close()


def test_a_client_may_stay_connected_if_the_test_allows_it() -> None:
    with SMTPD(allow_connected=True) as smtpd:
        mail = smtplib.SMTP(smtpd.host, smtpd.port)
    mail.close()


def test_nothing_more_is_checked_if_the_block_raises() -> None:
    with pytest.raises(KeyError), SMTPD(trouble=Greylist()) as smtpd:
        mail = smtplib.SMTP(smtpd.host, smtpd.port)
        raise KeyError
    mail.close()


def test_a_second_server_on_a_port_says_what_to_do() -> None:
    with SMTPD() as smtpd:
        again = f"cannot listen on 127.0.0.1 port {smtpd.port}: .*; leave out the port"
        with pytest.raises(OSError, match=again), SMTPD(port=smtpd.port):
            pass
        with pytest.raises(RuntimeError, match="running already"):
            smtpd.__enter__()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tsl": None}, "'tsl'; did you mean tls="),
        ({"certficate": "valid"}, "did you mean certificate="),
        ({"ssl": True}, "'ssl'; did you mean tls="),
        ({"tls": "startls"}, 'tls must be "starttls", "implicit" or None, not \'startls\''),
        ({"tls": "starttls", "certificate": "bad"}, "no such certificate: 'bad'; it may be valid"),
        ({"certificate": "expired"}, "certificate needs TLS"),
        ({"trouble": "refuse"}, r'trouble cannot be of the type str; pass .* Refuse\("RCPT"\)'),
        ({"trouble": [1]}, "trouble cannot be of the type int"),
        ({"users": {"ann": 1}}, "a password cannot be of the type int"),
        ({"seconds": "5"}, "seconds cannot be of the type str"),
        ({"seconds": 0}, "seconds must be more than 0"),
        ({"limits": 3}, "limits cannot be of the type int"),
    ],
)
def test_a_wrong_option_says_what_to_pass(options: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text), SMTPD(**options):
        pass


def test_tls_without_trustme_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    certificates.server_context.cache_clear()
    certificates._authority.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'smtpproto-sansio\[test\]'"):
        SMTPD(tls="starttls")


def test_without_users_there_are_no_credentials() -> None:
    with pytest.raises(LookupError, match="pass users="):
        SMTPD().credentials  # noqa: B018


def test_a_server_that_is_not_running_has_no_port() -> None:
    with pytest.raises(RuntimeError, match=r"use `with SMTPD\(\)`"):
        SMTPD().port  # noqa: B018
    with pytest.raises(RuntimeError, match=r"use `async with AsyncSMTPD\(\)`"):
        AsyncSMTPD().port  # noqa: B018


def test_an_inbox_works_in_any_server() -> None:
    inbox = Inbox()
    with blocking.serve(inbox) as server:
        blocking.send(CONTENT, "127.0.0.1", server.port, envelope=TO_BOB, tls=TLSMode.NONE)
    assert [it.text for it in inbox.messages] == ["Hello, Bob!\n"]
