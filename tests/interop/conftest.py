"""Fixtures of the tests against other programs."""

from __future__ import annotations

import ssl
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import trustme

from tests.interop import dovecot, exim, nsd, opensmtpd, postfix, postgresql, submission
from tests.interop.contents import CONTENTS
from tests.interop.our_server import ADAPTERS, LOGIN, Inbox, serving
from tests.interop.programs import (
    LOGS,
    Certificate,
    Send,
    find_program,
    run,
    shared_directory,
    skip_missing,
)
from tests.interop.sources import Sources, make_sources

LIBRARIES = {"aiosmtpd", "smtplib"}  # in Python: their tests need no program and are fast
LONG = {"test_mta_crashes", "test_suites"}  # their tests take a minute each, and share nothing


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory "interop", unless they need libraries only.

    With ``-n 3 --dist loadgroup --no-loadscope-reorder`` the tests of a file run in one process,
    with the programs that they share, but those of LONG are spread, and come first.
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            peers = {mark.args[0] for mark in item.iter_markers("peer")}
            if not peers or not peers <= LIBRARIES:
                item.add_marker("interop")
            if item.path.stem not in LONG:
                item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a certificate for our servers and for the other programs."""
    directory = tmp_path_factory.mktemp("certificate")
    authority = trustme.CA()
    ca, chain, user = (directory / name for name in ("ca.pem", "chain.pem", "user.pem"))
    authority.cert_pem.write_to_path(ca)
    issued = authority.issue_cert("127.0.0.1", "localhost", "mx.box.test", "issued-mx.box.test")
    issued.private_key_and_cert_chain_pem.write_to_path(chain)
    personal = authority.issue_cert("ann@a.test", common_name=LOGIN[0])
    personal.private_key_and_cert_chain_pem.write_to_path(user)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    server.load_cert_chain(chain)
    server.verify_mode = ssl.CERT_OPTIONAL
    return Certificate(server, ssl.create_default_context(cafile=ca), ca, chain, user)


@pytest.fixture(scope="session")
def sources(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Fetches sources of other projects."""
    return make_sources(request.config, tmp_path_factory)


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    """The adapter that our side uses."""
    name: str = request.param
    return name


@pytest.fixture(params=CONTENTS.values(), ids=list(CONTENTS))
def content(request: pytest.FixtureRequest) -> bytes:
    """Each of the messages in CONTENTS."""
    octets: bytes = request.param
    return octets


@pytest.fixture
def inbox() -> Inbox:
    """An empty inbox for our server."""
    return Inbox()


@pytest.fixture
def next_hop(adapter: str, inbox: Inbox, certificate: Certificate) -> Iterator[str]:
    """A domain for which Postfix and Exim relay to our server, over verified TLS, into *inbox*."""
    with serving(adapter, inbox, context=certificate.server, require_tls=True) as port:
        yield f"{port}.tls.test"


@pytest.fixture(scope="session")
def _sasl() -> Iterator[Path]:
    """The socket on which Dovecot checks logins for Postfix."""
    with shared_directory() as directory:
        yield directory / "sasl"


@pytest.fixture(scope="session")
def _postfix(certificate: Certificate, _sasl: Path) -> Iterator[postfix.Postfix]:
    with postfix.started(certificate, _sasl) as peer:
        yield peer


@pytest.fixture(name="postfix")
def _postfix_emptied(_postfix: postfix.Postfix) -> postfix.Postfix:
    """Postfix, with empty mailboxes."""
    _postfix.mailboxes.clear()
    return _postfix


@pytest.fixture(scope="session")
def _exim(certificate: Certificate) -> Iterator[exim.Exim]:
    with exim.started(certificate) as peer:
        yield peer


@pytest.fixture(name="exim")
def _exim_emptied(_exim: exim.Exim) -> exim.Exim:
    """Exim, with empty mailboxes."""
    _exim.mailboxes.clear()
    return _exim


