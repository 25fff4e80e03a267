"""The messages of SCRAM (RFC 5802 5, 7): which ones each side accepts."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress

import pytest
from attrs import evolve

from smtpproto import (
    GrammarError,
    Identity,
    Login,
    RemoteProtocolError,
    ScramKeys,
    Secret,
)
from smtpproto.adapters.blocking import run
from smtpproto.grammar.xtext import encode_base64
from smtpproto.sasl import Channel, Denied
from smtpproto.sasl.scram import ScramClient
from smtpproto.sasl.scram_keys import client_key, salted_password

from .scram_exchanges import (
    BOUND,
    LOGIN,
    SALT,
    UNBOUND,
    ScramUsers,
    challenge_after,
    first_and_final,
    log_in,
    make_server,
    step,
)

# -- the client's first message ------------------------------------------------------------------


@pytest.mark.req("RFC5802-5.1-01")
@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a,b=c", "n=a=2Cb=3Dc"),
        ("=2C", "n==3D2C"),
        (",,", "n==2C=2C"),
        ("\u00fc\U0001fae0", "n=\u00fc\U0001fae0"),
    ],
)
def test_comma_and_equals_sign_in_names_are_escaped(name: str, sent: str) -> None:
    client = ScramClient(Login(name, "secret", name), UNBOUND, "SHA-256")
    header, authzid, username, _ = client.initial().reveal().decode().split(",")
    assert (header, authzid, username) == ("n", f"a{sent[1:]}", sent)
    users = ScramUsers({name: "secret"})
    assert log_in(client, make_server(users)) == Identity(
        name, mechanism="SCRAM-SHA-256"
    )  # acting as oneself needs no permission
    assert users.calls == [(name, "SHA-256")]


@pytest.mark.req("RFC5802-7-01")
@pytest.mark.parametrize(
    "message",
    [
        "x,,n=ann,r=n",
        "N,,n=ann,r=n",
        ",,n=ann,r=n",
        "p,,n=ann,r=n",
        "p=,,n=ann,r=n",
        "p=a_b,,n=ann,r=n",
        "n=ann,r=n",
        "n,n=ann,r=n",
        "n,x,n=ann,r=n",
        "n,a=,n=ann,r=n",
        "n,a=a=2X,n=ann,r=n",
        "n,,n=a=2Xb,r=n",
        "n,,n=a=,r=n",
        "n,,n=a=2cb,r=n",
        "n,,n=a=3d,r=n",
        "n,,n=,r=n",
        "n,,n=ann,r=",
        "n,,n=ann",
        "n,,r=n,n=ann",
        "n,,n=ann,r=a b",
        "n,,n=ann,r=\u00fc",
        "n,,n=ann,r=a\x7f",
        "n,,m=x,n=ann,r=n",
        "n,,n=ann,r=n,m=x",
        "n,,n=ann,r=n,x=1,m=x",
        "n,,n=ann,r=n,r=n",
        "n,,n=ann,r=n,",
        "n,,n=ann,r=n,x",
        "n,,n=ann,r=n,x=",
        "n,,n=ann,r=n,x=\0",
        "n,,n=ann,r=n,1=x",
        "n,,n=an\0n,r=n",
        "n,,n=an\x07n,r=n",
        "n,,n=\u00ad,r=n",
        "n,a=\u00ad,n=ann,r=n",
        "n,,n=\u0627a,r=n",
        "",
    ],
)
def test_the_server_refuses_malformed_first_messages(message: str) -> None:
    users = ScramUsers({"ann": "secret"})
    server = make_server(users)
    with pytest.raises(GrammarError):
        run(server.step(Secret(message)))
    assert users.calls == []
    with pytest.raises(GrammarError):  # a second attempt is refused
        run(server.step(Secret("n,,n=ann,r=n")))


@pytest.mark.parametrize(
    ("header", "channel", "plus"),
    [
        ("n,,", UNBOUND, False),
        ("y,,", UNBOUND, False),
        ("p=tls-unique,,", BOUND, True),
        ("n,a=office,", UNBOUND, False),
    ],
)
def test_the_server_accepts_first_messages(header: str, channel: Channel, plus: bool) -> None:
    server = make_server(channel=channel, plus=plus)
    assert challenge_after(server, f"{header}n=ann,r=n").startswith("r=n")


def test_both_sides_refuse_messages_that_are_not_utf_8() -> None:
    for message in (b"n,,n=\xff,r=n", b"\x80"):
        with pytest.raises(GrammarError):
            run(make_server().step(Secret(message)))
    with pytest.raises(RemoteProtocolError):
        ScramClient(LOGIN, UNBOUND, "SHA-1").step(b"r=\xff")


def test_one_empty_challenge_requests_the_first_message() -> None:
    """A server that got no initial response requests it with one empty challenge."""
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    assert run(server.step(None)) == b""
    first = client.step(b"")
    assert first == client.initial()
    challenge_after(server, first.reveal().decode())
    with pytest.raises(RemoteProtocolError):
        client.step(b"")


# -- nonces --------------------------------------------------------------------------------------


@pytest.mark.req("RFC5802-5.1-04/client", "RFC5802-5.1-04/server")
def test_each_nonce_is_printable_and_new() -> None:
    """Each side draws 18 random octets; the server's nonce extends the client's."""
    sizes = []

    def random(size: int) -> bytes:
        sizes.append(size)
        return secrets.token_bytes(size)

    channel, seen = evolve(UNBOUND, random=random), set()
    for _ in range(20):
        client = ScramClient(LOGIN, channel, "SHA-256")
        client_nonce = client.initial().reveal().decode().partition("r=")[2]
        first = challenge_after(make_server(channel=channel), f"n,,n=ann,r={client_nonce}")
        nonce = first[2:].split(",")[0]
        assert nonce.startswith(client_nonce) and len(nonce) == 2 * len(client_nonce)
        assert re.fullmatch(r"[!-+\--~]{48}", nonce)
        seen |= {client_nonce, nonce[len(client_nonce) :]}
    assert len(seen) == 40
    assert min(sizes) == 18


@pytest.mark.req("RFC5802-5.1-04/client", "RFC5802-5.1-04/server")
@pytest.mark.parametrize("change", ["shorter", "same", "other", "none"])
def test_the_servers_nonce_must_extend_the_clients(change: str) -> None:
    client = ScramClient(LOGIN, UNBOUND, "SHA-256")
    ours = client.initial().reveal().decode().partition("r=")[2]
    nonce = {"shorter": ours[:-1], "same": ours, "other": f"x{ours}y", "none": "fresh"}[change]
    with pytest.raises(RemoteProtocolError):
        client.step(f"r={nonce},s=AAAA,i=4096".encode())


@pytest.mark.req("RFC5802-5.1-04/client", "RFC5802-5.1-04/server")
@pytest.mark.parametrize("change", ["truncated", "longer", "client's", "other", "replay"])
def test_the_final_message_must_have_the_nonce_of_this_exchange(change: str) -> None:
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    _, client_final = first_and_final(client, server)
    nonce = client_final.split(",")[1]
    changed = {
        "truncated": nonce[:-1],
        "longer": f"{nonce}x",
        "client's": nonce[:26],
        "other": f"r=x{nonce[2:]}",
        "replay": nonce,
    }[change]
    if change == "replay":  # a final message of another exchange
        server = make_server()
        challenge_after(server, client.initial().reveal().decode())
    with pytest.raises(GrammarError, match="nonce"):
        run(server.step(Secret(client_final.replace(nonce, changed))))


# -- the other messages --------------------------------------------------------------------------


@pytest.mark.req("RFC5802-7-01")
@pytest.mark.parametrize(
    "change",
    [
        lambda message: f"m=x,{message}",
        lambda message: message.replace(",p=", ",m=x,p="),
        lambda message: message.partition(",p=")[0],
        lambda message: message.partition(",p=")[0] + ",p=",
        lambda message: message.partition(",p=")[0] + ",p=*",
        lambda message: message.partition(",p=")[0] + ",p=AAAA",
        lambda message: f"{message},x=1",
        lambda message: f"{message}=",
        lambda message: message.replace("c=", "C="),
        lambda message: message.replace(",p=", ",r=x,p="),
        lambda message: "",
        lambda message: "*",
    ],
)
def test_the_server_refuses_malformed_final_messages(change: Callable[[str], str]) -> None:
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    _, client_final = first_and_final(client, server)
    with suppress(GrammarError):
        assert isinstance(step(server, change(client_final)), Denied)
    with pytest.raises(GrammarError):  # a second attempt is refused
        step(server, client_final)


@pytest.mark.req("RFC5802-5.1-06", "RFC5802-5.1-08", "RFC5802-7-01")
@pytest.mark.parametrize(
    "message",
    [
        "m=x,r={},s=AAAA,i=4096",
        "r={},s=AAAA,i=4096,m=x",
        "r={},s=AAAA,i=0",
        "r={},s=AAAA,i=04096",
        "r={},s=AAAA,i=-1",
        "r={},s=AAAA,i=+4096",
        "r={},s=AAAA,i=4096 ",
        "r={},s=AAAA,i=\u0664\u0660\u0669\u0666",
        "r={},s=AAAA,i=1",
        "r={},s=AAAA,i=4095",
        "r={},s=AAAA,i=1000001",
        "r={},s=AAAA,i=1000000000",
        "r={},s=AAAA,i=" + "9" * 5000,
        "r={},s=AAAA",
        "r={},i=4096",
        "r={},s=,i=4096",
        "r={},s=AAA,i=4096",
        "r={},s=AB==,i=4096",
        "r={},s=*,i=4096",
        "r={},i=4096,s=AAAA",
        "r={},s=AAAA,i=4096,",
        "r={}\u00fc,s=AAAA,i=4096",
        "x",
    ],
)
def test_the_client_refuses_malformed_server_first_messages(message: str) -> None:
    client = ScramClient(LOGIN, UNBOUND, "SHA-256")
    nonce = client.initial().reveal().decode().partition("r=")[2] + "more"
    with pytest.raises(RemoteProtocolError):
        client.step(message.format(nonce).encode())
    with pytest.raises(RemoteProtocolError):
        client.step(f"r={nonce},s=AAAA,i=4096".encode())
    with pytest.raises(RemoteProtocolError):
        client.finish()


@pytest.mark.req("RFC5802-5-02")
@pytest.mark.parametrize(
    "change",
    [
        lambda message: "v=" + "A" * 43 + "=",
        lambda message: "v=AAAA",
        lambda message: "v=",
        lambda message: "v=*",
        lambda message: message[2:],
        lambda message: f"m=x,{message}",
        lambda message: f"{message},m=x",
        lambda message: f"{message},v=AAAA",
        lambda message: "",
    ],
)
def test_the_client_refuses_a_missing_or_wrong_server_proof(change: Callable[[str], str]) -> None:
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    _, client_final = first_and_final(client, server)
    with pytest.raises(RemoteProtocolError):
        client.step(change(challenge_after(server, client_final)).encode())
    with pytest.raises(RemoteProtocolError):
        client.finish()


@pytest.mark.req("RFC5802-5-02")
def test_the_client_does_not_accept_success_before_the_servers_proof() -> None:
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    with pytest.raises(RemoteProtocolError, match="prove"):
        client.finish()
    _, client_final = first_and_final(client, server)
    with pytest.raises(RemoteProtocolError, match="prove"):
        client.finish()
    client.step(challenge_after(server, client_final).encode())
    client.finish()
    with pytest.raises(RemoteProtocolError, match="end"):
        client.step(b"")


def test_the_client_sends_an_empty_response_to_the_servers_proof() -> None:
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    _, client_final = first_and_final(client, server)
    last = challenge_after(server, client_final)
    assert last.startswith("v=")
    assert client.step(last.encode()) == Secret("")
    assert step(server, "") == Identity("ann", mechanism="SCRAM-SHA-256")
    with pytest.raises(GrammarError):
        step(server, "")


def test_the_response_to_the_servers_proof_must_be_empty() -> None:
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    challenge_after(server, first_and_final(client, server)[1])
    with pytest.raises(GrammarError, match="empty"):
        step(server, "x")


@pytest.mark.parametrize("first", [False, True], ids=["final", "first"])
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("e=invalid-proof", "invalid-proof"),
        ("e=unknown-user,x=1", "unknown-user"),
        ("e=\x1b[2J", "\\x1b[2J"),
    ],
)
def test_a_servers_error_is_a_refusal_whose_reason_is_kept(
    message: str, reason: str, first: bool
) -> None:
    """The client sends an empty response, after which the reply follows. An acceptance is now an
    error."""
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    if not first:
        first_and_final(client, server)
    assert client.step(message.encode()) == Secret("")
    assert client.details == {"scram-error": reason}
    with pytest.raises(RemoteProtocolError):
        client.finish()
    with pytest.raises(RemoteProtocolError):
        client.step(message.encode())


def signed(*messages: str) -> tuple[str, str]:
    """Return ClientProof and ServerSignature for *messages*, made with ann's password."""
    keys, octets = (
        ScramKeys.derive("secret", salt=SALT, iterations=4096),
        ",".join(messages).encode(),
    )
    salted = salted_password("secret", SALT, 4096, "SHA-256")
    proof = keys.masked(client_key(salted, "SHA-256"), octets)
    return encode_base64(proof).decode(), encode_base64(keys.signature(octets)).decode()


