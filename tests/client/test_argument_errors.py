"""Arguments of the wrong type to Client.send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtpproto import Client, GrammarError
from tests.support.dialogue import GOODBYE, hello, play
from tests.support.envelopes import TO_BOB


def test_a_file_opened_for_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("hi\n")

    async def talk(client: Client) -> None:
        with open(tmp_path / "mail") as file, pytest.raises(GrammarError, match='with "rb"'):
            await client.send(file, TO_BOB)  # type: ignore[arg-type]

    play(f"{hello()}{GOODBYE}", talk)


def test_a_tuple_instead_of_an_envelope_is_refused() -> None:
    envelope: Any = ("ann@example.org", ["bob@example.org"])

    async def talk(client: Client) -> None:
        with pytest.raises(GrammarError, match="not an Envelope: tuple") as caught:
            await client.send(b"hi\n", envelope)
        assert caught.value.phase == "plan" and "phase: plan" in str(caught.value)

    play(f"{hello()}{GOODBYE}", talk)