@pytest.fixture(name="opensmtpd")
def _opensmtpd() -> Iterator[opensmtpd.OpenSMTPD]:
    """OpenSMTPD, a new one for each test: for a while it avoids a next hop that has gone away."""
    with opensmtpd.started() as peer:
        yield peer


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.peer(name)) for name in ("postfix", "exim")]
)
def mail_server(request: pytest.FixtureRequest) -> postfix.Postfix | exim.Exim:
    """Postfix or Exim: a server with mailboxes, which also relays."""
    peer: postfix.Postfix | exim.Exim = request.getfixturevalue(request.param)
    return peer


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.peer(name))
        for name in ("postfix", "exim", "opensmtpd")
    ]
)
def mail_host(
    request: pytest.FixtureRequest,
) -> postfix.Postfix | exim.Exim | opensmtpd.OpenSMTPD:
    """Postfix, Exim or OpenSMTPD, each with the mailboxes alice and bob of box.test."""
    peer: postfix.Postfix | exim.Exim | opensmtpd.OpenSMTPD = request.getfixturevalue(request.param)
    return peer


@pytest.fixture(scope="session")
def zone() -> Iterator[int]:
    """The port of a name server with the zones ``etc/*.zone``."""
    with nsd.name_server() as port:
        yield port


@pytest.fixture(scope="session")
def _dovecot() -> Iterator[dovecot.Dovecot]:
    with dovecot.started() as peer:
        yield peer


@pytest.fixture(name="dovecot")
def _dovecot_emptied(_dovecot: dovecot.Dovecot) -> dovecot.Dovecot:
    """Dovecot's LMTP server, with empty mailboxes."""
    _dovecot.mailboxes.clear()
    return _dovecot


@pytest.fixture(scope="session")
def _postgresql() -> Iterator[postgresql.PostgreSQL]:
    with postgresql.started() as server:
        yield server


@pytest.fixture(name="postgresql")
def _postgresql_emptied(_postgresql: postgresql.PostgreSQL) -> postgresql.PostgreSQL:
    """PostgreSQL, with an empty queue."""
    _postgresql.empty()
    return _postgresql


@pytest.fixture(scope="session")
def _submission(certificate: Certificate, _sasl: Path) -> Iterator[submission.Submission]:
    with submission.started(certificate, _sasl) as peer:
        yield peer


@pytest.fixture(name="submission")
def _submission_emptied(_submission: submission.Submission) -> submission.Submission:
    """Dovecot's submission server, with no relayed message left."""
    while not _submission.relayed.empty:
        _submission.relayed.next()
    return _submission


@pytest.fixture
def swaks(tmp_path: Path) -> Send:
    """Return a function that sends content to a port with swaks, and returns its output."""
    path = find_program("swaks")

    def send(port: int, content: bytes, *options: str | Path, check: bool = True) -> str:
        file = tmp_path / "content"
        file.write_bytes(content.removesuffix(b"\r\n"))  # swaks adds the last line end itself
        server = f"--server=127.0.0.1:{port}"
        envelope = ("--from=ann@a.test", "--to=bob@b.test")
        return run(path, server, *envelope, f"--data=@{file}", *options, check=check)

    return send


@pytest.fixture
def swaks_tls(swaks: Send) -> Send:
    """The same as swaks, if swaks can use TLS."""
    if "TLS supported" not in run(find_program("swaks"), "--support"):
        skip_missing("Net::SSLeay, which swaks needs for TLS,")
    return swaks


@pytest.fixture
def curl(tmp_path: Path) -> Send:
    """Return a function that sends content to a URL with curl, and returns its output."""
    path = find_program("curl")

    def send(
        url: str, content: bytes, *options: str | Path, to: str = "bob@b.test", check: bool = True
    ) -> str:
        file = tmp_path / "content"
        file.write_bytes(content)
        envelope = ("--mail-from", "ann@a.test", "--mail-rcpt", to)
        return run(
            path,
            "-sSv",
            "--noproxy",
            "*",
            url,
            *envelope,
            "--upload-file",
            file,
            *options,
            check=check,
        )

    return send


@pytest.fixture
def msmtp() -> Send:
    """Return a function that sends content to a port with msmtp, and returns its output."""
    path = find_program("msmtp")

    def send(port: int, content: bytes, *options: str | Path, check: bool = True) -> str:
        server = ("--host=127.0.0.1", f"--port={port}", "--from=ann@a.test")
        as_is = ("--set-date-header=off", "--set-msgid-header=off")
        return run(
            path, "--debug", *as_is, *server, *options, "bob@b.test", stdin=content, check=check
        )

    return send


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the running programs to the report of a failed test."""
    report = yield
    if report.failed:
        for name, path in LOGS.items():
            tail = path.read_text(errors="replace")[-8_000:]
            report.sections.append((f"log of {name}", tail))
    return report
