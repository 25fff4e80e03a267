"""Unix sockets: mail over them, their files, and options that a path excludes."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path

import pytest

from smtpproto import ConnectFailed, LocalProtocolError
from smtpproto.client import make_target
from tests.adapters.connections import (
    RecordingServer,
    connect_and,
    must_not_connect,
    needs_unix_sockets,
    send_hello,
    start_and_stop,
)
from tests.adapters.harness import Adapter, Blocking, each_client, each_server, running_server
from tests.adapters.inboxes import Inbox

pytestmark = needs_unix_sockets


@each_client
@each_server
def test_mail_goes_over_a_unix_socket_whose_file_is_then_removed(
    client: type[Adapter], server: type[Adapter], inbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "x.sock"
    with running_server(server, inbox, str(path)) as running:
        assert running.port == 0
        assert stat.S_ISSOCK(path.lstat().st_mode)
        connect_and(send_hello, client, str(path))
        connect_and(send_hello, client, f"smtp://{path}")
    assert not path.exists()
    assert len(inbox.messages) == 2
    for session, _, body in inbox.messages:
        assert session.peer == ("", 0) and session.hello == "localhost"
        assert body == b"hello\r\n"


@each_client
def test_lmtp_goes_over_a_unix_socket(client: type[Adapter], inbox: Inbox, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with running_server(Blocking, inbox, str(path), lmtp=True):
        connect_and(send_hello, client, f"lmtp://{path}")
    assert inbox.messages[0][0].lmtp


@each_client
def test_a_login_over_a_unix_socket_needs_login_in_clear(
    client: type[Adapter], tmp_path: Path
) -> None:
    """A path does not prove which program listens there."""
    path, servers = str(tmp_path / "x.sock"), list[RecordingServer]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def accept() -> None:
            offer = b"250-mx\r\n250 AUTH PLAIN\r\n"
            servers.append(RecordingServer(listener.accept()[0], offer))

        thread = threading.Thread(target=accept)
        thread.start()
        with pytest.raises(LocalProtocolError, match="no login without"):
            connect_and(must_not_connect, client, path, login=("ann", "secret"))
        thread.join(30)
        assert not thread.is_alive()
        assert servers[0].received() == b"EHLO localhost\r\nQUIT\r\n"


@each_client
def test_a_path_without_a_server_fails_with_a_hint(client: type[Adapter], tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match=r"x\.sock.*check: the path"):
        connect_and(must_not_connect, client, str(tmp_path / "x.sock"))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale.sock"))
    with pytest.raises(ConnectFailed, match="check: whether a server listens there"):
        connect_and(must_not_connect, client, str(tmp_path / "stale.sock"))


@each_client
def test_a_path_with_a_source_or_a_port_is_refused(client: type[Adapter], tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match="leave out source"):
        connect_and(must_not_connect, client, str(tmp_path / "x"), source="127.0.0.1")
    with pytest.raises(ValueError, match="no port"):
        connect_and(must_not_connect, client, str(tmp_path / "x"), 25)


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        make_target("/run/x\0y")


@each_server
def test_serve_leaves_a_file_that_is_not_a_socket_alone(
    server: type[Adapter], tmp_path: Path
) -> None:
    path = tmp_path / "letters"
    path.write_text("dear Bob")
    link = tmp_path / "link"
    link.symlink_to(path)
    for taken in (path, link, tmp_path):
        with pytest.raises(OSError, match="not a socket"):
            start_and_stop(server, str(taken))
    assert path.read_text() == "dear Bob" and link.is_symlink()


@each_server
def test_serve_replaces_the_socket_of_a_dead_server_but_not_of_a_running_one(
    server: type[Adapter], inbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with running_server(server, inbox, str(path)):
        with pytest.raises(OSError, match="a server is listening there"):
            start_and_stop(server, str(path))
        connect_and(send_hello, Blocking, str(path))
    assert len(inbox.messages) == 1 and not path.exists()


@each_server
def test_a_stopping_server_removes_only_its_own_file(
    server: type[Adapter], inbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "x.sock"
    with running_server(server, inbox, str(path)):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"
    path.unlink()
    with running_server(server, inbox, str(path)):
        path.unlink()  # a file that is gone already is no error


@each_server
def test_serve_refuses_a_path_with_a_port(server: type[Adapter], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no port"):
        start_and_stop(server, str(tmp_path / "x"), 25)
    assert not list(tmp_path.iterdir())
