"""``examine_server``: what a probe finds of sound servers and of broken ones."""

from __future__ import annotations

import json

import pytest

from smtpproto import Extensions, Reply, TLSMode, TLSVerify
from smtpproto.doctor import Examination, Finding, ProbeOptions, Severity, Subject, examine_server
from smtpproto.doctor.extension_words import WORDS, in_words
from smtpproto.grammar.extension import EXTENSIONS
from tests.doctor.broken_servers import CASES, HOST, BrokenNet, BrokenServer, Case
from tests.support.certificates import CA

_TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())


def probe(
    server: BrokenServer | None, net: BrokenNet | None = None, **options: object
) -> Examination:
    """Return what a probe finds of *server*."""
    net = net or BrokenNet(7)
    net.server = server
    chosen = ProbeOptions(**{"verify": _TRUST, "ports": (25,), **options})  # type: ignore[arg-type]

    async def scene() -> Examination:
        return await examine_server(HOST, net, chosen)

    found: Examination = net.run(scene())[0]
    return found


def faults(examination: Examination) -> dict[str, Finding]:
    return {it.fault: it for it in examination.findings if it.fault}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_probe_names_the_fault_of_each_broken_server(case: Case) -> None:
    recipients = (case.recipient,) if case.recipient else ()
    examination = probe(case.server, ports=(case.port,), recipients=recipients)
    found = faults(examination)
    assert set(found) == {case.fault}, str(examination)
    finding = found[case.fault]
    assert finding.severity is not Severity.OK and finding.mend


def test_there_are_more_than_two_dozen_broken_servers_each_with_a_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 24


def test_a_sound_server_has_no_faults() -> None:
    examination = probe(BrokenServer(), recipients=("bob@example.org",), sender="ann@example.org")
    assert examination.worst is Severity.OK, str(examination)
    subjects = {it.subject for it in examination.findings}
    assert subjects == {
        Subject.PORT, Subject.EHLO, Subject.STARTTLS, Subject.CERTIFICATE, Subject.LOGIN,
        Subject.DRY_RUN,
    }  # fmt: skip
    text = " ".join(str(examination).split())
    assert "SIZE 52428800: a message may have 50.0 MiB" in text
    assert f"is for {HOST}, issued by trustme" in text and "it was verified" in text
    assert "logins are possible after TLS only: PLAIN, SCRAM-SHA-256" in text
    assert "would take a message for bob@example.org: 250 ok" in text


def test_a_port_that_is_closed_is_only_noted_if_another_one_answers() -> None:
    net = BrokenNet(7)
    net.refused = frozenset({465, 587})
    examination = probe(BrokenServer(), net, ports=(25, 465, 587))
    assert [it.severity for it in examination.findings if it.fault] == [Severity.NOTE] * 2
    assert probe(None, ports=(25, 587)).count(Severity.ERROR) == 2


def test_each_address_is_tried() -> None:
    examination = probe(BrokenServer(), addresses=("192.0.2.1", "2001:db8::1"))
    places = {it.about for it in examination.of(Subject.PORT)}
    assert places == {f"{HOST} [192.0.2.1] port 25", f"{HOST} [2001:db8::1] port 25"}


def test_no_login_no_message_and_no_recipient_is_sent_unless_asked() -> None:
    seen: list[str] = []

    class Watched(BrokenServer):
        def note(self, verb: str) -> None:
            seen.append(verb)

    probe(Watched())
    assert set(seen) == {"EHLO", "STARTTLS", "RSET", "NOOP", "QUIT"}
    seen.clear()
    probe(Watched(), recipients=("bob@example.org",))
    assert set(seen) == {"EHLO", "STARTTLS", "RSET", "NOOP", "QUIT", "MAIL", "RCPT"}
    assert seen.count("MAIL") == seen.count("RCPT") == 1


def test_without_tls_none_is_tried() -> None:
    examination = probe(BrokenServer(), tls=TLSMode.NONE)
    assert not examination.of(Subject.CERTIFICATE)


def test_a_probe_ends_in_time() -> None:
    net = BrokenNet(7)
    examination = probe(BrokenServer(greeting=b""), net, ports=(25, 26, 27, 28), seconds=25)
    assert net.now() < 40
    [late] = [it for it in examination.findings if it.what.startswith("not all was looked at")]
    assert late.severity is Severity.WARNING


def test_findings_are_json_with_their_faults() -> None:
    found = json.loads(json.dumps(probe(None).as_dict()))
    assert found["findings"][0]["fault"] == "connection-refused"


def test_every_extension_has_a_meaning_in_words() -> None:
    assert WORDS.keys() == EXTENSIONS.keys()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("SIZE 1000", "a message may have 1000 octets"),
        ("SIZE 0", "no limit on the size of a message is announced"),
        ("LIMITS RCPTMAX=100 MAILMAX=5", "at most 5 messages on a connection, 100 recipients"),
        ("X-OWN", "not an extension that this library knows"),
        ("SIZE lots", "its parameters cannot be read"),
    ],
)
def test_parameters_of_extensions_are_told_in_words(line: str, words: str) -> None:
    [told] = in_words(Extensions.from_reply(Reply(250, None, ["mx", line])))
    assert told.startswith(f"{line}: {words}")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ports": (0,)}, ValueError),
        ({"addresses": "192.0.2.1"}, TypeError),
        ({"recipients": "bob@example.org"}, TypeError),
        ({"addresses": ("mx",)}, ValueError),
        ({"recipients": ("bob",)}, ValueError),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ProbeOptions(**options)  # type: ignore[arg-type]
