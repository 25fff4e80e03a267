"""docs/tutorials/mail-server.md, followed from its first command to its last.

It is followed in a namespace with a network, users, a resolver and /srv of its own, so that paths
and ports are those of the page.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.programs import (
    TIMEOUT,
    configuration,
    find_program,
    require_mounts,
    require_root,
    running,
    shared_directory,
    wait_for_log,
    wait_until,
)
from tests.interop.test_mta_session import without_varying

pytest.importorskip("dns")
pytest.importorskip("cryptography")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tutorials/mail-server.md").read_text()

_ID = r"\b01[0-9a-z]{24}\b"
_BLOCK = r"^```(\w+)\n([\s\S]*?)^```|((?:^    .*\n)+)"
_INSTALLS = {"apt-get", "useradd", "python3", "/srv/mail/venv/bin/pip", "ln", "certbot"}
"""Commands that are not run."""
_LOOKS = ("head", "grep", "curl", "smtpproto queue")
"""Commands that change nothing, and are repeated until they print what the page says."""

_BOOT = """
ip link set lo up
ip address add 198.51.100.1/32 dev lo
mount -t tmpfs tmpfs /srv
mount -t tmpfs tmpfs /etc/dovecot
for name in passwd group resolv.conf; do mount --bind "$1/$name" "/etc/$name"; done
mkdir -p /srv/mail/venv/bin
install "$1/smtpproto" /srv/mail/venv/bin
chown vmail: /srv/mail
echo up
exec cat
"""
_PROGRAM = '#!/bin/sh\nPYTHONPATH={} exec {} -m smtpproto "$@"\n'
_SOA = "$TTL 60\n@ SOA ns hostmaster 1 60 60 3600 60\n@ NS ns\nns A 127.0.0.1\n"
_ZONES = {
    "test": "",
    "org": "",
    "example.net": '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject"\n',
    "100.51.198.in-addr.arpa": "1 PTR mx.example.org.\n",
}


class Machine:
    """The machine of the page."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        names = ("dovecot", "nsd", "spamd", "swaks", "curl", "ip")
        self.programs = {name: find_program(name) for name in names}
        self.stack, self.directory = stack, directory
        self.server, self.name_server = ExitStack(), ExitStack()
        self.configuration = self.unit = ""
        self._boot()
        stack.enter_context(self.server)
        stack.enter_context(self.name_server)
        self._publish({})

    def _boot(self) -> None:
        """Make the namespace, with the first step done."""
        made = self.directory
        (made / "smtpproto").write_text(_PROGRAM.format(ROOT, sys.executable))
        user = {"passwd": "vmail:x:990:990::/srv/mail:/bin/sh", "group": "vmail:x:990:"}
        for name, line in user.items():
            (made / name).write_text(f"{Path('/etc', name).read_text()}{line}\n")
        (made / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        command: list[str | Path] = ["unshare", "--net", "--mount", "sh", "-euc", _BOOT, "sh", made]
        pipe = subprocess.PIPE
        init = self.stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe))
        assert init.stdout is not None
        assert init.stdout.readline() == b"up\n"
        self.within = ["nsenter", f"--target={init.pid}", "--net", "--mount"]

    def _start(self, stack: ExitStack, name: str, started: str, *command: str | Path) -> Path:
        """Run a server in the namespace; return its log, in which there is *started*."""
        log = self.directory / f"{name}.log"
        log.write_text("")
        stack.enter_context(running(name, [*self.within, *command], log))
        wait_for_log(log, started)
        return log

    def _publish(self, zones: Mapping[str, str]) -> None:
        """Run a name server with *zones*, too."""
        self.name_server.close()
        file = self.directory / "nsd.conf"
        text = configuration(file.name, {"port": 53, "directory": self.directory})
        for name, zone in {**_ZONES, **zones}.items():
            (self.directory / f"{name}.zone").write_text(_SOA + zone)
            text += f"zone:\n  name: {name}\n  zonefile: {name}.zone\n"
        file.write_text(text)
        self._start(self.name_server, "NSD", "started", self.programs["nsd"], "-d", "-c", file)

    def save(self, language: str, text: str) -> None:
        """Save *text* where the page says that files in this *language* are."""
        match language:
            case "toml":
                self.configuration += text
                self.run("cat > mail.toml", self.configuration)
            case "ini":
                self.unit = text
            case "dovecot":
                own = f"base_dir={self.directory}/dovecot\nlog_path=/dev/stderr\n"
                self.run("cat > /etc/dovecot/dovecot.conf", text + own)
            case "zone":
                key = self.run("grep -A 9 ' IN TXT ' s1.txt").partition("\n\n")[0]
                self._publish({"example.org": f"{text}{key}\n"})
            case _:
                raise AssertionError(language)

    def type(self, command: str) -> str:
        """Do what *command* says, and return what it prints."""
        words = shlex.split(command)
        if words[0] in _INSTALLS:
            return ""
        if words[0] != "systemctl":
            return self.run(command)
        match words[-1]:
            case "smtpproto" if words[1] == "reload":
                self._reload()
            case "smtpproto":
                self._restart()
            case "spamd":
                options = ["-L", "-x", "-m", "1", "--min-children=1", "-s", "stderr"]
                options += ["-r", f"{self.directory}/spamd.pid"]
                self._start(self.stack, "spamd", "started on", self.programs["spamd"], *options)
            case "dovecot":
                program = self.programs["dovecot"]
                self._start(self.stack, "Dovecot", "starting up for imap", program, "-F")
            case unknown:
                raise AssertionError(unknown)
        return ""

    def run(self, command: str, given: str = "") -> str:
        """Run *command* in a shell, with *given* as its input; return what it prints."""
        done = subprocess.run(
            [*self.within, "sh", "-c", f"cd /srv/mail; PATH=$PWD/venv/bin:$PATH; {command}"],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.stdout.strip("\n")

    def look(self, command: str, expected: str) -> None:
        """Run *command* until it prints *expected*: deliveries take a moment."""
        wait_until(
            f"{command} prints {expected}",
            lambda: without_varying(self.run(command)) == expected or None,
        )

    def _restart(self) -> None:
        """Run the server as the unit says."""
        self.server.close()
        [command] = re.findall(r"^ExecStart=(.*)$", self.unit, re.MULTILINE)
        may = "+net_bind_service,+dac_read_search"  # the latter for the directory of the tests
        user = f"--reuid=vmail --regid=vmail --clear-groups --inh-caps={may} --ambient-caps={may}"
        shell = f"cd /; echo $$ > {self.directory}/pid; exec setpriv {user} {command}"
        self.log = self._start(self.server, "MTA", "listening on", "sh", "-c", shell)

    def _reload(self) -> None:
        count = self.log.read_text().count("reloaded")
        self.run(f"kill -HUP $(cat {self.directory}/pid)")
        wait_until("reloaded", lambda: self.log.read_text().count("reloaded") > count or None)
        assert "not reloaded" not in self.log.read_text()


def steps() -> Iterator[tuple[str, str]]:
    """Yield each file on the page, as its language and text, and each command, as "$ ..." and
    its output."""
    for language, text, session in re.findall(_BLOCK, PAGE, re.MULTILINE):
        if language:
            yield language, text
        for step in re.split(r"^    \$ ", session, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield f"$ {command}", re.sub("^    ", "", output, flags=re.MULTILINE).strip("\n")


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A new machine."""
    require_root("a namespace")
    require_mounts()
    with shared_directory() as directory, ExitStack() as stack:
        yield Machine(stack, directory)


def test_no_command_searches_for_digits_alone() -> None:
    """Ids and times contain any digits."""
    assert not re.search(r"grep '?\d+'?$", PAGE, re.MULTILINE)


@pytest.mark.peer("dovecot")
@pytest.mark.peer("nsd")
@pytest.mark.peer("spamassassin")
@pytest.mark.peer("swaks")
def test_the_page_leads_to_a_mail_server(machine: Machine) -> None:
    ids = dict[str, str]()  # of this run, by those on the page
    for step, text in steps():
        if not step.startswith("$ "):
            machine.save(step, text)
            continue
        command, expected = step.removeprefix("$ "), without_varying(text)
        for on_page, here in ids.items():
            command = command.replace(on_page, here)
        if command.startswith(_LOOKS):
            machine.look(command, expected)
            continue
        output = machine.type(command)
        assert without_varying(output) == expected, command
        ids.update(zip(re.findall(_ID, text), re.findall(_ID, output), strict=False))
