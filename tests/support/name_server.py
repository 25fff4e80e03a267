"""A name server on the loopback, in a thread, that answers from a table with octets of DNS."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

SOA = "ns.test. hostmaster.test. 1 7200 3600 604800 60"


class NameServer:
    """Answers with *records*: the type and text of the records of each name.

    A name that begins with the label ``silent``, ``broken``, ``refused`` or ``bogus`` behaves like
    that; one that begins with ``large`` is answered by TCP only.
    """

    def __init__(
        self, records: dict[str, list[tuple[str, str]]], *, authentic: bool = False
    ) -> None:
        self.records = records
        self.authentic = authentic
        self.asked: list[tuple[str, str, bool]] = []  # name, type, whether by TCP
        self.port = 0

    def respond(self, query: dns.message.QueryMessage, over_tcp: bool) -> bytes | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind, over_tcp))
        response = dns.message.make_response(query, recursion_available=True)
        mood = name.partition(".")[0]
        if mood == "silent":
            return None
        if mood == "broken":
            return b"\x00" * 5
        if mood in ("refused", "bogus"):
            response.set_rcode(dns.rcode.SERVFAIL)
            if mood == "bogus":
                error = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "bad signature")
                response.use_edns(0, options=[error])
            return response.to_wire()
        if self.authentic and query.flags & dns.flags.AD:
            response.flags |= dns.flags.AD
        self._add_records(response, name, kind)
        if mood == "large" and not over_tcp:
            response.answer.clear()
            response.flags |= dns.flags.TC
        return response.to_wire(max_size=65535)

    def _add_records(self, response: dns.message.Message, name: str, kind: str) -> None:
        found = self.records.get(name)
        while found and found[0][0] == "CNAME":
            target = found[0][1].removesuffix(".")
            response.answer.append(
                dns.rrset.from_text(f"{name}.", 100, "IN", "CNAME", f"{target}.")
            )
            name, found = target, self.records.get(target)
        if found is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        texts = [text for its, text in found or [] if its == kind]
        if texts:
            response.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, *texts))
        elif not name.startswith("no-soa"):
            response.authority.append(dns.rrset.from_text("test.", 900, "IN", "SOA", SOA))


@contextlib.contextmanager
def serving(server: NameServer, host: str = "127.0.0.1") -> Iterator[NameServer]:
    """Let *server* answer by UDP and TCP on a free port of *host*."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_STREAM) as tcp,
        socket.socket(family, socket.SOCK_DGRAM) as udp,
    ):
        tcp.bind((host, 0))
        server.port = tcp.getsockname()[1]
        udp.bind((host, server.port))
        tcp.listen()
        threads = [
            threading.Thread(target=_serve_udp, args=(server, udp)),
            threading.Thread(target=_serve_tcp, args=(server, tcp)),
        ]
        for thread in threads:
            thread.start()
        yield server
        _stop(host, server.port, family)
        for thread in threads:
            thread.join()


def _stop(host: str, port: int, family: int) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"", (host, port))
    socket.create_connection((host, port)).close()


def _serve_udp(server: NameServer, udp: socket.socket) -> None:
    while data := (received := udp.recvfrom(65535))[0]:
        reply = server.respond(_query(data), False)
        if reply is not None:
            udp.sendto(reply, received[1])


def _serve_tcp(server: NameServer, tcp: socket.socket) -> None:
    while True:
        connection, _ = tcp.accept()
        with connection, connection.makefile("rb") as file:
            size = file.read(2)
            if not size:
                return
            reply = server.respond(_query(file.read(struct.unpack("!H", size)[0])), True)
            if reply is not None:
                connection.sendall(struct.pack("!H", len(reply)) + reply)


def _query(data: bytes) -> dns.message.QueryMessage:
    query = dns.message.from_wire(data)
    assert isinstance(query, dns.message.QueryMessage)
    return query
