"""The MTA, the same on all three adapters."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trio

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, SendRefused, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.cryptography_keys import CryptographyKeys, PrivateKey
from smtpproto.adapters.maildir import Maildir
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.dns import Kind
from smtpproto.dns_cache import CachingResolver
from smtpproto.errors import QueueFailed
from smtpproto.mta import (
    SRS,
    Aliases,
    DeliveryEvent,
    Done,
    Fate,
    Local,
    MemoryQueue,
    MessageQueued,
    QueueEvent,
    Route,
    Selection,
    SmartHost,
)
from smtpproto.policy import DKIM, Algorithm, Inspection, verify_dkim
from smtpproto.testing import Zone
from smtpproto.transfer import Receiver

LOOPBACK = ["127.0.0.0/8", "::1"]
MESSAGE = b"From: ann@example.org\r\nTo: bob@example.net\r\n\r\nhello\r\n"
KEY = PrivateKey.generate(Algorithm.ED25519_SHA256)
Scenario = Callable[[Any], Awaitable[Any]]


class BlockingMTA:
    """A blocking MTA whose methods can be awaited like those of the others; none suspends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._mail = on_sockets.MTA(*args, **options)

    async def __aenter__(self) -> BlockingMTA:
        self._mail.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._mail.__exit__(*error)

    @asynccontextmanager
    async def serve(self, **options: Any) -> AsyncIterator[Any]:
        with self._mail.serve(**options) as server:
            yield server

    async def send(self, *args: Any) -> str:
        return self._mail.send(*args)

    async def status(self, name: str) -> Any:
        return self._mail.status(name)

    async def explain(self, name: str) -> Any:
        return self._mail.explain(name)

    def reload(self, other: BlockingMTA) -> None:
        self._mail.reload(other._mail)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mail, name)


ADAPTERS: dict[str, tuple[Any, Any, Callable[[Any], Any]]] = {
    "asyncio": (on_asyncio.MTA, on_asyncio.Runtime, lambda main: asyncio.run(main())),
    "trio": (on_trio.MTA, on_trio.Runtime, trio.run),
    "blocking": (BlockingMTA, on_sockets.Runtime, lambda main: on_sockets.run(main())),
}


class Mail:
    """An MTA on one adapter, with the events that it has told."""

    def __init__(self, name: str) -> None:
        self.type, self.runtime, self.run = ADAPTERS[name]
        self.events: list[QueueEvent] = []

    def use(self, queue: Any, routes: Mapping[str, Route], scenario: Scenario, **given: Any) -> Any:
        """Run *scenario* with an MTA that runs; return what it returns."""

        async def main() -> Any:
            self._told = self.runtime().event()
            options: dict[str, Any] = {"relay_from": LOOPBACK, **given}
            mail = self.type("mx.example.org", queue, routes, on_event=self._tell, **options)
            async with mail:
                return await scenario(mail)

        return self.run(main)

    def _tell(self, event: QueueEvent) -> None:
        self.events.append(event)
        self._told.set()

    async def event(self, found: Callable[[QueueEvent], bool]) -> QueueEvent:
        """Return the first event that *found* accepts; wait until there is one. Fail if nothing
        happens for 30 seconds."""
        in_vain = 0  # once, if it was set by an event that was looked at already
        while not any(map(found, self.events)):
            told = len(self.events)
            await self._told.wait(30)
            in_vain = 0 if len(self.events) > told else in_vain + 1
            assert in_vain < 2
        return next(filter(found, self.events))


@pytest.fixture(params=ADAPTERS)
def mail(request: pytest.FixtureRequest) -> Mail:
    return Mail(request.param)


class NextHop(Handler):
    """Keeps what it gets; knows no recipient that begins with ``nobody``."""

    def __init__(self) -> None:
        self.got: list[tuple[Envelope, bytes]] = []

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        known = not recipient.local_part.startswith("nobody")
        return None if known else Reply(550, "5.1.1", "No such user")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.got.append((envelope, body))


def to(server: Any) -> Mapping[str, Route]:
    return {"*": SmartHost("127.0.0.1", server.port, tls="none")}


