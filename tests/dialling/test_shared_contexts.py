"""TLS contexts that connections share, and when they are renewed."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest

import smtpproto.tls.context
from smtpproto import Client, ClientConfig, LocalProtocolError, TLSMode, TLSVerify
from smtpproto.adapters.blocking import Runtime
from smtpproto.adapters.shared_values import SharedValues
from smtpproto.tls.context import shared_context
from tests.adapters.harness import Adapter, Blocking, each_client, running_server
from tests.adapters.inboxes import Inbox
from tests.support.certificates import CA, server_context

T = TypeVar("T")
PEM = CA.cert_pem.bytes().decode()
HOUR = 3600.0
SERVER = server_context(CA.issue_cert("localhost", "127.0.0.1"))


class ScriptedClock(Runtime):
    """A runtime with a cache and a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self._values = SharedValues(lambda: self.time)

    def shared(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        return self._values.get(key, paths, make)

    def context(self, verify: TLSVerify) -> ssl.SSLContext:
        """Return the context that a new connection uses."""
        return shared_context(verify, self)


@pytest.fixture
def runtime() -> ScriptedClock:
    return ScriptedClock()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TLSVerify]:
    """The ways to verify for which a context is made."""
    verifies: list[TLSVerify] = []
    make = smtpproto.tls.context.client_context

    def counted(verify: TLSVerify) -> ssl.SSLContext:
        verifies.append(verify)
        return make(verify)

    monkeypatch.setattr(smtpproto.tls.context, "client_context", counted)
    return verifies


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(PEM)
    return path


async def noop(client: Client) -> None:
    await client.noop()


@each_client
def test_the_second_connection_makes_no_context(
    client: type[Adapter], ca: Path, made: list[TLSVerify]
) -> None:
    verify = TLSVerify.by_ca(ca)
    with running_server(Blocking, Inbox(), context=SERVER) as running:
        client.client(running.port, noop, tls=TLSMode.REQUIRED, verify=verify)
        assert made == [verify]
        client.client(running.port, noop, tls=TLSMode.REQUIRED, verify=verify)
        assert made == [verify]


def test_each_way_to_verify_has_a_context_of_its_own(ca: Path, runtime: ScriptedClock) -> None:
    other = "# a comment\n" + PEM
    by_ca = [TLSVerify.by_ca(one) for one in (ca, PEM, other)]
    verifies = [TLSVerify.by_name(), TLSVerify.none(), *by_ca]
    contexts = [runtime.context(verify) for verify in verifies]
    assert len(set(map(id, contexts))) == len(verifies)
    assert contexts == [runtime.context(verify) for verify in verifies]


def test_fingerprints_are_the_filter_s_matter_so_all_share_a_context(
    runtime: ScriptedClock,
) -> None:
    one, other = (TLSVerify.by_fingerprint(digit * 64) for digit in "12")
    assert runtime.context(one) is runtime.context(other) is runtime.context(TLSVerify.none())


def test_a_changed_ca_file_is_read_by_the_next_connection(ca: Path, runtime: ScriptedClock) -> None:
    verify = TLSVerify.by_ca(ca)
    before = runtime.context(verify)
    ca.write_text("# a comment\n" + PEM)
    after = runtime.context(verify)
    assert after is not before
    assert after is runtime.context(verify)


def test_a_ca_file_that_was_replaced_by_one_of_the_same_size_and_age_is_read(
    ca: Path, runtime: ScriptedClock
) -> None:
    verify = TLSVerify.by_ca(ca)
    before = runtime.context(verify)
    status = ca.stat()
    other = ca.with_name("other.pem")
    other.write_text(PEM)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(ca)
    assert runtime.context(verify) is not before


def test_a_ca_file_that_has_become_unreadable_is_an_error(ca: Path, runtime: Runtime) -> None:
    config = ClientConfig(verify=TLSVerify.by_ca(ca))
    config._tls_context(TLSMode.REQUIRED, runtime)
    ca.unlink()
    with pytest.raises(ValueError, match="cannot read CA certificates"):
        config._tls_context(TLSMode.REQUIRED, runtime)


@each_client
def test_a_connection_whose_ca_file_has_gone_raises_local_protocol_error(
    client: type[Adapter], ca: Path
) -> None:
    verify = TLSVerify.by_ca(ca)
    ClientConfig(verify=verify)  # reads the file
    ca.unlink()
    with (
        running_server(Blocking, Inbox(), context=SERVER) as running,
        pytest.raises(LocalProtocolError, match="cannot read CA certificates"),
    ):
        client.client(running.port, noop, tls=TLSMode.REQUIRED, verify=verify)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_system_s_store_is_what_the_environment_says_now(
    variable: str, ca: Path, runtime: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runtime.context(TLSVerify.by_name())
    path = ca if variable == "SSL_CERT_FILE" else ca.parent
    monkeypatch.setenv(variable, str(path))
    after = runtime.context(TLSVerify.by_name())
    assert after is not before
    assert runtime.context(TLSVerify.by_name()) is after
    (ca if variable == "SSL_CERT_FILE" else ca.with_name("more.pem")).write_text(PEM * 2)
    assert runtime.context(TLSVerify.by_name()) is not after


def test_a_file_for_the_keys_is_used_from_the_next_connection_on(
    ca: Path, runtime: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = TLSVerify.by_ca(ca)
    before = runtime.context(verify)
    monkeypatch.setenv("SSLKEYLOGFILE", str(ca.with_name("keys")))
    assert runtime.context(verify) is not before
    assert runtime.context(verify).keylog_filename == str(ca.with_name("keys"))


def test_without_files_that_show_a_change_a_context_is_an_hour_old_at_most(
    ca: Path, runtime: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = ssl.DefaultVerifyPaths("", "", "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    system, own = TLSVerify.by_name(), TLSVerify.by_ca(ca)
    contexts = [runtime.context(verify) for verify in (system, own)]
    runtime.time = HOUR - 1
    assert contexts == [runtime.context(verify) for verify in (system, own)]
    runtime.time = HOUR
    assert runtime.context(system) is not contexts[0]
    assert runtime.context(own) is contexts[1]


def test_threads_that_connect_at_once_make_one_context(
    ca: Path, runtime: ScriptedClock, made: list[TLSVerify]
) -> None:
    verify, start = TLSVerify.by_ca(ca), threading.Barrier(8)

    def connect() -> None:
        start.wait()
        runtime.context(verify)

    threads = [threading.Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [verify]


def test_a_value_that_cannot_be_made_is_tried_again() -> None:
    values = SharedValues()
    with pytest.raises(ZeroDivisionError):
        values.get("key", [], lambda: 1 / 0)
    assert values.get("key", [], lambda: 2) == 2


def test_the_values_used_least_recently_make_room() -> None:
    values = SharedValues()
    made: list[int] = []
    for number in [*range(64), 0, 64, 0, 1]:
        values.get(number, [], lambda number=number: made.append(number))  # type: ignore[misc]
    assert made == [*range(65), 1]
