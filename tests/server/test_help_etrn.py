"""HELP and ETRN."""

from __future__ import annotations

import pytest

from smtpproto import ClientConfig, Handler, NotOffered, Reply, ServerConfig, Session
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Simulation
from tests.support.scripted_client import keywords, replies
from tests.support.server_dialogue import HELLO, QUIT, play


def test_the_help_hook_answers_by_topic_and_the_default_lists_commands() -> None:
    class Helpful(Handler):
        async def help(self, session: Session, topic: str) -> Reply:
            if topic == "trouble":
                raise LookupError("no book")
            return Reply(214, "2.0.0", f"About {topic or 'everything'}")

    assert replies(Helpful(), "HELP", "help  MAIL", "HELP trouble") == [
        "214 2.0.0 About everything",
        "214 2.0.0 About MAIL",
        "451 4.3.0 Local error in processing",
    ]
    assert replies(Handler(), "HELP MAIL")[0].startswith("214 2.0.0 Commands: EHLO")


@pytest.mark.req("RFC5321-4.1.1.8-02", "RFC5321-7.5-01")
def test_help_may_name_the_software_and_its_version() -> None:
    class Versioned(Handler):
        def help(self, session: Session, topic: str) -> Reply | None:
            return Reply(214, "2.0.0", "exampled 1.2") if topic == "version" else None

    commands = "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP"
    version = "C: HELP version\nS: 214 2.0.0 exampled 1.2\n"
    play(f"{HELLO}{version}C: HELP\nS: 214 2.0.0 {commands}{QUIT}", Versioned())


class Queues(Handler):
    def etrn(self, session: Session, node: str) -> Reply:
        return Reply(250, "2.0.0", f"Queue for {node} started")


def test_etrn_is_offered_only_by_a_handler_that_defines_it() -> None:
    assert "ETRN" in keywords(Queues())
    assert "ETRN" not in keywords(Handler())
    assert replies(Handler(), "ETRN example.org") == ["502 5.5.1 Command not implemented"]


def test_the_etrn_hook_answers_for_its_node_after_ehlo_only() -> None:
    assert replies(Queues(), "ETRN example.org", "ETRN #night") == [
        "250 2.0.0 Queue for example.org started",
        "250 2.0.0 Queue for #night started",
    ]
    assert replies(Queues(), "ETRN example.org", hello="HELO") == ["503 5.5.1 Send EHLO first"]


@pytest.mark.req("RFC1985-5-02")
def test_a_node_is_a_domain_with_or_without_subdomains_or_a_queue() -> None:
    nodes = ["example.org", "@example.org", "#night"]
    answers = replies(Queues(), *(f"ETRN {node}" for node in nodes))
    assert answers == [f"250 2.0.0 Queue for {node} started" for node in nodes]
    invalid = [
        "ETRN",
        "ETRN @",
        "ETRN #",
        "ETRN a b",
        "ETRN -",
        "ETRN a..b",
        "ETRN @#x",
        "ETRN [192.0.2.1]",
    ]
    assert [answer[:3] for answer in replies(Queues(), *invalid)] == ["501"] * len(invalid)


@pytest.mark.req("RFC1985-5-01")
def test_etrn_is_refused_from_mail_to_the_end_of_the_transaction() -> None:
    etrn, mail, rcpt = "ETRN example.org", "MAIL FROM:<>", "RCPT TO:<a@b.example>"
    answers = replies(Queues(), etrn, mail, etrn, rcpt, etrn, rcpt, "RSET", etrn)
    codes = ["250", "250", "503", "250", "503", "250", "250", "250"]
    assert [answer[:3] for answer in answers] == codes


@pytest.mark.req("RFC1985-5-03")
def test_a_client_receives_help_and_must_not_send_etrn_unoffered() -> None:
    simulation = Simulation(1)
    simulation.listen(25, Handler(), ServerConfig())

    async def main() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig()) as client:
            assert (await client.help()).code == 214
            with pytest.raises(NotOffered, match="ETRN"):
                await client.etrn("example.org")

    simulation.run(main())
