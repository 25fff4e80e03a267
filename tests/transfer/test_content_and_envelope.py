"""What a relay sends on: the content as it is, and the envelope as it was received."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from smtpproto import MailParameters, ReversePath
from smtpproto.dns import Answer, Kind
from smtpproto.grammar.parameters import Body
from smtpproto.mta.queue import Result
from smtpproto.mta.route import SmartHost
from smtpproto.sasl import PlainPasswords
from tests.support.hosts import Host
from tests.transfer.relaying import CONTENT, Network
from tests.transfer.test_offers import Pieces, status

ODD = [
    b"no field at all\r\n\r\nbody\r\n",
    b"From: a@x.test\r\nFrom: b@x.test\r\nReceived: nonsense\r\n\r\n",
    b"Subject: hi\r\nBcc: secret@x.test\r\n\r\n.\r\n..\r\n...dots\r\n",
    b"\r\n\r\n\r\n",
    b"Subject: hi\r\n\r\n" + b"x" * 5000 + b"\r\n",
]
BINARY: dict[str, Any] = {"extensions": {"BINARYMIME": "", "CHUNKING": ""}}
ALL_OCTETS = b"Subject: octets\r\n\r\n" + bytes(range(256)) * 3 + b"\r\r\n\n no end"


@pytest.mark.req("RFC5321-2.3.10-01", "RFC5321-2.4-08", "RFC5321-4.5.3.1.8-05")
@pytest.mark.parametrize("content", ODD)
@pytest.mark.parametrize("wrap", [bytes, Pieces])
def test_content_is_sent_on_as_it_is(content: bytes, wrap: Any) -> None:
    network = Network()
    [result] = network.attempt(content=wrap(content), size=len(content))
    assert result.result is Result.RELAYED
    assert network.hosts[0].received[0][1] == content


@pytest.mark.req("RFC5321-2.3.10-01")
@given(st.lists(st.binary(max_size=200).map(lambda it: it.translate(None, b"\r\n")), min_size=1))
def test_lines_of_any_octets_are_sent_on_as_they_are(lines: list[bytes]) -> None:
    content = b"Subject: hi\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)
    network = Network()
    [result] = network.attempt(content=content)
    assert result.result is Result.RELAYED
    assert network.hosts[0].received[0][1] == content


@pytest.mark.req("RFC3030-3-05")
@pytest.mark.parametrize("wrap", [bytes, Pieces])
def test_binary_content_keeps_all_its_octets(wrap: Any) -> None:
    network = Network(config=(BINARY,))
    parameters = MailParameters(body=Body.BINARY_MIME)
    facts: dict[str, Any] = {"parameters": parameters, "size": len(ALL_OCTETS)}
    [result] = network.attempt(content=wrap(ALL_OCTETS), **facts)
    assert result.result is Result.RELAYED
    assert network.hosts[0].received[0][1] == ALL_OCTETS


@pytest.mark.req("RFC3030-3-11")
def test_binary_content_is_not_sent_to_a_host_without_binarymime() -> None:
    network = Network(config=({"extensions": {"BINARYMIME": None}},) * 2)
    parameters = MailParameters(body=Body.BINARY_MIME)
    [result] = network.attempt(content=ALL_OCTETS, parameters=parameters)
    assert status(result) == "5.6.3"
    assert network.hosts[0].mails == []


@pytest.mark.req("RFC5321-C-02")
def test_the_header_has_no_say_in_where_a_message_goes() -> None:
    network = Network()
    content = b"From: x@other.test\r\nTo: other@other.test\r\n\r\nhello\r\n"
    network.attempt(content=content)
    [(envelope, _)] = network.hosts[0].received
    assert str(envelope) == "ann@example.org to bob@example.net"


@pytest.mark.req("RFC5321-4.5.5-04", "RFC5321-C-05")
@pytest.mark.parametrize("sender", [None, "Ann@example.org"])
def test_the_sender_is_sent_on_as_it_is(sender: str | None) -> None:
    network = Network()
    network.attempt(sender=ReversePath.of(sender))
    assert network.hosts[0].received[0][0].sender == ReversePath.of(sender)


@pytest.mark.req("RFC6531-3.2-03/client", "RFC6531-3.2-03/server")
def test_domains_are_looked_up_in_a_labels() -> None:
    network, asked = Network(), list[str]()

    class Recording:
        async def lookup(self, name: str, kind: Kind) -> Answer:
            asked.append(name)
            return await network.zone.lookup(name, kind)

    network.relay.resolver = Recording()
    network.zone.records["xn--bcher-kva.example"] = {Kind.A: ["192.0.2.1"]}
    [result] = network.attempt("bob@bücher.example")
    assert result.result is Result.RELAYED
    assert set(asked) == {"xn--bcher-kva.example"}


@pytest.mark.req("RFC4954-5-08")
def test_a_smart_host_with_a_login_gets_auth_without_a_name() -> None:
    host = Host()
    config = {"authenticator": PlainPasswords({"us": "secret"}), "auth_in_clear": True}
    network = Network((host,), (config,))
    route = SmartHost("192.0.2.1", 25, tls="none", login=("us", "secret"), login_in_clear=True)
    [result] = network.attempt(route=route, content=CONTENT)
    assert result.result is Result.RELAYED
    assert host.mails[0].auth == ReversePath(None)
