"""No traceback of a failed connect or login shows a password, whatever failed, in any frame."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from smtpproto import (
    Authenticator,
    BearerToken,
    ClientCertificate,
    ClientConfig,
    ConnectionLost,
    HashedPasswords,
    Limits,
    Login,
    ScramKeys,
    Secret,
    StoredKeys,
    Timeouts,
    hash_password,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.sasl import MECHANISMS, Channel, TokenClaim
from tests.adapters.connections import connect_and, must_not_connect, send_with, unused_port
from tests.adapters.harness import (
    Adapter,
    Asyncio,
    Blocking,
    RunningServer,
    Trio,
    each_client,
    running_server,
)
from tests.adapters.inboxes import Inbox
from tests.support.envelopes import TO_BOB
from tests.support.frames import leaks

SECRET = "s3cr3t"
LOGIN = ("ann", SECRET)
IN_BASE64 = b64encode(f"\0ann\0{SECRET}".encode()).decode()  # as PLAIN sends it
IN_CLEAR: dict[str, Any] = {"tls": "none", "login_in_clear": True}


def check(call: Callable[..., object], *values: Any, **named: Any) -> BaseException:
    """Check that a call raises an error that does not leak."""
    with pytest.raises(Exception) as caught:
        call(*values, **named)
    assert leaks(caught.value, SECRET) + leaks(caught.value, IN_BASE64) == []
    return caught.value


# -- arguments -------------------------------------------------------------------------------------

URL = f"ann:{SECRET}@mx.example"
ARGUMENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "no host": ((), {"login": LOGIN}),
    "a port as text": (("mx.example", "25"), {"login": LOGIN}),
    "a port out of range": (("mx.example", 70000), {"login": LOGIN}),
    "an unknown option": (("mx.example",), {"login": LOGIN, "hostname": "x"}),
    "a wrong tls": (("mx.example",), {"login": LOGIN, "tls": "always"}),
    "a wrong hello": (("mx.example",), {"login": LOGIN, "hello": "no name!"}),
    "a wrong source": (("mx.example",), {"login": LOGIN, "source": "here"}),
    "wrong timeouts": (("mx.example",), {"login": LOGIN, "timeouts": 3}),
    "a wrong timeout": (("mx.example",), {"login": LOGIN, "timeout": -1}),
    "a wrong host": (("mx.example:25",), {"login": LOGIN}),
    "a login of three": (("mx.example",), {"login": (*LOGIN, SECRET)}),
    "a login in a list": (("mx.example",), {"login": [*LOGIN]}),
    "a login as text": (("mx.example",), {"login": f"ann:{SECRET}"}),
    "a login in a dict": (("mx.example",), {"login": {"ann": SECRET}}),
    "a password in a list": (("mx.example",), {"login": ("ann", [SECRET])}),
    "a password that is not Unicode": (("mx.example",), {"login": ("ann", SECRET + "\ud800")}),
    "a wrong proxy": (("mx.example",), {"proxy": f"socks9://ann:{SECRET}@mx.example"}),
    "a proxy and a wrong option": (("mx.example",), {"proxy": f"socks5://{URL}", "verify": 3}),
    "a URL and a login": ((f"smtp://{URL}",), {"login": LOGIN}),
    "a URL and a port": ((f"smtp://{URL}", 25), {}),
    "a URL and a wrong option": ((f"smtp://{URL}",), {"verify": 3}),
    "a URL with a wrong scheme": ((f"http://{URL}",), {}),
    "a URL with a wrong port": ((f"smtp://{URL}:70000",), {}),
    "a URL with a wrong query": ((f"smtp://{URL}?x=y",), {}),
    "a URL with a path": ((f"smtp://{URL}/x",), {}),
    "a URL with a wrong escape": ((f"smtp://ann:%zz{SECRET}@mx.example",), {}),
    "a URL with octets that are not UTF-8": ((f"smtp://ann:%ff{SECRET}@mx.example",), {}),
    "a URL with a control character": ((f"smtp://ann:{SECRET}\n@mx.example",), {}),
    "a URL with an @ in the password": ((f"smtp://ann:{SECRET}@x@mx.example",), {}),
    "a URL without a host": ((f"smtp://ann:{SECRET}",), {}),
    "a URL without a user": ((f"smtp://:{SECRET}@mx.example",), {}),
    "a URL without its scheme": ((URL,), {}),
    "a host in octets": ((f"smtp://{URL}".encode(),), {}),
    "a mechanism that does not exist": (("mx.example",), {"login": LOGIN, "mechanisms": ["X!"]}),
    "a certificate that does not exist": (
        ("mx.example",),
        {"login": LOGIN, "certificate": ClientCertificate("/nowhere", password=SECRET)},
    ),
}


@pytest.mark.parametrize("client", [Asyncio, Trio, Blocking], ids=lambda adapter: adapter.name)
@pytest.mark.parametrize("case", ARGUMENTS)
def test_wrong_arguments(client: type[Adapter], case: str) -> None:
    where, options = ARGUMENTS[case]
    library = {Trio: on_trio, Blocking: on_sockets}.get(client, on_asyncio)
    check(connect_and, must_not_connect, client, *where, **options)
    if case != "a port out of range":
        check(library.pool, *where, **options)
    check(send_with, client, b"hello\r\n", *where, envelope=TO_BOB, **options)


@each_client
def test_a_connection_that_is_refused(client: type[Adapter]) -> None:
    port = unused_port()
    for where in (("127.0.0.1", port), (f"smtp://ann:{SECRET}@127.0.0.1:{port}",)):
        options = {"login": LOGIN} if len(where) == 2 else {}
        check(connect_and, must_not_connect, client, *where, **options)
        check(send_with, client, b"hello\r\n", *where, **options)


# -- logins ----------------------------------------------------------------------------------------


class Accounts(Authenticator):
    """Knows nobody by that password."""

    def check_password(self, username: str, password: Secret) -> bool:
        return False

    def shared_secret(self, username: str) -> Secret:
        return Secret("another")

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys:
        return ScramKeys.derive("another", salt=b"salt", iterations=4096, hash_name=hash_name)


@pytest.fixture
def refusing(inbox: Inbox) -> Iterator[RunningServer]:
    limits = Limits(failed_login_delay=0)
    options: dict[str, Any] = {"authenticator": Accounts(), "auth_in_clear": True}
    with running_server(Blocking, inbox, limits=limits, **options) as running:
        yield running


PASSWORDS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "SCRAM-SHA-1"]


@each_client
@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_a_login_that_is_refused(
    client: type[Adapter], mechanism: str, refusing: RunningServer
) -> None:
    options = {**IN_CLEAR, "mechanisms": [mechanism]}

    async def log_in(opened: Any) -> None:
        await opened.login(LOGIN)

    where = "127.0.0.1", refusing.port
    error = check(connect_and, must_not_connect, client, *where, login=LOGIN, **options)
    assert "535" in str(error) or "504" in str(error) or "no mechanism" in str(error)
    check(connect_and, log_in, client, *where, **options)
    check(send_with, client, b"hello\r\n", *where, login=LOGIN, envelope=TO_BOB, **options)


@each_client
@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_a_password_that_the_mechanism_cannot_send(
    client: type[Adapter], mechanism: str, refusing: RunningServer
) -> None:
    options = {**IN_CLEAR, "mechanisms": [mechanism]}
    for password in (SECRET + "\0", SECRET + "\u0627", "\ufffe" + SECRET):
        login = "ann", password
        where = "127.0.0.1", refusing.port
        check(connect_and, must_not_connect, client, *where, login=login, **options)


@each_client
@pytest.mark.parametrize(
    "login",
    [(*LOGIN, 3), [*LOGIN], f"ann:{SECRET}", ("ann", SECRET + "\ud800"), ("ann", [SECRET]), LOGIN],
    ids=["of three", "in a list", "as text", "not Unicode", "in a list of its own", "in clear"],
)
def test_a_login_of_an_open_client(
    client: type[Adapter], login: Any, refusing: RunningServer
) -> None:
    async def log_in(opened: Any) -> None:
        await opened.login(login)

    check(connect_and, log_in, client, "127.0.0.1", refusing.port, tls="none")


@each_client
def test_a_login_while_the_client_is_in_use(client: type[Adapter], refusing: RunningServer) -> None:
    async def log_in(opened: Any) -> None:
        await opened.quit()
        await opened.login(LOGIN)

    check(connect_and, log_in, client, "127.0.0.1", refusing.port, tls="none")


def serve_up_to_auth(listener: socket.socket, *, silent: bool) -> None:
    connected, _ = listener.accept()
    with connected:
        connected.settimeout(30)
        for reply in (b"220 mx", b"250-mx\r\n250 AUTH PLAIN LOGIN"):
            connected.sendall(reply + b"\r\n")
            connected.recv(1000)
        while silent and connected.recv(1000):
            pass


@each_client
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "closing"])
def test_a_server_that_fails_during_the_login(client: type[Adapter], silent: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=serve_up_to_auth, args=[listener], kwargs={"silent": silent}, daemon=True
        )
        thread.start()
        where, timeouts = listener.getsockname(), Timeouts(auth=0.05)
        options = {**IN_CLEAR, "login": LOGIN, "timeouts": timeouts}
        check(connect_and, must_not_connect, client, *where, **options)
        thread.join(30)


@each_client
def test_a_connection_that_breaks_while_the_login_is_sent(
    client: type[Adapter], refusing: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = {Trio: on_trio, Blocking: on_sockets}.get(client, on_asyncio)
    write = library.Stream.write

    async def break_at_auth(stream: Any, data: bytes, timeout: float | None) -> None:
        if data.startswith(b"AUTH"):
            raise ConnectionLost("reset")
        await write(stream, data, timeout)

    monkeypatch.setattr(library.Stream, "write", break_at_auth)
    options = {**IN_CLEAR, "mechanisms": ["PLAIN"], "login": LOGIN}
    error = check(connect_and, must_not_connect, client, "127.0.0.1", refusing.port, **options)
    assert isinstance(error, ConnectionLost)


@each_client
@pytest.mark.parametrize("token", [[SECRET], SECRET + "\ud800", f"two {SECRET}"], ids=repr)
def test_a_token_that_cannot_be_sent(client: type[Adapter], token: Any) -> None:
    class Tokens(Accounts):
        def check_token(self, claim: TokenClaim) -> None: ...

    options: dict[str, Any] = {"authenticator": Tokens(), "auth_in_clear": True}
    with running_server(Blocking, Inbox(), **options) as running:
        login = BearerToken("ann", lambda: token)
        where = "127.0.0.1", running.port
        check(connect_and, must_not_connect, client, *where, login=login, **IN_CLEAR)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Secret([SECRET]),  # type: ignore[arg-type]
        lambda: Secret(SECRET + "\ud800"),
        lambda: Login("ann", [SECRET]),  # type: ignore[arg-type]
        lambda: Login("ann", SECRET + "\ud800"),
        lambda: Login("ann", SECRET, "", SECRET),  # type: ignore[call-arg]
        lambda: BearerToken("ann", [SECRET]),  # type: ignore[arg-type]
        lambda: ClientCertificate("x", password=[SECRET]),  # type: ignore[arg-type]
        lambda: ClientCertificate("x", None, SECRET, SECRET),  # type: ignore[call-arg]
        lambda: ClientConfig(login=LOGIN, hello="no name!"),
        lambda: ClientConfig(login=(*LOGIN, 3)),  # type: ignore[arg-type]
        lambda: ScramKeys.derive(SECRET, salt=b""),
        lambda: ScramKeys.derive(SECRET + "\0", salt=b"salt"),
        lambda: ScramKeys.parse(SECRET),
        lambda: Accounts().scram_keys("ann", "SHA-256").matches(SECRET + "\0"),
        lambda: hash_password(SECRET, salt=b""),
        lambda: hash_password(SECRET + "\0", salt=bytes(16)),
        lambda: HashedPasswords({"ann": SECRET}),
        lambda: StoredKeys({"ann": SECRET}),
    ],
)
def test_a_value_that_cannot_be_made(make: Callable[[], object]) -> None:
    check(make)


# -- authenticators --------------------------------------------------------------------------------


class Broken(Accounts):
    """Cannot reach the database."""

    def check_password(self, username: str, password: Secret) -> bool:
        raise OSError("no database")

    def shared_secret(self, username: str) -> Secret:
        return Secret(SECRET)

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys:
        raise OSError("no database")

    def check_token(self, claim: TokenClaim) -> None:
        raise OSError("no database")

    def may_act_as(self, username: str, authzid: str) -> bool:
        raise OSError("no database")


CHANNEL = Channel(random=bytes)
MESSAGES = {
    "PLAIN": [f"\0ann\0{SECRET}"],
    "LOGIN": ["ann", SECRET],
    "OAUTHBEARER": [f"n,,\1auth=Bearer {SECRET}\1\1"],
    "XOAUTH2": [f"user=ann\1auth=Bearer {SECRET}\1\1"],
}
MALFORMED = {
    "PLAIN": [f"ann\0{SECRET}"],
    "LOGIN": ["ann", SECRET + "\0"],
    "CRAM-MD5": [f"ann {SECRET}"],
    "OAUTHBEARER": [f"auth=Bearer {SECRET}"],
    "XOAUTH2": [f"auth=Bearer {SECRET}"],
}


@pytest.mark.parametrize(
    ("name", "messages"),
    [*MESSAGES.items(), *MALFORMED.items()],
    ids=[*MESSAGES, *(f"{name}, malformed" for name in MALFORMED)],
)
def test_an_exchange_of_a_server_that_raises(name: str, messages: list[str]) -> None:
    (mechanism,) = (one for one in MECHANISMS if one.name == name)
    exchange = mechanism.server(Broken(), CHANNEL)

    async def run() -> None:
        for message in messages:
            await exchange.step(Secret(message))

    check(lambda: on_sockets.run(run()))
