"""Arguments, and the report of a run."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trustme

from .agents import POSTFIX
from .contenders import CLIENTS, CORES, ROOT, SERVERS
from .processes import OTHERS, raise_file_limit
from .report import absences
from .running import Plan, Runner
from .sections import Section, Suite

DOCS = ROOT / "docs" / "reference"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the CPU time that our adapters, floors and peers need.",
        epilog="Progress goes to standard error, the report to standard output.",
    )
    parser.add_argument("--loads", type=names, help="only these: S1 C2 S5 growth P1 import ...")
    parser.add_argument("--contenders", type=names, help="only these: asyncio aiosmtpd ...")
    parser.add_argument("--rounds", type=int, default=5, help="of each load; the default is 5")
    parser.add_argument("--seconds", type=float, default=0.4, help="of one measurement, about")
    parser.add_argument(
        "--smoke", action="store_true", help="try everything, as little as possible"
    )
    parser.add_argument(
        "--tree", type=tree, action="append", default=[], metavar="NAME=PATH",
        help="measure our contenders also with the library in another directory",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write the report to the docs as well")
    return parser.parse_args()


def names(text: str) -> list[str]:
    return text.split(",")


def tree(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    return name, Path(path).resolve(strict=True)


def make_certificate(directory: Path) -> tuple[Path, dict[str, str]]:
    """Return a certificate for localhost, and the variables that make clients trust it.

    They trust the certificates of the system too, because loading them is a part of the cost.
    """
    authority = trustme.CA()
    server, trusted, ca = (directory / name for name in ("server.pem", "trusted.pem", "ca.pem"))
    leaf = authority.issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(server))
    authority.cert_pem.write_to_path(str(ca))
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    trusted.write_bytes((system.read_bytes() if system.exists() else b"") + ca.read_bytes())
    variables = {
        "SSL_CERT_FILE": str(trusted),
        "SSL_CERT_DIR": str(directory / "none"),
        "NODE_EXTRA_CA_CERTS": str(ca),
    }
    return server, variables


def machine(options: argparse.Namespace, load: float) -> str:
    """Return a sentence about the machine and the run."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{python} on {platform.machine()}, {os.cpu_count()} processors; load average {load:.1f} at"
        f" the start; {options.rounds} rounds, {options.seconds:g} s a measurement."
    )


def versions() -> str:
    """Return the versions of the peers that are installed."""
    found = {
        one.peer: version
        for one in [*SERVERS, *CLIENTS, *CORES]
        if one.peer and not one.missing() and (version := version_of(one.python(), one.peer))
    }
    return ", ".join(f"{peer} {version}" for peer, version in found.items())


def version_of(python: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def report(head: str, sections: Sequence[Section]) -> str:
    figures = [one for section in sections for one in section.figures]
    left_out = f"## Left out\n\n{absences(figures) or 'Nothing.'}\n"
    return "\n".join([head, *map(str, sections), left_out])


HEAD = """\
# Performance figures

Written by `nox -s bench`: see [performance.md](../explanation/performance.md), also for
what the figures can and cannot say. "CPU" is CPU time. "Against the floor" is the CPU time as a
multiple of what a program needs that only moves octets; "times aiosmtpd" is how much
more a contender does in the same CPU time. After ± is half of the range of all rounds.
"""


def main() -> None:
    options = arguments()
    load = os.getloadavg()[0]
    if options.smoke:
        options.rounds, options.seconds = 1, 0.0
    raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and end all processes
    os.sched_setaffinity(0, OTHERS)
    with tempfile.TemporaryDirectory() as directory:
        plan = Plan(options.rounds, options.seconds, *make_certificate(Path(directory)))
        with Runner(plan) as runner:
            suite = Suite(
                runner, options.loads, options.contenders, options.tree, smoke=options.smoke
            )
            sections = list(suite.sections())
    head = "\n".join([HEAD, machine(options, load), f"Peers: {versions()}.", ""])
    print(report(head, sections))
    if options.write:
        write(head, sections)
    if failed := failures(sections):
        sys.exit(f"failed: {', '.join(failed)}")


def failures(sections: Sequence[Section]) -> list[str]:
    """Return where programs of this project failed; a peer may."""
    peers = {POSTFIX, *(one.name for one in [*SERVERS, *CLIENTS, *CORES] if one.is_peer)}
    return [
        f"{name} in {figures.load} ({figures.absent[name]})"
        for section in sections
        for figures in section.figures
        for name in figures.failed
        if name not in peers
    ]


def write(head: str, sections: Sequence[Section]) -> None:
    """Write the report and its charts to docs/reference/."""
    for section in sections:
        if section.drawing:
            name = f"performance-{section.title.lower()}.svg"
            (DOCS / name).write_text(section.drawing)
            head += f"\n![{section.title}]({name})\n"
    (DOCS / "performance-figures.md").write_text(report(head, sections))
    print("written: docs/reference/performance-figures.md", file=sys.stderr)


if __name__ == "__main__":
    main()
