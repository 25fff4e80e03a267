"""Arguments, the order of a run, and its report."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trustme

from .contenders import CLIENTS, SERVERS, Contender
from .loads import Load, client_loads, server_loads
from .measuring import Figures
from .processes import raise_file_limit
from .report import absences, against, cost, table, times
from .running import Plan, Runner


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ", ".join(load.name for load in [*server_loads(20), *client_loads(20)])
    parser.add_argument("--loads", metavar="A,B", help=f"only these: {names}")
    parser.add_argument("--contenders", metavar="A,B", help="only these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="of one measurement, about")
    parser.add_argument(
        "--tree", action="append", default=[], metavar="NAME=PATH",
        help="measure our contenders also with the library of another tree",
    )  # fmt: skip
    parser.add_argument("--smoke", action="store_true", help="one round, with the least counts")
    parsed = parser.parse_args()
    if parsed.smoke:
        parsed.rounds, parsed.seconds = 1, 0.0
    return parsed


def make_certificate(directory: Path) -> tuple[Path, dict[str, str]]:
    """Return a certificate for localhost, and the variables that make clients trust it.

    The certificates of the system are trusted too, because loading them is a part of the cost.
    """
    authority = trustme.CA()
    server, trusted = directory / "server.pem", directory / "trusted.pem"
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(server))
    known = Path("/etc/ssl/certs/ca-certificates.crt")
    trusted.write_bytes(
        (known.read_bytes() if known.exists() else b"") + authority.cert_pem.bytes()
    )
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    variables = {
        "SSL_CERT_FILE": str(trusted),
        "SSL_CERT_DIR": str(directory / "none"),
        "NODE_EXTRA_CA_CERTS": str(directory / "ca.pem"),
    }
    return server, variables


def chosen(contenders: Sequence[Contender], options: argparse.Namespace) -> list[Contender]:
    """Return the contenders to measure: those named, and ours of other trees."""
    names = options.contenders and options.contenders.split(",")
    kept = [contender for contender in contenders if not names or contender.name in names]
    trees = [tree.split("=", 1) for tree in options.tree]
    ours = [contender for contender in kept if contender.program.startswith("our_")]
    others = [one.of_tree(label, Path(path).resolve()) for label, path in trees for one in ours]
    return [*kept, *others]


def measured(
    runner: Runner, loads: Sequence[Load], contenders: Sequence[Contender], names: str | None
) -> list[Figures]:
    figures = []
    for load in loads:
        if not names or load.name in names.split(","):
            print(f"{load.name}: {load.title}", file=sys.stderr)
            figures.append(runner.run(load, contenders))
    return figures


def main() -> None:
    options = arguments()
    raise_file_limit()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    big = 1 if options.smoke else 20  # MiB
    with tempfile.TemporaryDirectory() as directory:
        plan = Plan(options.rounds, options.seconds, *make_certificate(Path(directory)))
        with Runner(plan) as runner:
            servers = measured(runner, server_loads(big), chosen(SERVERS, options), options.loads)
            clients = measured(runner, client_loads(big), chosen(CLIENTS, options), options.loads)
    if servers:
        print(table("us of CPU", servers, cost), "\n")
        print(table("cost, floor-shared = 1", servers, against("floor-shared")), "\n")
        print(table("times aiosmtpd", servers, times("aiosmtpd")), "\n")
    if clients:
        print(table("us of CPU", clients, cost), "\n")
        print(table("cost, floor-sync = 1", clients, against("floor-sync")), "\n")
        print(table("times smtplib", clients, times("smtplib")), "\n")
        print(table("times aiosmtplib", clients, times("aiosmtplib")), "\n")
    print("Left out:\n" + absences([*servers, *clients]))


if __name__ == "__main__":
    main()