def is_done(event: QueueEvent) -> bool:
    return isinstance(event, DeliveryEvent) and isinstance(event.settlement.decision, Done)


def test_a_message_that_the_program_sends_reaches_the_next_hop(mail: Mail) -> None:
    hop = NextHop()

    async def scenario(mta: Any) -> tuple[Any, str]:
        name = await mta.send(MESSAGE)
        await mail.event(is_done)
        return await mta.status(name), await mta.explain(name)

    with on_sockets.serve(hop) as server:
        entry, story = mail.use(MemoryQueue(), to(server), scenario)
    [(envelope, body)] = hop.got
    assert str(envelope) == "ann@example.org to bob@example.net"
    fields = body.removesuffix(MESSAGE).decode().splitlines()
    assert [it.partition(":")[0] for it in fields] == ["Date", "Message-ID"]
    assert entry.message.id in fields[1]
    [ended] = entry.ended
    assert ended.fate is Fate.RELAYED
    assert "bob@example.net was accepted by the next host" in story


def test_a_message_that_the_program_sends_is_signed(mail: Mail) -> None:
    hop = NextHop()

    async def scenario(mta: Any) -> None:
        await mta.send(MESSAGE)
        await mail.event(is_done)

    with on_sockets.serve(hop) as server:
        signer = DKIM("example.org", selector="s", key=KEY)
        mail.use(MemoryQueue(), to(server), scenario, sign=signer)
    [(_, body)] = hop.got
    zone = Zone({"s._domainkey.example.org": {Kind.TXT: [KEY.record().encode()]}})
    [check] = on_sockets.run(verify_dkim(body, zone, CryptographyKeys(), now=time.time()))
    assert check.passed, check.reason
    assert {"date", "message-id", "from"} <= {*check.signed}


def test_what_strangers_send_is_checked(mail: Mail) -> None:
    kept: list[bytes] = []

    async def deliver(message: Any, deliveries: Any, content: Any) -> None:
        kept.append(content if isinstance(content, bytes) else content.read())

    async def scenario(mta: Any) -> None:
        async with mta.serve() as server:
            await mail.runtime().in_thread(
                lambda: on_sockets.send(MESSAGE, "127.0.0.1", server.port, tls="none")
            )
            await mail.event(is_done)

    options: dict[str, Any] = {"inspect": Inspection(), "resolver": Zone({}), "relay_from": []}
    mail.use(MemoryQueue(), {"example.net": Local(deliver)}, scenario, **options)
    [content] = kept
    field = content.replace(b"\r\n ", b" ").partition(b"\r\n")[0]
    assert field.startswith(b"Authentication-Results: mx.example.org; spf=none ")
    assert b" dmarc=none " in field


def test_a_plain_function_that_delivers_may_block(mail: Mail) -> None:
    started, released = threading.Event(), threading.Event()

    def deliver(*_: Any) -> None:
        started.set()
        assert released.wait(10)

    async def scenario(mta: Any) -> None:
        await mta.send(MESSAGE)
        await mail.runtime().in_thread(started.wait)
        released.set()  # the loop goes on
        assert "delivered" in str(await mail.event(is_done))

    mail.use(MemoryQueue(), {"example.net": Local(deliver)}, scenario)


def test_large_messages_reach_all_mailboxes(mail: Mail, tmp_path: Path) -> None:
    content = MESSAGE + b"hello\r\n" * 20_000  # the queue has it in a file
    for user in ("bob", "cat"):
        (tmp_path / user).mkdir()

    async def scenario(mta: Any) -> None:
        await mta.send(content, Envelope("ann@example.org", ["bob@example.net", "cat@example.net"]))
        for user in ("bob", "cat"):
            await mail.event(lambda it, user=user: is_done(it) and user in str(it))  # type: ignore[misc]

    routes: dict[str, Route] = {"example.net": Local(Maildir(f"{tmp_path}/{{user}}"))}
    mail.use(SQLiteQueue(tmp_path / "queue.db"), routes, scenario)
    for user in ("bob", "cat"):
        [file] = (tmp_path / user / "new").iterdir()
        assert file.read_bytes().endswith(content.replace(b"\r\n", b"\n"))


