"""The code, the configuration and the errors in docs/howto/mta.md are right."""

from __future__ import annotations

import asyncio
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme

from smtpproto import Envelope, ForwardPath, Handler, Reply, ReversePath, ScramKeys, Session
from smtpproto.adapters import blocking
from smtpproto.adapters.cryptography_keys import PrivateKey
from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.cli import main
from smtpproto.dns import Answer, Kind, Status
from smtpproto.mta import Attempt, Delivery, Entry, Message, Result
from smtpproto.mta.explain import explain
from smtpproto.policy import Algorithm
from smtpproto.testing.simulation import EPOCH

PAGE = (Path(__file__).parent.parent / "docs/howto/mta.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[TOML] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


class NextHop(Handler):
    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


async def no_name(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
    return Answer(status=Status.NO_NAME)


async def store(recipient: ForwardPath, octets: bytes) -> None:
    assert octets


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names that snippets use, in a directory with a certificate."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DNSResolver, "lookup", no_name)
    certificate = trustme.CA().issue_cert("mx.example.org")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "mx.pem"))
    (tmp_path / "dkim.pem").write_bytes(PrivateKey.generate(Algorithm.ED25519_SHA256).pem())
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.net"
    message.set_content("hello\n")
    keys = ScramKeys.derive("secret", salt=b"x" * 16)
    return {"message": message, "stored_key": str(keys), "store": store}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_each_snippet_runs(
    snippet: str, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with blocking.serve(NextHop()) as server:
        snippet = re.sub(r'"0\.0\.0\.0", \d+', '"127.0.0.1", 0', snippet)
        to_hop = f'"127.0.0.1", {server.port}, tls="none"'
        snippet = snippet.replace('"smtp.example.net", 587, login=("ann", "secret")', to_hop)
        if "async with" in snippet:
            lines = "\n    ".join(snippet.splitlines())
            exec(f"async def main():\n    {lines}", names)
            asyncio.run(names["main"]())
        else:
            exec(snippet, names)
    assert "explain" not in snippet or "bob@example.net" in capsys.readouterr().out


def test_the_story_on_the_page_is_what_explain_says() -> None:
    attempt = Attempt(
        at=EPOCH + 1,
        result=Result.REFUSED,
        host="mx1.example.net",
        address="192.0.2.25",
        reply=Reply(450, "4.7.1", "Greylisted"),
        command="RCPT",
    )
    message = Message(
        id="01kdvdna00z5kvvbyz1sske4zr",
        sender=ReversePath.of("ann@example.org"),
        size=1420,
        arrived=EPOCH,
        expires=EPOCH + 5 * 86400,
        origin="192.0.2.7/32",
    )
    delivery = Delivery(
        message=message.id,
        number=0,
        recipient=ForwardPath.of("bob@example.net"),
        due=EPOCH + 900,
        attempts=2,
        log=(attempt,),
    )
    story = explain(Entry(message=message, deliveries=(delivery,)), EPOCH + 600)
    indented = "\n".join(f"    {line}".rstrip() for line in story.splitlines())
    assert indented in PAGE


@pytest.fixture
def configuration(names: dict[str, Any], tmp_path: Path) -> Path:
    """Return the path of the configuration on the page, with the files that it names."""
    (tmp_path / "users").write_text(f"ann:{names['stored_key']}\n")
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "mail.toml").write_text(TOML)
    return tmp_path / "mail.toml"


def test_the_configuration_is_correct(
    configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["mta", "--config", str(configuration), "--check"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_the_error_on_the_page_is_what_a_wrong_key_leads_to(
    configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration.write_text(TOML.replace("\nport = 25\n", "\nprot = 25\nport = 25\n", 1))
    assert main(["mta", "--config", "mail.toml", "--check"]) == 78
    error = capsys.readouterr().err.removeprefix("smtpproto mta: ")
    assert f"\n    {error}" in PAGE
