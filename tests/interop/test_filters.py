"""OpenDKIM as a milter and SpamAssassin's spamd filter the messages of our mail agent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smtpproto import Envelope, SendRefused
from smtpproto.adapters.blocking import connect
from smtpproto.filters import Filter, Milter, Spamd
from smtpproto.mta import FilterAction, FilterEvent, Local, QueueEvent
from tests.interop.mail_agent import mail_agent
from tests.interop.programs import find_program, free_port, running, shared_directory, wait_until
from tests.policy.signing import rsa_key, verify, zone

HEADER = b"From: ann@example.org\r\nTo: bob@box.test\r\nSubject:  lunch \r\n"
MESSAGE = HEADER + b"\r\nhello\r\n"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
ENVELOPE = Envelope("ann@example.org", "bob@box.test")


@contextlib.contextmanager
def opendkim(mode: str, *lines: str) -> Iterator[str]:
    """Run OpenDKIM with *lines* of its configuration; yield its address: a Unix socket if it
    signs."""
    program, port = find_program("opendkim"), free_port() if mode == "v" else None
    with shared_directory() as made:
        path = made / "socket"
        address = f"local:{path}" if port is None else f"inet:{port}@127.0.0.1"
        (made / "key.pem").write_bytes(rsa_key().pem())
        (made / "keys").write_text(f"r._domainkey.example.org {rsa_key().record()}\n")
        (made / "nobody").write_text("192.0.2.1\n")
        options = "\n".join(lines).format(directory=made)
        (made / "conf").write_text(
            f"RequireSafeKeys no\nMode {mode}\nSocket {address}\n{options}\n"
        )
        command: list[str | Path] = [program, "-f", "-x", made / "conf"]
        with running(f"opendkim-{mode}", command, made / "log", port=port):
            if port is None:
                wait_until("opendkim opens its socket", lambda: path.exists() or None)
            yield address


@pytest.fixture(scope="module")
def signer() -> Iterator[str]:
    """Run OpenDKIM, which signs for example.org."""
    lines = ["Domain example.org", "Selector r", "KeyFile {directory}/key.pem"]
    with opendkim("s", *lines, "Canonicalization simple/simple", "OversignHeaders From") as address:
        yield address


@pytest.fixture(scope="module")
def verifier() -> Iterator[str]:
    """Run OpenDKIM, which verifies signatures."""
    lines = ["TestPublicKeys {directory}/keys", "InternalHosts {directory}/nobody"]
    with opendkim("v", *lines, "AuthservID mx.example.org", "AlwaysAddARHeader yes") as address:
        yield address


@pytest.fixture(scope="module")
def spamd() -> Iterator[str]:
    """Run spamd with the rules of its package, without questions to the network."""
    program, port = find_program("spamd"), free_port()
    with shared_directory() as made:
        options = ["-L", "-x", "-i", "127.0.0.1", "-m", "1", "--min-children=1", "-s", "stderr"]
        command: list[str | Path] = [program, *options, "-p", str(port), "-r", made / "pid"]
        with running("spamd", command, made / "log", port=port):
            yield f"127.0.0.1:{port}"


def filtered(adapter: str, queue: Path, asked: list[Filter], *contents: bytes) -> list[bytes | str]:
    """Return what is delivered of each message, or the reply that refuses it."""
    delivered: list[bytes] = []
    events: list[QueueEvent] = []
    found: list[bytes | str] = []

    def deliver(_: object, __: object, content: Any) -> None:
        octets = content if isinstance(content, bytes) else b"".join(content)
        delivered.append(octets)

    routes = {"box.test": Local(deliver)}
    with mail_agent(adapter, queue, routes, filters=asked, on_event=events.append) as agent:
        for content in contents:
            with connect("127.0.0.1", agent.port, tls="none") as client:
                try:
                    outcome = client.send(content, ENVELOPE)
                except SendRefused as error:
                    found.append(str(error.reply))
                else:
                    [reply] = outcome.accepted.values()
                    agent.end(reply.text.split()[-1])
                    found.append(delivered[-1])
    decided = [it.action for it in events if isinstance(it, FilterEvent)]
    refused = {str: FilterAction.REFUSED, bytes: FilterAction.ACCEPTED}
    assert decided == [refused[type(it)] for it in found for _ in asked]
    return found


@pytest.mark.peer("opendkim")
@pytest.mark.parametrize("adapter", ["asyncio", "trio", "blocking"])
@pytest.mark.parametrize("body", [b"hello\r\n", b"x y  z\r\n" * 50_000], ids=["short", "long"])
def test_opendkim_signs_and_verifies_as_a_milter(
    adapter: str, body: bytes, tmp_path: Path, signer: str, verifier: str
) -> None:
    forged = b"Authentication-Results: mx.example.org; dkim=pass\r\n"
    other = b"Authentication-Results: mx.example.net; dkim=pass\r\n"
    content = forged + other + forged + HEADER + b"\r\n" + body
    [found] = filtered(adapter, tmp_path, [Milter(signer), Milter(verifier)], content)
    assert isinstance(found, bytes)
    results, _, rest = found.partition(b"DKIM-Signature:")
    assert results.startswith(b"Authentication-Results: mx.example.org;")
    assert b"dkim=pass (2048-bit key) header.d=example.org" in results
    assert rest.endswith(b"\r\n" + other + HEADER + b"\r\n" + body)
    assert forged not in found
    [check] = verify(found, zone())
    assert check.passed, check.reason


@pytest.mark.peer("spamassassin")
@pytest.mark.parametrize("adapter", ["asyncio", "trio", "blocking"])
def test_spamd_tags_mail_and_recognizes_spam(adapter: str, tmp_path: Path, spamd: str) -> None:
    asked: list[Filter] = [Spamd(spamd, refuse_at=100)]
    ham, refusal = filtered(adapter, tmp_path, asked, MESSAGE, MESSAGE + GTUBE)
    assert isinstance(ham, bytes)
    assert ham.startswith(b"X-Spam-Status: No, score=")
    assert ham.endswith(MESSAGE)
    assert refusal == "550 5.7.1 This message looks like spam"


@pytest.mark.peer("spamassassin")
def test_spamd_writes_the_fields_itself(tmp_path: Path, spamd: str) -> None:
    asked: list[Filter] = [Spamd(spamd, rewrite=True)]
    ham, spam = filtered("asyncio", tmp_path, asked, MESSAGE, MESSAGE + GTUBE)
    assert isinstance(ham, bytes) and isinstance(spam, bytes)
    assert ham.startswith(b"X-Spam-Checker-Version: SpamAssassin")
    assert b"\r\nX-Spam-Flag: YES\r\n" in spam
    assert spam.endswith(MESSAGE + GTUBE)
