"""The messages of SCRAM (RFC 5802 5, 7): which are taken, and which are not."""

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

from .scram_pair import (
    BOUND,
    LOGIN,
    PLAIN_CHANNEL,
    SALT,
    Users,
    answer,
    converse,
    final,
    finale,
    server_of,
)

# -- the client's first message --------------------------------------------------------------


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
def test_how_names_are_sent(name: str, sent: str) -> None:
    client = ScramClient(Login(name, "secret", name), PLAIN_CHANNEL, "SHA-256")
    header, authzid, username, _ = client.initial().reveal().decode().split(",")
    assert (header, authzid, username) == ("n", f"a{sent[1:]}", sent)
    users = Users({name: "secret"})
    assert converse(client, server_of(users)) == Identity(
        name, mechanism="SCRAM-SHA-256"
    )  # who acts as themselves
    assert users.asked == [(name, "SHA-256")]


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
def test_first_messages_that_are_none(message: str) -> None:
    users = Users({"ann": "secret"})
    server = server_of(users)
    with pytest.raises(GrammarError):
        run(server.step(Secret(message)))
    assert users.asked == []
    with pytest.raises(GrammarError):  # and there is no second try
        run(server.step(Secret("n,,n=ann,r=n")))


@pytest.mark.parametrize(
    ("header", "channel", "plus"),
    [
        ("n,,", PLAIN_CHANNEL, False),
        ("y,,", PLAIN_CHANNEL, False),
        ("p=tls-unique,,", BOUND, True),
        ("n,a=office,", PLAIN_CHANNEL, False),
    ],
)
def test_first_messages(header: str, channel: Channel, plus: bool) -> None:
    server = server_of(channel=channel, plus=plus)
    assert answer(server, f"{header}n=ann,r=n").startswith("r=n")


def test_a_message_that_is_not_utf_8() -> None:
    for message in (b"n,,n=\xff,r=n", b"\x80"):
        with pytest.raises(GrammarError):
            run(server_of().step(Secret(message)))
    with pytest.raises(RemoteProtocolError):
        ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-1").step(b"r=\xff")


def test_the_first_message_on_demand() -> None:
    """A server that got no initial response asks for it with an empty challenge; but once."""
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    assert run(server.step(None)) == b""
    first = client.step(b"")
    assert first == client.initial()
    answer(server, first.reveal().decode())
    with pytest.raises(RemoteProtocolError):
        client.step(b"")


# -- nonces ----------------------------------------------------------------------------------


@pytest.mark.req("RFC5802-5.1-04")
def test_nonces_are_printable_and_fresh() -> None:
    """18 octets of the world's each; the server's goes on with the client's."""
    sizes = []

    def random(size: int) -> bytes:
        sizes.append(size)
        return secrets.token_bytes(size)

    channel, seen = evolve(PLAIN_CHANNEL, random=random), set()
    for _ in range(20):
        client = ScramClient(LOGIN, channel, "SHA-256")
        said = client.initial().reveal().decode().partition("r=")[2]
        first = answer(server_of(channel=channel), f"n,,n=ann,r={said}")
        nonce = first[2:].split(",")[0]
        assert nonce.startswith(said) and len(nonce) == 2 * len(said)
        assert re.fullmatch(r"[!-+\--~]{48}", nonce)
        seen |= {said, nonce[len(said) :]}
    assert len(seen) == 40
    assert min(sizes) == 18


@pytest.mark.req("RFC5802-5.1-04")
@pytest.mark.parametrize("change", ["shorter", "same", "other", "none"])
def test_a_client_wants_its_nonce_and_more(change: str) -> None:
    client = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256")
    ours = client.initial().reveal().decode().partition("r=")[2]
    nonce = {"shorter": ours[:-1], "same": ours, "other": f"x{ours}y", "none": "fresh"}[change]
    with pytest.raises(RemoteProtocolError):
        client.step(f"r={nonce},s=AAAA,i=4096".encode())


@pytest.mark.req("RFC5802-5.1-04")
@pytest.mark.parametrize("change", ["truncated", "longer", "client's", "other", "replay"])
def test_a_server_wants_the_sum_of_both(change: str) -> None:
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    _, said = final(client, server)
    nonce = said.split(",")[1]
    changed = {
        "truncated": nonce[:-1],
        "longer": f"{nonce}x",
        "client's": nonce[:26],
        "other": f"r=x{nonce[2:]}",
        "replay": nonce,
    }[change]
    if change == "replay":  # the whole final message of one exchange in another
        server = server_of()
        answer(server, client.initial().reveal().decode())
    with pytest.raises(GrammarError, match="nonce"):
        run(server.step(Secret(said.replace(nonce, changed))))


# -- what follows ----------------------------------------------------------------------------


