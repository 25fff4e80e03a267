"""The configuration of ``smtpproto mta``: an error names the line, the key and what is allowed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import ForwardPath, ScramKeys
from smtpproto.adapters.asyncio import MTA
from smtpproto.adapters.cryptography_certificates import CryptographyCertificates
from smtpproto.adapters.cryptography_keys import PrivateKey
from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.adapters.https import HTTPSFetch
from smtpproto.adapters.maildir import Maildir
from smtpproto.adapters.mbox import Mbox
from smtpproto.adapters.pipe import Pipe
from smtpproto.adapters.sqlite_policies import SQLitePolicies
from smtpproto.cli.command_errors import ConfigError
from smtpproto.cli.mta_config import read_configuration
from smtpproto.cli.toml_table import Table, read_toml
from smtpproto.dns_cache import DNSCacheLimits
from smtpproto.grammar.dsn import Ret
from smtpproto.mta import (
    SRS,
    Aliases,
    Direct,
    Local,
    QueueLimits,
    ReportOptions,
    RetrySchedule,
    SmartHost,
)
from smtpproto.mta.exchangers import Self
from smtpproto.policy import Algorithm
from smtpproto.transfer import DailyReports, TLSPolicies
from smtpproto.transfer.relaying import Relaying

START = 'hostname = "mx.example.org"\nqueue = "q.db"\n'
LISTEN = "[[listen]]\nport = 25\n"


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mail.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_configuration(path)
    return str(caught.value).removeprefix(f"{path}, ").removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a = ", "Invalid value (at end of document)"),
        ('queue = "q"\n', "hostname is missing; it is a text in quotes"),
        ("hostname = 7\n", "line 1: hostname: must be a text in quotes, not a whole number"),
        (START, "there is no place to take mail; add [[listen]] and port = 25"),
        (START + "[[listen]]\n", "line 3: listen[1]: port is missing; it is a whole number"),
        (START + "[status]\n" + LISTEN, "line 3: status: port is missing; it is a whole number"),
        (
            START + "[metrics]\nport = -1\n" + LISTEN,
            "line 4: metrics.port: must be 0 to 65535, not -1",
        ),
        (
            START + "[listen]\nport = 25\n",
            "line 3: listen: must be a list in brackets, not a table",
        ),
        (
            START + LISTEN + LISTEN.replace("25", "70000"),
            "line 6: listen[2].port: must be 0 to 65535, not 70000",
        ),
        (
            START + "[[listen]]\nprot = 25\n",
            "line 4: listen[1].prot: no such key; allowed are host",
        ),
        (START + LISTEN + "[guard.receive]\n", "line 5: guard: no such key; allowed are hostname"),
        (
            START.replace('queue = "q', 'queue = "postgre://mail:secret@db/q') + LISTEN,
            "line 2: queue: a queue is a file, or a URL that begins with postgresql://",
        ),
        (START + LISTEN + "submission = true\n", "line 5: listen[1].submission: needs users"),
        (START + LISTEN + "implicit_tls = true\n", "line 5: listen[1].implicit_tls: needs a cert"),
        (START + LISTEN + "require_tls = true\n", "line 5: listen[1].require_tls: needs a certif"),
        (START + LISTEN + "[dns]\nport = 0\n", "line 5: dns: port must be 1 to 65535, not 0"),
        (START + LISTEN + "hots = 'x'\n", "line 5: listen[1].hots: no such key; allowed are host"),
        (
            START + "a = 1\n" + LISTEN,
            "line 3: a: no such key; allowed are hostname, queue, storage, listen",
        ),
        (START + 'postmaster = "x"\n' + LISTEN, "line 3: postmaster: "),
        (START + 'relay_from = "192.0.2.1/24"\n' + LISTEN, "line 3: relay_from: "),
        (START + 'relay_for = ["*"]\n' + LISTEN, "line 3: relay_for: relay_for cannot have"),
        (
            START + 'relay_for = ["gate.test"]\n' + LISTEN + '[routes]\n"gate.tset" = "direct"\n',
            "line 3: relay_for has 'gate.test', which has no route; add it to routes",
        ),
        (START + "relay_for = [1]\n" + LISTEN, "line 3: relay_for: must be a list of texts in"),
        (START + LISTEN + '[itself]\naddresses = ["x"]\n', "line 6: itself.addresses: "),
        (START + LISTEN + '[itself]\nnames = ["a b"]\n', "line 6: itself.names: "),
        (START + LISTEN + "[itself]\nloopback = 1\n", "line 6: itself.loopback: must be "),
        (START + "max_hops = 0\n" + LISTEN, "line 3: max_hops: "),
        ('hostname = "a b"\nqueue = "q"\n' + LISTEN, "line 1: hostname: "),
        (START + LISTEN + '[routes]\n"*" = "mx"\n', 'line 6: routes."*": must be "direct", or a'),
        (
            START + LISTEN + '[routes]\n"*" = { direct = true, tls = "never" }\n',
            "line 6: routes.\"*\": not a value of tls: 'never'; use one of none, ",
        ),
        (
            START + LISTEN + '[routes]\n"*" = { smart_host = "x", ca = "nothing.pem" }\n',
            'line 6: routes."*": cannot read CA certificates from ',
        ),
        (
            START + LISTEN + "[retry]\nsteps = [nan]\n",
            "line 5: retry: steps must have at least one wait",
        ),
        (START + LISTEN + "[routes]\n'*' = { }\n", 'line 6: routes."*": a route has one of direct'),
        (
            START + LISTEN + '[routes]\n"*" = { maildri = "x" }\n',
            'line 6: routes."*": a route has one of direct = true, smart_host, maildir, mbox, '
            "pipe or lmtp = ...; did you mean maildir?",
        ),
        (
            START + LISTEN + '[routes]\n"*" = { direct = true, maildir = "x" }\n',
            'line 6: routes."*": a route has one of direct',
        ),
        (
            START + LISTEN + '[routes."*"]\nsmart_host = "x"\ntsl = "none"\n',
            'line 7: routes."*".tsl: no such key; allowed are direct, smart_host, maildir, mbox, ',
        ),
        (
            START + LISTEN + '[routes]\n"a.test" = "direct"\n"A.test" = "direct"\n',
            "line 5: routes: the routes 'a.test' and 'A.test' are for the same mail; keep one",
        ),
        (
            START + LISTEN + '[routes]\n"a b" = "direct"\n',
            'line 6: routes."a b": ',
        ),
        (
            START + LISTEN + '[routes]\n"*" = { maildir = "x/{usr}" }\n',
            'line 6: routes."*": \'',
        ),
        (
            START + LISTEN + '[routes]\n"*" = { maildir = "x", quota = 0 }\n',
            "line 6: routes.\"*\": 'octets' must be >= 1: 0",
        ),
        (
            START + LISTEN + '[routes]\n"*" = { pipe = "x", quota = 1 }\n',
            'line 6: routes."*".quota: no such key; allowed are direct, smart_host, mai',
        ),
        (
            START + LISTEN + '[routes]\n"*" = { pipe = "x", timeout = 301 }\n',
            'line 6: routes."*": timeout must be at most 300 seconds, not 301',
        ),
        (
            START + LISTEN + '[routes]\n"*" = { smart_host = "x", user = "ann" }\n',
            'line 6: routes."*": a login needs both: user and password_file',
        ),
        (
            START + LISTEN + '[routes]\n"*" = { smart_host = "x", verify = "all" }\n',
            'line 6: routes."*".verify: must be "name" or "none"; for a CA of your own, omit it',
        ),
        (START + LISTEN + "[retry]\nsteps = [5, 1]\n", "line 5: retry: steps must not become"),
        (START + LISTEN + "[retry]\nsteps = ['a']\n", "line 6: retry.steps: must be a list of num"),
        (START + LISTEN + "[retry]\nstep = [1]\n", "line 6: retry.step: no such key; allowed are"),
        (START + LISTEN + "[limits]\nactive = 0\n", "line 5: limits: "),
        (START + LISTEN + "[reports]\nreturned = 'all'\n", "line 6: reports.returned: must be "),
        (START + LISTEN + "[reports]\nname = 'a\\nb'\n", "line 5: reports: name must be "),
        (START + LISTEN + "[dns.cache]\nanswers = 0\n", "line 5: dns.cache: "),
        (START + LISTEN + "[storage]\nrow = -1\n", "line 5: storage: "),
        (START + LISTEN + "[dns]\nnameservers = ['x']\n", "line 6: dns.nameservers: "),
        (START + LISTEN + "certificate = 'none.pem'\n", "line 5: listen[1].certificate: cannot"),
        (START + LISTEN + "key = 'none.pem'\n", "line 5: listen[1].key: needs a certificate"),
        (START + LISTEN + "users = 'none'\n", "line 5: listen[1].users: "),
        (START + LISTEN + "max_size = -1\n", "line 5: listen[1].max_size: "),
    ],
)
def test_an_error_names_the_line_the_key_and_what_is_allowed(
    tmp_path: Path, text: str, error: str
) -> None:
    assert refusal(tmp_path, text).startswith(error)


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
@pytest.mark.parametrize("place", ["file/{user}", "file/{domain}/box-{user}", "file/all"])
def test_a_file_where_mailboxes_need_a_directory_is_an_error(
    kind: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    text = f'{START}{LISTEN}[routes]\n"a.test" = {{ {kind} = "{place}" }}\n'
    wrong = f'routes."a.test".{kind}: {tmp_path}/file is a file, not a directory'
    assert refusal(tmp_path, text).endswith(wrong)


def test_an_unknown_key_is_compared_with_those_that_are_allowed(tmp_path: Path) -> None:
    assert refusal(tmp_path, START + LISTEN + "hots = 'x'\n").endswith("; did you mean host?")
    assert "did you mean" not in refusal(tmp_path, START + LISTEN + "xyz = 'x'\n")
    for key, near in [("alises", "aliases"), ("srss", "srs"), ("statu", "status")]:
        error = refusal(tmp_path, f"{START}{LISTEN}[{key}]\n")
        assert error.endswith(f"; did you mean {near}?")
        assert error.count(f" {near},") == 1


ALIASES = """
[aliases]
"Info@example.org" = ["ann@example.org", "bob@example.net"]
"@example.com" = "@example.org"
postmaster = "ann@example.org"
"nobody@example.org" = []
separator = "-"
[srs]
domain = "example.org"
secrets_file = "srs.secrets"
max_age = 7
"""


def test_aliases_and_srs_are_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "srs.secrets").write_text("new\n\nold\n")
    path = tmp_path / "mail.toml"
    path.write_text(START + LISTEN + ALIASES)
    config = read_configuration(path).mta._config
    assert config.srs == SRS("example.org", secrets=["new", "old"], max_age=7)
    assert config.aliases == Aliases(
        {
            "info@example.org": ["ann@example.org", "bob@example.net"],
            "@example.com": "@example.org",
            "postmaster": "ann@example.org",
            "nobody@example.org": [],
        },
        separator="-",
    )
    assert config.aliases.domains == {"example.org", "example.com"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[aliases]\n"info" = "ann@x.test"\n', "line 6: aliases.info: not an alias: 'info'"),
        (
            '[aliases]\n"a@x.test" = "ann"\n',
            "line 6: aliases.\"a@x.test\": not an address: 'ann'",
        ),
        ('[aliases]\n"a@x.test" = 7\n', 'line 6: aliases."a@x.test": must be a list in br'),
        ("[srs]\n", "line 5: srs: domain is missing"),
        ('[srs]\ndomain = "x.test"\n', "line 5: srs: secrets_file is missing"),
        (
            '[srs]\ndomain = "x.test"\nsecrets_file = "none"\n',
            "line 7: srs.secrets_file: ",
        ),
        (
            '[srs]\ndomain = "x.test"\nsecrets_file = "empty"\n',
            "line 7: srs.secrets_file: must have a secret",
        ),
        (
            '[srs]\ndomain = "x.test"\nsecrets_file = "secrets"\nmax_age = 0\n',
            "line 5: srs: 'max_age' must be",
        ),
    ],
)
def test_wrong_aliases_and_secrets_are_refused(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "secrets").write_text("tops3cr3t")
    (tmp_path / "empty").write_text("\n")
    said = refusal(tmp_path, START + LISTEN + text)
    assert said.startswith(error) and "tops3cr3t" not in said


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mail.toml").write_bytes(b"hostname = '\xff'\n")
    with pytest.raises(ConfigError, match=r"mail\.toml: .*utf-8"):
        read_toml(tmp_path / "mail.toml")


def test_the_values_reach_the_mta(tmp_path: Path) -> None:
    path = tmp_path / "mail.toml"
    (tmp_path / "secret").write_text("open sesame\n")
    path.write_text(
        START
        + "grace = 5\n"
        + LISTEN
        + """max_size = 100000
