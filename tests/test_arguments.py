"""Wrong arguments raise the library's own errors, and never reach the wire."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import pytest

import smtpproto
from smtpproto import (
    AddressLiteral,
    Anonymous,
    Attachment,
    BearerToken,
    ByMode,
    ClientCertificate,
    ClientConfig,
    ClientProtocol,
    Command,
    DeliverBy,
    Domain,
    EnhancedCode,
    Envelope,
    Extensions,
    External,
    ForwardPath,
    GeneralLiteral,
    HashedPasswords,
    Identity,
    Leniencies,
    Limits,
    LocalProtocolError,
    Login,
    Mailbox,
    MailParameters,
    MalformedHost,
    OriginalRecipient,
    Outcome,
    PlainPasswords,
    PoolConfig,
    ProxyHeader,
    ProxyTLS,
    RcptParameters,
    Reply,
    ReversePath,
    ScramKeys,
    Secret,
    ServerConfig,
    ServerProtocol,
    Session,
    SMTPError,
    StoredKeys,
    Timeouts,
    TLSInfo,
    TLSMode,
    TLSVerify,
    TokenClaim,
    TokenRefused,
    ValidSince,
    Verb,
    commands,
    hash_password,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client import make_pool, make_target
from smtpproto.client.connection import open_client
from smtpproto.commands import Ehlo
from smtpproto.option_types import argument_names
from smtpproto.protocol import ClientSettings, ServerSettings, SessionLimits

WRONG_ARGUMENTS: list[tuple[Callable[..., object], tuple[object, ...]]] = [
    (Mailbox, ("a", "b.test>\r\nRCPT TO:<evil@x.test")),
    (Ehlo, ("x\r\nRSET",)),
    (Login, ("ann", "hunter2\udcff")),
    (lambda name: ClientConfig(hello=name), ("straße.example",)),
    (lambda name: ServerConfig(hostname=name), ("straße.example",)),
]


@pytest.mark.parametrize(("make", "arguments"), WRONG_ARGUMENTS)
def test_wrong_arguments_raise_an_smtp_error_without_secrets(
    make: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    with pytest.raises(SMTPError) as caught:
        make(*arguments)
    assert "hunter2" not in str(caught.value)


WRONG_ADDRESSES: list[tuple[Any, Any]] = [
    (b"ann@a.test", "b@c.test"),
    ("", [None]),
    ("", None),
    ("", b"bob@b.test"),
    ("", ["a@b.test", 7]),
    (5, "b@c.test"),
]


@pytest.mark.parametrize(("sender", "recipients"), WRONG_ADDRESSES)
def test_an_address_of_a_wrong_type_raises_type_error(sender: Any, recipients: Any) -> None:
    with pytest.raises(TypeError, match=r"not an address: .*; pass str"):
        Envelope(sender, recipients)


# Arguments that make each public value. The tests below replace them one by one.
VALID: dict[Any, dict[str, Any]] = {
    AddressLiteral: {"address": ip_address("192.0.2.1")},
    Anonymous: {},
    Attachment: {"contents": "figures.pdf"},
    BearerToken: {"username": "ann", "token": "t"},
    ClientCertificate: {"certfile": "own.pem"},
    ClientConfig: {},
    ClientProtocol: {},
    DeliverBy: {"seconds": 1, "mode": ByMode.RETURN},
    Domain: {"name": "a.test"},
    EnhancedCode: {"class_": 2, "subject": 0, "detail": 0},
    Envelope: {"sender": "", "recipients": "a@b.test"},
    Extensions: {},
    External: {},
    ForwardPath: {"mailbox": None},
    GeneralLiteral: {"tag": "x", "content": "y"},
    HashedPasswords: {"users": {}},
    Identity: {"username": "ann"},
    Leniencies: {},
    Limits: {},
    Login: {"username": "ann", "password": "secret"},
    MailParameters: {},
    MalformedHost: {"octets": b"my pc"},
    Mailbox: {"local_part": "a", "domain": "b.test"},
    OriginalRecipient: {"addr_type": "rfc822", "address": "a@b.test"},
    Outcome: {"envelope": Envelope("", "a@b.test")},
    PlainPasswords: {"users": {}},
    PoolConfig: {},
    ProxyHeader: {},
    ProxyTLS: {},
    RcptParameters: {},
    Reply: {"code": 250},
    ReversePath: {},
    ScramKeys: {
        "hash_name": "SHA-256",
        "iterations": 4096,
        "salt": b"salt",
        "stored_key": bytes(32),
        "server_key": bytes(32),
    },
    ClientSettings: {},
    ServerConfig: {},
    ServerSettings: {},
    ServerProtocol: {"hostname": "mx.example.org"},
    Session: {"peer": ("", 0)},
    StoredKeys: {"users": {}},
    TLSInfo: {"version": "", "cipher": "", "peer_certificate": None},
    TLSVerify: {},
    Timeouts: {},
    TokenClaim: {"token": Secret("")},
    TokenRefused: {},
    ValidSince: {"since": datetime(2030, 1, 1, tzinfo=UTC)},
    Verb: {"command": commands.Noop, "row": "NOOP", "default_reply": Reply(250)},
    SessionLimits: {},
    commands.Auth: {"mechanism": "PLAIN"},
    commands.Bdat: {"size": 1},
    commands.Ehlo: {"host": "a.test"},
    commands.Etrn: {"node": "a.test"},
    commands.Expn: {"text": "list"},
    commands.Helo: {"host": "a.test"},
    commands.Help: {},
    commands.Lhlo: {"host": "a.test"},
    commands.Mail: {"path": ReversePath()},
    commands.Noop: {},
    commands.Parameter: {"keyword": "A"},
    commands.Rcpt: {"path": ForwardPath(None)},
    commands.Vrfy: {"text": "ann"},
    commands.XClient: {"attributes": commands.XClientAttributes(name="x")},
    commands.XClientAttributes: {"name": "x"},
    commands.XForward: {"attributes": commands.XForwardAttributes(name="x")},
    commands.XForwardAttributes: {"name": "x"},
}
MADE_BY_THE_LIBRARY = {"SendEvent", "Diagnosis", "Client", "Command", "Plan"}
WRONG = [object(), 1.5, None, "x", 7, b"x", ["x"], True]


def test_each_public_value_is_in_the_table() -> None:
    public = {name: getattr(smtpproto, name) for name in smtpproto.__all__}
    values = {name for name, it in public.items() if isinstance(it, type) and attrs.has(it)}
    assert values - MADE_BY_THE_LIBRARY <= {kind.__name__ for kind in VALID}


@pytest.mark.parametrize("kind", VALID)
def test_an_argument_of_a_wrong_type_is_a_type_error_that_says_what_to_pass(kind: Any) -> None:
    for name, wrong in itertools.product(argument_names(kind), WRONG):
        try:
            kind(**{**VALID[kind], name: wrong})
        except TypeError as error:
            assert re.search("cannot be .*; pass |not an address: .*; pass ", str(error)), error
            assert "object at 0x" not in str(error)
        except ValueError as error:  # of the right type, but not a possible value
            assert wrong is not WRONG[0], error
        else:
            assert wrong is not WRONG[0], f"{name}={wrong!r} is accepted"


@pytest.mark.parametrize(
    ("machine", "own", "other"),
    [
        (ClientProtocol, ClientSettings(), ServerSettings()),
        (ServerProtocol, ServerSettings(), ClientSettings()),
    ],
)
def test_a_machine_takes_settings_of_its_own_kind_and_no_options_besides(
    machine: Any, own: object, other: object
) -> None:
    assert machine(own).settings is own
    for wrong in (other, "x", {}):
        with pytest.raises(TypeError, match=rf"cannot be .*; pass {type(own).__name__}\(\.\.\.\)"):
            machine(wrong)
    with pytest.raises(TypeError, match="combined with limits; pass all options in settings"):
        machine(own, limits=Limits())


@pytest.mark.parametrize("kind", VALID)
def test_a_misspelt_argument_is_a_type_error_that_suggests_the_right_one(kind: Any) -> None:
    for name in argument_names(kind):
        misspelt = f"{name}s" if f"{name}s" not in argument_names(kind) else f"{name}x"
        with pytest.raises(TypeError, match=rf"\(\) got an unexpected argument '{misspelt}'; did"):
            kind(**{**VALID[kind], misspelt: None})


def _connect(**options: Any) -> object:
    """Do what ``connect`` does with its options."""
    return make_target("mx.test", 25, options)  # type: ignore[arg-type]


def _send(**options: Any) -> object:
    """Do what ``send`` does with its options."""
    return make_target("mx.test", 25, options, "send")  # type: ignore[arg-type]


def _pool(**options: Any) -> object:
    """Do what ``pool`` does with its options."""
    return make_pool(Runtime(), "mx.test", 25, options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "name", "advice"),
    [
        (_connect, "timeot", r"^connect\(\) .*did you mean timeout=\?"),
        (_connect, "sender", r"^connect\(\) .*it takes certificate, "),
        (_send, "envelop", r"^send\(\) .*did you mean envelope="),
        (_send, "to_addrs", r"^send\(\) .*did you mean envelope="),
        (_send, "recipients", r"^send\(\) .*did you mean envelope="),
        (_send, "debug", "did you mean trace="),
        (_connect, "ssl_context", "did you mean context="),
        (_connect, "username", "did you mean login="),
        (_connect, "local_hostname", "did you mean hello="),
        (_connect, "greeting", r"did you mean timeouts=Timeouts\(greeting="),
        (_pool, "max_conections", r"^pool\(\) .*did you mean max_connections="),
        (_pool, "timeot", r"^pool\(\) .*did you mean timeout="),
        (_pool, "loose_dots", r"did you mean leniencies=Leniencies\(loose_dots="),
        (ServerConfig, "hostnme", r"^serve\(\) .*did you mean hostname="),
        (ServerConfig, "tls", "did you mean context="),
        (ServerConfig, "users", "did you mean authenticator="),
        (partial(Envelope, ""), "to", r"^Envelope\(\) .*did you mean recipients="),
        (partial(Reply, 250), "text", r"^Reply\(\) .*did you mean lines="),
        (ServerConfig, "message_size", r"did you mean limits=Limits\(message_size="),
        (ServerConfig, "ssl_context", "did you mean context="),
        (ServerConfig, "auth_required", "did you mean require_auth="),
        (partial(Envelope, "", "a@b.test"), "ret", r"mean parameters=MailParameters\(ret="),
        (Timeouts, "xyzzy", r"^Timeouts\(\) got an unexpected argument 'xyzzy'; it takes auth, "),
    ],
)
def test_options_that_belong_elsewhere_or_have_another_name_here_are_suggested(
    make: Callable[..., object], name: str, advice: str
) -> None:
    with pytest.raises(TypeError, match=advice):
        make(**{name: None})


@pytest.mark.parametrize("wrong", [{"passwort": "hunter2"}, {"authzid": ["hunter2"]}], ids=str)
def test_no_traceback_of_a_wrong_argument_shows_a_password(wrong: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Login("ann", "hunter2", **wrong)
    inner = [entry for entry in caught.traceback if entry.frame.code.path != Path(__file__)]
    assert inner
    shown = [it for entry in inner for key, it in entry.frame.f_locals.items() if key != "self"]
    assert "hunter2" not in repr(shown)


def _any(value: Any) -> Any:
    """Return *value*, whose methods the type checker then does not know."""
    return value


def _server() -> Any:
    server = ServerProtocol(hostname="mx.example.org")
    server.next_event()
    return server


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: _server().receive("EHLO a.test\r\n"), "data cannot be .* str; pass octets"),
        (lambda: _server().receive(None), "data cannot be None; pass octets"),
        (lambda: _server().answer("250 OK"), r"reply cannot be .* str; pass Reply\("),
        (lambda: _server().answer(250), r"reply cannot be .* int; pass Reply\("),
        (
            lambda: _any(ClientProtocol()).receive("220 mx\r\n"),
            "data cannot be .* str; pass octets",
        ),
        (lambda: _any(_opened()).send("NOOP"), "command cannot be .* str; pass a Command"),
        (lambda: _any(_opened()).send(commands.Noop), "command cannot be .* type; pass a Command"),
        (lambda: _any(Reply).parse("250 OK\r\n"), "data cannot be .* str; pass octets"),
        (lambda: _any(ScramKeys).derive("x", salt="a" * 16), "salt cannot be .* str; pass bytes"),
        (lambda: _any(hash_password)("x", salt="a" * 16), "salt cannot be .* str; pass bytes"),
    ],
)
def test_a_method_refuses_an_argument_of_a_wrong_type_and_says_what_to_pass(
    call: Any, reason: str
) -> None:
    with pytest.raises(TypeError, match=f"^{reason}"):
        call()


def test_arguments_are_checked_without_a_look_at_signatures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Replies and commands are made often, and a signature costs more than the rest together."""
    monkeypatch.delattr("inspect.signature")
    for kind, arguments in VALID.items():
        kind(**arguments)
    assert Reply(250, "2.1.5", ("a", "b")).lines == ("a", "b")


