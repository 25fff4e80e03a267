"""The code in docs/howto/bulk.md runs, on each adapter, and a template fills in values."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import trio

from smtpproto import (
    Envelope,
    GrammarError,
    Journal,
    Mailbox,
    SendEvent,
    Session,
    Template,
    TLSMode,
)
from smtpproto.adapters import asyncio as asyncio_adapter
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as trio_adapter
from tests.support.handlers import Inbox
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/bulk.md").read_text()
[SNIPPET] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_snippet_prints_what_the_page_says_and_nothing_is_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    check_imports(SNIPPET)
    inbox = Inbox()
    with blocking.serve(inbox) as server:
        here = f'"localhost", {server.port}, tls="none"'
        snippet = SNIPPET.replace('"mail.example.org", 587, login=("news", "secret")', here)
        for _ in range(2):
            exec(snippet, {})
    first, second = capsys.readouterr().out.split("skipped", 1)
    assert f"```\n{first}```" in PAGE
    assert second.count("skipped") == 1
    assert len(inbox.bodies) == 2
    assert b"News for Bob" in inbox.bodies[0] and b"reader=77c1" in inbox.bodies[1]
    lines = Path("may.journal").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines] == ["sending", "accepted"] * 2


async def _collect(events: AsyncIterator[SendEvent]) -> list[str]:
    return [event.result.value async for event in events]


def test_asyncio_and_trio_do_the_same() -> None:
    messages = [(b"x\r\n", Envelope("a@b.test", f"c{number}@d.test")) for number in range(3)]
    with blocking.serve(Inbox()) as server:

        async def send(adapter: Any) -> list[str]:
            async with adapter.pool("localhost", server.port, tls=TLSMode.NONE) as mail:
                return await _collect(mail.send_each(messages, rate="100/s"))

        assert asyncio.run(send(asyncio_adapter)) == ["accepted"] * 3
        assert trio.run(send, trio_adapter) == ["accepted"] * 3


class Pressing(Inbox):
    """Presses Ctrl-C while it takes the first message."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        super().message(session, envelope, body)
        if len(self.messages) == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_the_run_after_the_message_in_flight(tmp_path: Path) -> None:
    messages = [(b"x\r\n", Envelope("a@b.test", f"c{number}@d.test")) for number in range(3)]
    inbox = Pressing()
    with (
        blocking.serve(inbox) as server,
        blocking.pool("localhost", server.port, tls=TLSMode.NONE) as mail,
        Journal(tmp_path / "j") as journal,
    ):
        with pytest.raises(KeyboardInterrupt):
            list(mail.send_each(messages, journal=journal))
        assert [journal.last(it.recipients[0]) for _, it in messages] == ["accepted", "", ""]
    assert len(inbox.messages) == 1


def each(template: Template, readers: Iterable[Any]) -> list[Any]:
    return list(template.for_each(readers))


def test_a_template_fills_in_values_and_escapes_them_in_html() -> None:
    template = Template(
        "$from",
        "$name <$to>",
        subject="$$5 for $name",
        text="$name",
        html="<p>${name}</p>",
        headers={"X-Reader": "$to"},
    )
    assert template.names == {"from", "name", "to"}
    [message] = each(template, [{"name": "A <&> B", "to": "a@b.test", "from": "c@d.test"}])
    assert message["Subject"] == "$5 for A <&> B" and message["X-Reader"] == "a@b.test"
    assert message["To"].addresses[0].display_name == "A <&> B"
    plain, html = (it.get_content() for it in message.iter_parts())
    assert (plain, html) == ("A <&> B\n", "<p>A &lt;&amp;&gt; B</p>\n")


@pytest.mark.parametrize("several", [list, tuple, iter])
def test_a_template_fills_in_each_address_of_a_list_for_each_reader(several: Any) -> None:
    parts = {"cc": several(["$boss@b.test", Mailbox.parse("c@b.test")]), "reply_to": "$boss@b.test"}
    template = Template("a@b.test", "$to", text="", **parts)
    assert template.names == {"boss", "to"}
    for message in each(template, [{"to": f"{it}@b.test", "boss": it} for it in ("e", "f")]):
        boss = message["To"]
        assert (message["Cc"], message["Reply-To"]) == (f"{boss}, c@b.test", boss)


@pytest.mark.parametrize("several", [list, iter])
def test_no_value_names_a_file_and_each_reader_gets_all_files(several: Any, tmp_path: Path) -> None:
    (tmp_path / "$name.txt").write_bytes(b"harmless")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    path = str(tmp_path / "$name.txt")
    template = Template(
        "a@b.test",
        "$to",
        text="",
        html='<img src="cid:a">',
        inline={"a": path},
        attachments=several([path, path]),
    )
    assert template.names == {"to"}
    for message in each(template, [{"to": "c@b.test", "name": "secret"}] * 2):
        octets = bytes(message)
        assert octets.count(b64encode(b"harmless")) == 3 and b64encode(b"secret") not in octets


def test_a_missing_value_is_an_error_before_the_first_message_is_made() -> None:
    template = Template("a@b.test", "$to", text="Dear $name")
    readers = [{"to": "c@d.test", "name": "C"}, {"to": "e@f.test"}]
    with pytest.raises(GrammarError, match=r"reader 2 has no value for \$name; add it"):
        template.for_each(readers)
    with pytest.raises(GrammarError, match=r"the reader has no value for \$name"):
        template.message(readers[1])
    with pytest.raises(TypeError, match="reader 1 cannot be of the type str; pass a mapping"):
        template.for_each(["bob"])  # type: ignore[list-item]
    with pytest.raises(GrammarError, match=r"a \$ without a name in '5 \$'; write \$name"):
        Template("a@b.test", "c@d.test", subject="5 $")