def test_date_and_message_id_of_a_message_are_left_as_they_are(mail: Mail) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.net"
    message["Date"], message["Message-ID"] = "Mon, 30 Nov 2026 12:00:00 +0000", "<x@example.org>"
    message["Bcc"] = "cat@example.net"
    message.set_content("hell\xf6\n")
    hop = NextHop()

    async def scenario(mta: Any) -> Any:
        name = await mta.send(message)
        await mail.event(is_done)
        return await mta.status(name)

    with on_sockets.serve(hop) as server:
        entry = mail.use(MemoryQueue(), to(server), scenario)
    content = b"".join(body for _, body in hop.got)
    assert content.count(b"Date:") == content.count(b"Message-ID:") == 1
    assert b"Bcc" not in content and content.isascii()
    assert len(entry.ended) == 2 and entry.message.authenticated


def test_what_a_client_sends_to_the_server_is_relayed(mail: Mail) -> None:
    hop = NextHop()

    async def scenario(mta: Any) -> None:
        async with mta.serve() as server:
            await mail.runtime().in_thread(
                lambda: on_sockets.send(MESSAGE, "127.0.0.1", server.port, tls="none")
            )
            await mail.event(is_done)

    with on_sockets.serve(hop) as server:
        mail.use(MemoryQueue(), to(server), scenario)
    [(_, body)] = hop.got
    assert body.startswith(b"Received: from ") and body.endswith(MESSAGE)


@pytest.mark.parametrize("size", [0, 100_000])
def test_what_a_client_sends_to_an_alias_is_forwarded(
    mail: Mail, tmp_path: Path, size: int
) -> None:
    hop, content = NextHop(), MESSAGE + b"x\r\n" * size
    aliases = Aliases({"bob@example.net": "carol@example.com"}.get, domains=["example.net"])
    srs = SRS("example.net", secrets=["secret"])

    async def scenario(mta: Any) -> None:
        async with mta.serve() as server:
            await mail.runtime().in_thread(
                lambda: on_sockets.send(content, "127.0.0.1", server.port, tls="none")
            )
            await mail.event(is_done)

    with on_sockets.serve(hop) as server:
        queue = SQLiteQueue(tmp_path / "queue.db")
        mail.use(queue, to(server), scenario, aliases=aliases, srs=srs, relay_from=[])
    [(envelope, body)] = hop.got
    assert str(envelope).endswith("=ann@example.net to carol@example.com")
    assert body.startswith(b"Delivered-To: bob@example.net\r\nReceived: ")
    assert body.endswith(content)


def test_a_receiver_of_your_own_has_the_last_word(mail: Mail) -> None:
    class Closed(Receiver):
        async def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Any:
            refusal = await super().rcpt(session, recipient, parameters)
            return refusal or Reply(550, "5.7.1", "Not today")

    async def scenario(mta: Any) -> None:
        async with mta.serve(receiver=Closed) as server:

            def send() -> None:
                with pytest.raises(SendRefused, match="Not today"):
                    on_sockets.send(MESSAGE, "127.0.0.1", server.port, tls="none")

            await mail.runtime().in_thread(send)

    mail.use(MemoryQueue(), {"*": SmartHost("127.0.0.1", 1)}, scenario)