def test_the_canonical_form_of_a_mailbox_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client looks up each recipient a dozen times."""
    path = ForwardPath.of("Bob@Example.ORG")
    assert len({path: 1, path.mailbox: 2}) == 1
    monkeypatch.delattr("smtpproto.grammar.address.quote")
    assert hash(path) == hash("Bob@example.org") and {path} == {path.mailbox}


def _opened() -> ClientProtocol:
    client = ClientProtocol()
    client.receive(b"220 mx\r\n")
    client.next_event()
    return client


def test_a_command_with_a_line_break_is_not_sent() -> None:
    class Forged(Command):
        verb = "NOOP"

        def argument(self) -> str:
            return "x\r\nQUIT"

    client = _opened()
    with pytest.raises(LocalProtocolError, match="control"):
        client.send(Forged())
    assert client.data_to_send() == b""


def test_a_tls_mode_may_be_given_by_its_name() -> None:
    mode: Any = "required"
    assert ClientConfig(tls=mode).tls is TLSMode.REQUIRED
    with pytest.raises(ValueError, match="requird"):
        ClientConfig(tls="requird")  # type: ignore[arg-type]


def test_a_password_in_octets_becomes_a_secret() -> None:
    login = Login("ann", b"hunter2")
    assert login.password == Secret("hunter2")
    assert "hunter2" not in repr(ClientConfig(login=login))


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e12])
def test_an_impossible_timeout_raises_value_error(seconds: float) -> None:
    with pytest.raises(ValueError, match="greeting"):
        Timeouts(greeting=seconds)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**30])
def test_an_impossible_port_raises_connection_error(port: int) -> None:
    with pytest.raises(ConnectionError, match="no such port"):
        run(open_client(Runtime(), "localhost", port, ClientConfig()))


def test_a_mailbox_may_be_made_from_the_text_of_its_domain() -> None:
    made: Any = Mailbox("a", "b.test")
    assert made == Mailbox("a", Domain("b.test"))


def test_arguments_with_elements_are_checked_each_time() -> None:
    for _ in range(3):
        ServerConfig(proxied_by=["192.0.2.1"])
        with pytest.raises(TypeError, match="an element of proxied_by"):
            ServerConfig(proxied_by=[5])  # type: ignore[list-item]