[routes]
"example.org" = { maildir = "mail/{user}" }
"example.com" = { direct = true, port = 2525, tls = "required" }
"*" = { smart_host = ["a.test", "b.test"], port = 587, user = "ann", password_file = "secret" }
[by_sender."ann@example.org"]
smart_host = "c.test"
[retry]
steps = [1, 2.5]
[storage]
reserve = 1
[reports]
returned = "HDRS"
max_returned = 100
[dns]
cache = { failure = 5 }
nameservers = ["127.0.0.1"]
[itself]
names = "mail.example.org"
addresses = ["192.0.2.7"]
loopback = false
"""
    )
    found = read_configuration(path)
    config = found.mta._config
    local, direct, smart = config.routes.values()
    assert isinstance(local, Local) and isinstance(smart, SmartHost)
    assert isinstance(direct, Direct) and direct.port == 2525
    assert (direct.options["tls"], smart.hosts) == ("required", ("a.test", "b.test"))
    assert smart.options["login"].username == "ann"
    assert list(config.by_sender) == ["ann@example.org"]
    assert (config.grace, config.retry) == (5, RetrySchedule(steps=(1, 2.5)))
    assert config.reports == ReportOptions(returned=Ret.HDRS, max_returned=100)
    assert config.dns_cache == DNSCacheLimits(failure=5)
    queue: Any = found.mta._queue
    assert queue._limits == QueueLimits(reserve=1)
    assert isinstance(config.resolver, DNSResolver)
    names = ["mx.example.org", "mail.example.org"]
    assert config.itself == Self(names=names, addresses=["192.0.2.7"], loopback=False)
    [listener] = found.listeners
    assert (listener.host, listener.port) == ("127.0.0.1", 25)
    assert listener.options["limits"].message_size == 100000


def test_there_is_a_route_for_each_kind_of_delivery(tmp_path: Path) -> None:
    path = tmp_path / "mail.toml"
    path.write_text(
        START
        + LISTEN
        + """[routes]
