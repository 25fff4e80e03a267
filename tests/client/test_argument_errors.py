"""Arguments of the wrong type to Client.send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtpproto import Client, Extensions, lint, plan
from tests.support.dialogue import GOODBYE, hello, play
from tests.support.envelopes import TO_BOB


def test_a_file_opened_for_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("hi\n")

    async def talk(client: Client) -> None:
        with open(tmp_path / "mail") as file, pytest.raises(TypeError, match='with "rb"'):
            await client.send(file, TO_BOB)  # type: ignore[arg-type]

    play(f"{hello()}{GOODBYE}", talk)


@pytest.mark.parametrize("envelope", [("ann@example.org", ["bob@example.org"]), "bob@example.org"])
def test_what_is_no_envelope_is_a_type_error_that_shows_one(envelope: Any) -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(TypeError, match=r'^envelope cannot be .*; pass Envelope\("ann@x'):
            await client.send(b"hi\n", envelope)

    play(f"{hello()}{GOODBYE}", talk)


@pytest.mark.parametrize(
    "message", ["Subject: hi\n\nhi\n", 5, None, {"Subject": "hi"}, len], ids=repr
)
def test_what_is_no_message_is_a_type_error_that_says_what_to_pass(message: Any) -> None:
    async def talk(client: Client) -> None:
        for take in (client.plan, lint, lambda it: plan(it, TO_BOB, Extensions())):
            with pytest.raises(TypeError, match=r"^a message cannot be .*; pass an Email"):
                take(message)
        with pytest.raises(TypeError, match="a message cannot be"):
            await client.send(message, TO_BOB)

    play(f"{hello()}{GOODBYE}", talk)


@pytest.mark.parametrize("offered", [{"SIZE": ""}, None, ["SIZE"]], ids=str)
def test_an_offer_that_is_no_extensions_is_a_type_error(offered: Any) -> None:
    with pytest.raises(TypeError, match=r"^offered cannot be .*; pass Extensions\("):
        plan(b"hi\n", TO_BOB, offered)


def test_a_list_of_octets_may_make_its_own_envelope() -> None:
    pieces = [b"From: ann@example.org\n", b"To: bob@example.org\n\n", b"hi\n"]
    assert "RCPT TO:<bob@example.org>" in str(plan(pieces, None, Extensions()))


def test_the_repr_of_a_client_is_short() -> None:
    async def talk(client: Client) -> None:
        assert len(repr(client)) < 200

    play(f"{hello()}{GOODBYE}", talk)