@pytest.mark.req("RFC5802-7-01")
@pytest.mark.parametrize(
    "change",
    [
        lambda said: f"m=x,{said}",
        lambda said: said.replace(",p=", ",m=x,p="),
        lambda said: said.partition(",p=")[0],
        lambda said: said.partition(",p=")[0] + ",p=",
        lambda said: said.partition(",p=")[0] + ",p=*",
        lambda said: said.partition(",p=")[0] + ",p=AAAA",
        lambda said: f"{said},x=1",
        lambda said: f"{said}=",
        lambda said: said.replace("c=", "C="),
        lambda said: said.replace(",p=", ",r=x,p="),
        lambda said: "",
        lambda said: "*",
    ],
)
def test_final_messages_that_are_none(change: Callable[[str], str]) -> None:
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    _, said = final(client, server)
    with suppress(GrammarError):
        assert isinstance(finale(server, change(said)), Denied)
    with pytest.raises(GrammarError):  # and there is no second try
        finale(server, said)


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
def test_server_first_messages_that_are_none(message: str) -> None:
    client = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256")
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
        lambda said: "v=" + "A" * 43 + "=",
        lambda said: "v=AAAA",
        lambda said: "v=",
        lambda said: "v=*",
        lambda said: said[2:],
        lambda said: f"m=x,{said}",
        lambda said: f"{said},m=x",
        lambda said: f"{said},v=AAAA",
        lambda said: "",
    ],
)
def test_a_server_that_does_not_prove_itself(change: Callable[[str], str]) -> None:
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    _, said = final(client, server)
    with pytest.raises(RemoteProtocolError):
        client.step(change(answer(server, said)).encode())
    with pytest.raises(RemoteProtocolError):
        client.finish()


@pytest.mark.req("RFC5802-5-02")
def test_a_yes_without_any_proof() -> None:
    """Whenever the server says 235, it has to have proved itself before."""
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    with pytest.raises(RemoteProtocolError, match="prove"):
        client.finish()
    _, said = final(client, server)
    with pytest.raises(RemoteProtocolError, match="prove"):
        client.finish()
    client.step(answer(server, said).encode())
    client.finish()
    with pytest.raises(RemoteProtocolError, match="end"):
        client.step(b"")


def test_the_client_answers_the_last_message_with_nothing() -> None:
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    _, said = final(client, server)
    last = answer(server, said)
    assert last.startswith("v=")
    assert client.step(last.encode()) == Secret("")
    assert finale(server, "") == Identity("ann", mechanism="SCRAM-SHA-256")
    with pytest.raises(GrammarError):
        finale(server, "")


def test_a_server_wants_nothing_in_answer_to_its_last() -> None:
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    answer(server, final(client, server)[1])
    with pytest.raises(GrammarError, match="empty"):
        finale(server, "x")


@pytest.mark.parametrize("first", [False, True], ids=["final", "first"])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("e=invalid-proof", "invalid-proof"),
        ("e=unknown-user,x=1", "unknown-user"),
        ("e=\x1b[2J", "\\x1b[2J"),
    ],
)
def test_a_server_s_no(said: str, told: str, first: bool) -> None:
    """It is answered with nothing, so that the reply can come; a yes would be a lie now."""
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    if not first:
        final(client, server)
    assert client.step(said.encode()) == Secret("")
    assert client.details == {"scram-error": told}
    with pytest.raises(RemoteProtocolError):
        client.finish()
    with pytest.raises(RemoteProtocolError):
        client.step(said.encode())


def signed(*messages: str) -> tuple[str, str]:
    """ClientProof and ServerSignature of *messages*, with ann's password."""
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


@pytest.mark.req("RFC5802-5.1-09")
@EXTENSIONS
def test_a_server_ignores_extensions_that_it_does_not_know(extension: str) -> None:
    """They are signed like the rest."""
    server, bare = server_of(), f"n=ann,r=n{extension}"
    first = answer(server, f"n,,{bare}")
    without_proof = f"c=biws,r={first[2:].split(',')[0]}{extension}"
    proof, signature = signed(bare, first, without_proof)
    assert answer(server, f"{without_proof},p={proof}") == f"v={signature}"


@pytest.mark.req("RFC5802-5.1-09")
@EXTENSIONS
def test_a_client_ignores_extensions_that_it_does_not_know(extension: str) -> None:
    client = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256")
    bare = client.initial().reveal().decode().removeprefix("n,,")
    nonce = bare.partition("r=")[2] + "more"
    first = f"r={nonce},s={encode_base64(SALT).decode()},i=4096{extension}"
    said = client.step(first.encode()).reveal().decode()
    proof, signature = signed(bare, first, f"c=biws,r={nonce}")
    assert said == f"c=biws,r={nonce},p={proof}"
    assert client.step(f"v={signature}{extension}".encode()) == Secret("")
    client.finish()


@pytest.mark.req("RFC5802-5.1-03")
def test_mandatory_extensions_are_failures() -> None:
    """Nobody here knows one; with them at the start of each message in turn, all else is right."""
    with pytest.raises(GrammarError):
        run(server_of().step(Secret("n,,m=x,n=ann,r=n")))
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    first = answer(server, client.initial().reveal().decode())
    with pytest.raises(RemoteProtocolError):
        client.step(f"m=x,{first}".encode())
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    with pytest.raises(GrammarError):
        finale(server, f"m=x,{final(client, server)[1]}")
    client, server = ScramClient(LOGIN, PLAIN_CHANNEL, "SHA-256"), server_of()
    last = answer(server, final(client, server)[1])
    with pytest.raises(RemoteProtocolError):
        client.step(f"m=x,{last}".encode())
