"""The scenarios of the RFCs, replayed on both machines with the octets split everywhere.

A note in a transcript has the options of the server, or says that only the client is replayed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.testing.machine_replay import replay_on_machine
from smtpproto.testing.transcript import Note, Transcript

FILES = sorted(Path(__file__).parent.glob("transcripts/*.txt"))


def load(path: Path) -> tuple[Transcript, dict[str, Any]]:
    """Return the transcript at *path*, and the options of its server, which has none if it is for
    clients only."""
    transcript = Transcript.parse(path.read_text("utf-8"))
    notes = [it.text.split() for it in transcript.entries if isinstance(it, Note)]
    options: dict[str, Any] = {}
    for words in notes:
        if words[0] == "server":
            options["hostname"] = words[1]
            for word in words[2:]:
                name, _, values = word.partition("=")
                options[name] = tuple(values.split(",")) if values else True
            options["extensions"] = dict.fromkeys(options.get("extensions", ()), "")
    return transcript, options


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_transcript_is_its_own_text(path: Path) -> None:
    assert str(load(path)[0]) == path.read_text("utf-8")


@pytest.mark.parametrize("path", [f for f in FILES if load(f)[1]], ids=lambda path: path.stem)
def test_a_server_replays_each_transcript(path: Path) -> None:
    transcript, options = load(path)
    replay_on_machine(transcript, lambda: ServerProtocol(**options))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_client_replays_each_transcript(path: Path) -> None:
    transcript, options = load(path)
    clients: list[ClientProtocol] = []

    def make() -> ClientProtocol:
        lmtp, secure = bool(options.get("lmtp")), bool(options.get("secure"))
        clients.append(ClientProtocol(lmtp=lmtp, secure=secure))
        return clients[-1]

    replay_on_machine(transcript, make)
    assert all(it.phase is Phase.CLOSED and not it.unanswered for it in clients[1:])


def test_the_scenarios_of_the_rfcs_have_transcripts() -> None:
    names = {path.stem for path in FILES}
    assert {"rfc5321-d1-typical", "rfc5321-d2-aborted", "rfc5321-d3-relayed-1"} <= names
    assert {"rfc5321-d3-relayed-2", "rfc5321-d4-verifying"} <= names
    assert {"rfc3030-simple", "rfc3030-binary", "rfc2033-data", "rfc3461-submission"} <= names