"a.test" = { maildir = "mail/{user}", folders = true, quota = 1_000_000, separator = "-" }
"b.test" = { mbox = "mail/{user}.mbox", lock_timeout = 5 }
"c.test" = { pipe = ["/usr/bin/procmail", "-d", "{user}"], timeout = 10, crlf = true }
"d.test" = { lmtp = "/run/dovecot/lmtp" }
"e.test" = { lmtp = "lmtp.e.test" }
"""
    )
    maildir, mbox, pipe, *lmtp = read_configuration(path).mta._config.routes.values()
    for local, kind in ((maildir, Maildir), (mbox, Mbox), (pipe, Pipe)):
        assert isinstance(local, Local)
        assert isinstance(local.deliver, kind)
    assert isinstance(maildir, Local) and maildir.knows == maildir.deliver.knows  # type: ignore[attr-defined]
    assert lmtp == [
        SmartHost(host, final=True, lmtp=True) for host in ("/run/dovecot/lmtp", "lmtp.e.test")
    ]


def test_the_users_of_a_host_with_the_mailboxes_can_be_listed(tmp_path: Path) -> None:
    path = tmp_path / "mail.toml"
    route = '[routes]\n"d.test" = { lmtp = "/run/dovecot/lmtp", users = ["Ann"] }\n'
    path.write_text(START + LISTEN + route)
    [host] = read_configuration(path).mta._config.routes.values()
    assert isinstance(host, SmartHost) and host.knows is not None
    known = [it for it in ("ann", "ANN+x", "bob") if host.knows(ForwardPath.of(f"{it}@d.test"))]
    assert known == ["ann", "ANN+x"]
    assert "users" in refusal(tmp_path, START + LISTEN + route.replace("lmtp =", "smart_host ="))


def test_without_routes_all_mail_goes_by_mx(tmp_path: Path) -> None:
    path = tmp_path / "mail.toml"
    path.write_text(START + LISTEN + '[dns]\nnameservers = "127.0.0.1"\n')
    assert list(read_configuration(path).mta._config.routes) == ["*"]


def issue_certificate(path: Path) -> None:
    issued = trustme.CA().issue_cert("mx.example.org")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))


def test_logins_need_a_certificate(tmp_path: Path) -> None:
    key = ScramKeys.derive("secret", salt=b"x" * 16, iterations=4096)
    (tmp_path / "users").write_text(f"ann:{key}\n")
    text = START + LISTEN + "submission = true\nusers = 'users'\n"
    assert refusal(tmp_path, text) == "line 6: listen[1].users: needs a certificate"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (START.replace("mx.", "mail.") + LISTEN, "hostname"),
        (START.replace("q.db", "q2.db") + LISTEN, "queue"),
        (START + LISTEN + "[storage]\nreserve = 1\n", "storage"),
        (START + LISTEN.replace("25", "26"), "listen"),
        (START + LISTEN + "certificate = 'mx.pem'\nusers = 'users'\n", "listen, the users"),
    ],
)
def test_what_cannot_change_while_the_mta_runs_is_named(
    tmp_path: Path, text: str, name: str
) -> None:
    key = ScramKeys.derive("secret", salt=b"x" * 16, iterations=4096)
    (tmp_path / "users").write_text(f"ann:{key}\n")
    issue_certificate(tmp_path / "mx.pem")
    path = tmp_path / "mail.toml"
    path.write_text(START + LISTEN)
    running = read_configuration(path)
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{name}: it changes only when"):
        running.renew(read_configuration(path))


def test_a_renewed_certificate_is_that_of_the_next_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MTA, "reload", lambda *_: None)
    issue_certificate(tmp_path / "mx.pem")
    path = tmp_path / "mail.toml"
    path.write_text(START + LISTEN + "certificate = 'mx.pem'\n")
    running, new = read_configuration(path), read_configuration(path)
    in_use: Any = running.listeners[0].options["context"]
    before = in_use()
    running.renew(new)
    assert before is not in_use() is new.listeners[0].certificate.context  # type: ignore[union-attr]


@given(st.text(st.sampled_from("ab=[]\"'\n .{}1#\\,é"), max_size=60))
def test_any_text_is_a_table_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text)
    try:
        table = read_toml(path)
        assert isinstance(table, Table)
        table.end()
    except ConfigError as error:
        assert str(error).startswith(str(path))


def write_key(directory: Path) -> None:
    key = PrivateKey.generate(Algorithm.ED25519_SHA256)
    (directory / "dkim.pem").write_bytes(key.pem())
    (directory / "locked.pem").write_bytes(key.pem("word"))


def configured(tmp_path: Path, text: str) -> Any:
    """Return the options of the MTA that *text* configures."""
    write_key(tmp_path)
    (tmp_path / "mail.toml").write_text(START + LISTEN + text)
    return read_configuration(tmp_path / "mail.toml").mta._config


def test_the_wishes_of_domains_for_tls_count_if_the_file_says_so(tmp_path: Path) -> None:
    def found(names: str) -> TLSPolicies:
        path = tmp_path / "mail.toml"
        path.write_text(f"{START}tls_policies = [{names}]\n{LISTEN}")
        return read_configuration(path).mta._config.tls_policies

    assert configured(tmp_path, "").tls_policies == found("") == TLSPolicies()
    kept = SQLitePolicies(tmp_path / "q.db.mta-sts")
    assert found('"mta-sts"') == TLSPolicies(mta_sts=HTTPSFetch(), mta_sts_store=kept)
    assert type(found('"dane"').dane) is CryptographyCertificates
    text = START + 'tls_policies = ["dnssec"]\n' + LISTEN
    assert refusal(tmp_path, text).startswith("line 3: tls_policies: must be a list of")


REPORTS = '[daily_reports]\norganization = "Example"\ncontact = "dmarc@example.org"\n'
SIGN = '[[sign]]\ndomain = "example.org"\nselector = "s1"\nkey = "dkim.pem"\n'


def test_messages_are_checked_and_signed_as_the_file_says(tmp_path: Path) -> None:
    default = configured(tmp_path, "")
    assert (default.inspect, default.sign, default.seal) == (None, None, None)
    inspect = configured(tmp_path, "[inspect]\n").inspect
    assert (inspect.refuse_dmarc, inspect.refuse_spf) == (False, False)
    names = ["refuse_dmarc", "refuse_spf", "defer", "received_spf", "logins"]
    flags = "".join(f"{it} = true\n" for it in names)
    options = f"authserv_id = 'example.org'\ntimeout = 7\ntrusted_sealers = 'a.test'\n{flags}"
    inspect = configured(tmp_path, f"[inspect]\n{options}\n").inspect
    assert all(getattr(inspect, it) for it in names)
    assert (inspect.authserv_id, inspect.timeout) == ("example.org", 7.0)
    assert inspect.trusted_sealers == {"a.test"}
    first, second = configured(tmp_path, SIGN + SIGN.replace("s1", "s2")).sign.keys
    assert (first.domain, first.selector, second.selector) == ("example.org", "s1", "s2")
    [key] = configured(tmp_path, SIGN + "identity = '@mail.example.org'\n").sign.keys
    assert key.identity == "@mail.example.org"
    (tmp_path / "secret").write_text("word\n")
    encrypted = PrivateKey.generate(Algorithm.ED25519_SHA256).pem(password="word")
    (tmp_path / "encrypted.pem").write_bytes(encrypted)
    text = SIGN.replace("dkim.pem", "encrypted.pem")
    assert configured(tmp_path, text + "password_file = 'secret'\n").sign.keys
    seal = configured(tmp_path, "[inspect]\n" + SIGN.replace("[[sign]]", "[seal]")).seal
    assert (seal.key.domain, seal.key.selector) == ("example.org", "s1")


def test_public_suffixes_find_organizations_if_the_file_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured(tmp_path, "[inspect]\n").inspect.organizational_domain is None
    text = "[inspect]\npublic_suffixes = true\n"
    find = configured(tmp_path, text).inspect.organizational_domain
    assert find("a.b.example.co.uk") == "example.co.uk"
    monkeypatch.setitem(sys.modules, "smtpproto.adapters.publicsuffixlist", None)
    assert "line 6: inspect.public_suffixes: " in refusal(tmp_path, START + LISTEN + text)


def test_a_listener_may_sign_what_programs_send_without_a_login(tmp_path: Path) -> None:
    intake: Any = SimpleNamespace(relaying=Relaying(relay_from=["192.0.2.0/24"]))
    path = tmp_path / "mail.toml"
    write_key(tmp_path)
    path.write_text(START + LISTEN + LISTEN + "sign = true\n" + SIGN)
    for address, expected in (("192.0.2.7", [False, True]), ("198.51.100.1", [False, False])):
        session: Any = SimpleNamespace(identity=None, user=None, peer=(address, 1))
        listeners = read_configuration(path).listeners
        assert [it.receiver(intake).signs_for(session) for it in listeners] == expected
    text = START + LISTEN + "sign = true\n"
    assert "listen: sign = true needs a key in [[sign]]" in refusal(tmp_path, text)


def test_reports_are_sent_as_the_file_says(tmp_path: Path) -> None:
    assert configured(tmp_path, "").daily_reports is None
    expected = DailyReports("Example", "dmarc@example.org", post=HTTPSFetch())
    assert configured(tmp_path, SIGN + REPORTS).daily_reports == expected
    text = SIGN + REPORTS + "tls = false\ndmarc = false\nhourly = 7\nrows = 8\noctets = 9\n"
    expected = evolve(expected, tls=False, dmarc=False, hourly=7, rows=8, octets=9)
    assert configured(tmp_path, text).daily_reports == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[inspect]\nrefuse = true\n", "inspect.refuse: no such key; allowed are trusted_sealers"),
        ("[inspect]\ntimeout = 0\n", "'timeout' must be > 0"),
        ("[inspect]\ntrusted_sealers = 1\n", "inspect.trusted_sealers: must be a list"),
        (SIGN.replace("[[sign]]", "[seal]"), "seal: needs [inspect]"),
        (SIGN.replace("key =", "kye ="), "sign[1].kye: no such key"),
        (SIGN.partition("key")[0], "sign[1]: key is missing; it is the path of a private key"),
        (SIGN.replace("dkim.pem", "absent.pem"), "sign[1].key: "),
        (SIGN.replace("dkim.pem", "mail.toml"), "sign[1].key: not a private key in PEM or DER"),
        (SIGN.replace("dkim.pem", "locked.pem"), "give its password; see password_file"),
        (SIGN + 'password_file = "mail.toml"\n', "give no password; see password_file"),
        (
            SIGN.replace("dkim.pem", "locked.pem") + 'password_file = "mail.toml"\n',
            "PEM or DER with this password; see password_file",
        ),
        (REPORTS.replace('contact = "dmarc@example.org"', ""), "daily_reports: contact is missing"),
        (REPORTS.replace("dmarc@", ""), "daily_reports: "),
        ("[[filter]]\n", "filter[1]: a filter has one of milter = ... and spamd = ..."),
        ('[[filter]]\nmilter = "/x"\nspamd = "/y"\n', "filter[1]: a filter has one of"),
        ('[[filter]]\nmilter = "x:y"\n', "filter[1]: not the address of a filter: 'x:y'"),
        ('[[filter]]\nmilter = "/x"\nrefuse_at = 5\n', "filter[1].refuse_at: no such key"),
        (
            '[[filter]]\nspamd = "/x"\non_failure = "drop"\n',
            'filter[1]: on_failure must be "defer" or "accept"',
        ),
        (REPORTS + "hourly = 0\n", "daily_reports: 'hourly' must be >= 1"),
        (REPORTS, "line 5: daily_reports must be signed: sign needs a key for 'example.org'"),
        (SIGN.replace("example.org", "org"), "sign[1]: a domain that signs has two labels"),
    ],
)
def test_wrong_checks_and_keys_are_refused(tmp_path: Path, text: str, error: str) -> None:
    write_key(tmp_path)
    assert error in refusal(tmp_path, START + LISTEN + text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('connections = "many"', "line 6: guards.connections: not a limit: 'many'; write it as"),
        ('exempt = "192.0.2.1/24"', "line 6: guards.exempt: 192.0.2.1/24 has host bits set"),
        ("greylist = { window = 1 }", "line 6: guards.greylist: window must be longer than delay"),
        ("receive = { network = 7 }", "line 6: guards.receive.network: must be a text in quotes"),
        ("send = { domain = '1/h' }", "line 6: guards.send.domain: no such key; allowed are dest"),
        ('send = { user = { "*" = "x" } }', "line 6: guards.send.user: not a limit: 'x'"),
        ("lists = [{ weight = 1 }]", "line 6: guards.lists[1]: zone is missing"),
        ("lists = [{ zone = 'a b' }]", "line 6: guards.lists[1].zone: "),
        ("lists = [{ zone = 'a', codes = '1.2.3' }]", "line 6: guards.lists[1].codes: Expected 4"),
        ("prefixes = [33, 48]", "line 5: guards: prefixes must be 0 to 32, and 0 to 128 bits"),
        ("graylist = {}", "line 6: guards.graylist: no such key; allowed are connections, exempt"),
    ],
)
def test_an_error_in_guards_names_the_limit_or_the_list(
    tmp_path: Path, text: str, error: str
) -> None:
    assert refusal(tmp_path, f"{START}{LISTEN}[guards]\n{text}\n").startswith(error)