EXTENSIONS = pytest.mark.parametrize(
    "extension", [",x=1", ",x=1,y==\u00fc=", ",X=1,X=2", ",t=a b", ",d=x"]
)


@pytest.mark.req("RFC5802-5.1-09/client", "RFC5802-5.1-09/server")
@EXTENSIONS
def test_the_server_ignores_unknown_extensions(extension: str) -> None:
    """The extensions are signed with the rest of the message."""
    server, bare = make_server(), f"n=ann,r=n{extension}"
    first = challenge_after(server, f"n,,{bare}")
    without_proof = f"c=biws,r={first[2:].split(',')[0]}{extension}"
    proof, signature = signed(bare, first, without_proof)
    assert challenge_after(server, f"{without_proof},p={proof}") == f"v={signature}"


@pytest.mark.req("RFC5802-5.1-09/client", "RFC5802-5.1-09/server")
@EXTENSIONS
def test_the_client_ignores_unknown_extensions(extension: str) -> None:
    client = ScramClient(LOGIN, UNBOUND, "SHA-256")
    bare = client.initial().reveal().decode().removeprefix("n,,")
    nonce = bare.partition("r=")[2] + "more"
    first = f"r={nonce},s={encode_base64(SALT).decode()},i=4096{extension}"
    client_final = client.step(first.encode()).reveal().decode()
    proof, signature = signed(bare, first, f"c=biws,r={nonce}")
    assert client_final == f"c=biws,r={nonce},p={proof}"
    assert client.step(f"v={signature}{extension}".encode()) == Secret("")
    client.finish()


@pytest.mark.req("RFC5802-5.1-03/client", "RFC5802-5.1-03/server")
def test_a_mandatory_extension_is_refused_in_each_message() -> None:
    """Each message in turn begins with m=, and is otherwise valid."""
    with pytest.raises(GrammarError):
        run(make_server().step(Secret("n,,m=x,n=ann,r=n")))
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    first = challenge_after(server, client.initial().reveal().decode())
    with pytest.raises(RemoteProtocolError):
        client.step(f"m=x,{first}".encode())
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    with pytest.raises(GrammarError):
        step(server, f"m=x,{first_and_final(client, server)[1]}")
    client, server = ScramClient(LOGIN, UNBOUND, "SHA-256"), make_server()
    last = challenge_after(server, first_and_final(client, server)[1])
    with pytest.raises(RemoteProtocolError):
        client.step(f"m=x,{last}".encode())