def test_a_message_that_arrives_is_logged_with_the_connection_that_the_server_has_logged(
    mail: Mail, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(mta: Any) -> None:
        async with mta.serve() as server:

            def send() -> None:
                on_sockets.send(MESSAGE, "127.0.0.1", server.port, tls="none")

            await mail.runtime().in_thread(send)

    mail.use(MemoryQueue(), {"*": SmartHost("127.0.0.1", 1)}, scenario)
    [queued, *_] = [it for it in mail.events if isinstance(it, MessageQueued)]
    assert str(queued).endswith(f" octets, over the connection from {queued.message.client}")
    assert f"connection from {queued.message.client}" in caplog.messages


def test_the_events_of_a_message_have_its_id_up_to_the_report_on_it(
    mail: Mail, caplog: pytest.LogCaptureFixture
) -> None:
    hop = NextHop()
    caplog.set_level(logging.INFO, "smtpproto.queue")

    async def scenario(mta: Any) -> str:
        name: str = await mta.send(MESSAGE, Envelope("ann@example.org", ["nobody@example.net"]))
        await mail.event(lambda it: is_done(it) and not str(it).startswith(name))
        return name

    with on_sockets.serve(hop) as server:
        name = mail.use(MemoryQueue(), to(server), scenario)
    queued, failed, report, delivered = mail.events
    assert isinstance(queued, MessageQueued) and isinstance(report, MessageQueued)
    assert isinstance(failed, DeliveryEvent) and isinstance(delivered, DeliveryEvent)
    assert (queued.id, failed.id, report.about) == (name, name, name)
    assert failed.settlement.decision == Done(Fate.FAILED)
    assert delivered.id == report.id != name
    assert [it.message for it in caplog.records if it.name == "smtpproto.queue"] == [
        f"{name}: queued, from ann@example.org to nobody@example.net, {queued.message.size} octets",
        str(failed),
        f"{report.id}: queued a report on {name}, from <> to ann@example.org, "
        f"{report.message.size} octets",
        str(delivered),
    ]
    assert "550 5.1.1 No such user" in str(failed)


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
def test_a_listener_that_fails_disturbs_nothing(
    mail: Mail, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def fail(event: QueueEvent) -> None:
        raise error("listener")

    async def main() -> None:
        async with mail.type("mx.example.org", MemoryQueue(), {}, on_event=fail) as mta:
            assert await mta.send(MESSAGE)

    mail.run(main)
    assert "a listener to events of the queue failed" in caplog.text


def test_what_is_in_the_queue_is_delivered_after_a_restart(mail: Mail, tmp_path: Path) -> None:
    hop, queue = NextHop(), SQLiteQueue(tmp_path / "queue.db")

    async def put(mta: Any) -> str:
        name: str = await mta.send(MESSAGE)
        await mail.event(lambda it: isinstance(it, DeliveryEvent))
        return name

    with on_sockets.serve(NextHop()) as closed:
        nowhere = to(closed)
    name = mail.use(queue, nowhere, put)
    mail.events.clear()

    async def deliver(mta: Any) -> Any:
        await mta.queue.retry(Selection(id=name), 2e9)
        await mta.queue.retry(Selection(id=name), 0)
        mta.wake()
        await mail.event(is_done)
        return await mta.status(name)

    with on_sockets.serve(hop) as server:
        entry = mail.use(SQLiteQueue(tmp_path / "queue.db"), to(server), deliver)
    assert len(hop.got) == 1
    assert [it.result.value for it in entry.ended[0].delivery.log] == ["unreached", "relayed"]


def test_wrong_options_are_found_before_anything_begins(mail: Mail, tmp_path: Path) -> None:
    queue = SQLiteQueue(tmp_path / "queue.db")

    async def nothing(_: Any) -> None: ...

    with pytest.raises(TypeError, match="tsl"):
        mail.use(queue, {"*": SmartHost("127.0.0.1", tsl="none")}, nothing)
    mail.use(queue, {}, nothing)  # it was closed
    with pytest.raises(TypeError, match="MTA"):
        mail.use(queue, {}, nothing, relay_fro=[])
    for resolver in (CachingResolver, "127.0.0.1"):
        with pytest.raises(TypeError, match=r"resolver cannot be .*; pass a resolver, such as DN"):
            mail.type("mx.example.org", MemoryQueue(), {}, resolver=resolver)
    with pytest.raises(TypeError, match=r"pass SQLiteQueue\(path\)"):
        mail.use("queue.db", {}, nothing)


def test_many_domains_behind_a_dead_host_do_not_delay_others(
    mail: Mail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpproto.adapters.sqlite_claims.EXCLUDED_LANES", 2)

    async def scenario(mta: Any) -> None:
        for number in range(6):
            await mta.send(MESSAGE, Envelope("ann@example.org", [f"bob@d{number}.test"]))
            await mail.event(lambda it: isinstance(it, DeliveryEvent))  # the host is dead
        await mta.send(MESSAGE, Envelope("ann@example.org", ["bob@live.test"]))
        await mail.event(is_done)

    with on_sockets.serve(NextHop()) as closed:
        dead = to(closed)
    routes = {**dead, "live.test": Local(lambda *_: None)}
    mail.use(SQLiteQueue(tmp_path / "queue.db"), routes, scenario)


def test_two_processes_cannot_work_on_one_queue(mail: Mail, tmp_path: Path) -> None:
    async def again(_: Any) -> None:
        async with mail.type("mx.example.org", SQLiteQueue(tmp_path / "queue.db"), {}):
            pass

    with pytest.raises(QueueFailed, match="another process"):
        mail.use(SQLiteQueue(tmp_path / "queue.db"), {}, again)


def test_new_routes_are_for_what_is_in_the_queue_too(mail: Mail) -> None:
    hop = NextHop()

    async def scenario(mta: Any) -> None:
        await mta.send(MESSAGE)
        await mail.event(lambda it: isinstance(it, DeliveryEvent))
        with pytest.raises(TypeError, match="tsl"):
            mta.reload(new({"*": SmartHost("x.test", tsl=1)}))
        mta.reload(new({"*": Local(store)}))
        await mta.queue.retry(Selection(), 0)
        mta.wake()
        await mail.event(is_done)

    def new(routes: Mapping[str, Route]) -> Any:
        return mail.type("mx.example.org", MemoryQueue(), routes)

    def store(message: Any, deliveries: Any, content: Any) -> None:
        hop.got.append((message, content))

    mail.use(MemoryQueue(), {"*": SmartHost("127.0.0.1", 1)}, scenario)
    assert len(hop.got) == 1


async def run_and_cancel(
    mail: Mail, scenario: Callable[[Callable[[], object]], Coroutine[Any, Any, None]]
) -> None:
    """Run *scenario*, which calls what it is passed to be cancelled, as by an application."""
    if mail.type is on_trio.MTA:
        with trio.CancelScope() as scope:
            await scenario(scope.cancel)
    else:
        task = asyncio.create_task(scenario(lambda: task.cancel()))  # noqa: PLW0108 - not yet there
        await asyncio.wait([task])
        assert task.cancelled()


@pytest.mark.parametrize("opened", [False, True], ids=["while it opened", "when it was open"])
@pytest.mark.parametrize("mail", ["asyncio", "trio"], indirect=True)
def test_the_queue_can_be_opened_again_after_the_block_was_cancelled(
    mail: Mail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    for adapter in ("asyncio", "trio"):  # as with a disk so slow that nothing ends in this time
        monkeypatch.setattr(f"smtpproto.adapters.{adapter}_calls.FINISH", 0)

    def new() -> Any:
        return mail.type("mx.example.org", SQLiteQueue(tmp_path / "queue.db"), {})

    async def scenario(cancel: Callable[[], object]) -> None:
        if not opened:
            cancel()
        async with new():
            cancel()
            await mail.runtime().sleep(600)

    async def main() -> None:
        await run_and_cancel(mail, scenario)
        async with new():
            pass

    mail.run(main)


def test_an_mta_that_does_not_run_says_so(mail: Mail) -> None:
    async def main() -> None:
        mta = mail.type("mx.example.org", MemoryQueue(), {})
        with pytest.raises(RuntimeError, match="does not run"):
            await mta.send(MESSAGE)
        async with mta:
            assert await mta.status("x") is None is await mta.explain("x")
        with pytest.raises(RuntimeError, match="started before"):
            async with mta:
                pass

    mail.run(main)


@pytest.mark.parametrize(
    ("routes", "options"),
    [({}, {}), ({}, {"postmaster": "ann@example.org"}), ({"": Local(bool)}, {})],
)
def test_a_server_without_a_postmaster_is_warned_of(
    mail: Mail, caplog: pytest.LogCaptureFixture, routes: Any, options: Any
) -> None:
    async def scenario(mta: Any) -> None:
        async with mta.serve():
            pass

    mail.use(MemoryQueue(), routes, scenario, **options)
    warned = "mail for <Postmaster> is refused" in caplog.text
    assert warned is not bool(routes or options)
