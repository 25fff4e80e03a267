"""The option ``ignore_extensions``: extensions that a client treats as not offered."""

from __future__ import annotations

import pytest

from smtpproto import Client, ClientConfig, NotOffered
from smtpproto.protocol import EXTENSIONS
from tests.support.dialogue import GOODBYE, MAIL, hello, play
from tests.support.envelopes import TO_BOB

LARGE = b"x\r\n" * 100_000


@pytest.mark.parametrize("names", ["CHUNKING", ["chunking"], ("CHUNKING", "BINARYMIME")])
def test_a_client_uses_data_if_it_ignores_chunking(names: str | list[str]) -> None:
    async def talk(client: Client) -> None:
        assert "CHUNKING" not in client.extensions
        assert "SIZE" in client.extensions
        assert not client.plan(LARGE, TO_BOB).chunked

    play(f"{hello('SIZE', 'CHUNKING')}{GOODBYE}", talk, ignore_extensions=names)


@pytest.mark.parametrize("keyword", sorted(EXTENSIONS.keys() - {"STARTTLS"}))
def test_an_ignored_extension_is_not_offered(keyword: str) -> None:
    async def talk(client: Client) -> None:
        assert keyword not in client.extensions
        assert "X-OTHER" in client.extensions

    play(f"{hello(keyword, 'X-OTHER')}{GOODBYE}", talk, ignore_extensions=[keyword.lower()])


def test_a_client_that_ignores_pipelining_waits_for_each_reply() -> None:
    async def talk(client: Client) -> None:
        await client.send(b"hi\r\n", TO_BOB)

    script = "C: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok\n"
    play(f"{hello('PIPELINING')}{MAIL}{script}{GOODBYE}", talk, ignore_extensions="PIPELINING")


def test_a_message_that_needs_an_ignored_extension_is_not_sent() -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(NotOffered, match="8BITMIME"):
            await client.send("\u00fc\r\n".encode(), TO_BOB)

    play(f"{hello('8BITMIME')}{GOODBYE}", talk, ignore_extensions=["8BITMIME"])


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["STARTTLS"], 'use tls="none"'),
        (["CHUNK"], "unknown keyword 'CHUNK'; known are PIPELINING, SIZE"),
        ("CHUNKING,SIZE", "unknown keyword 'CHUNKING,SIZE'"),
    ],
)
def test_a_keyword_that_cannot_be_ignored_is_refused(names: str | list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ClientConfig(ignore_extensions=names)
