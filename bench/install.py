"""Install the peers, each into an environment of its own: ``python -m bench.install``.

What cannot be installed is named, and bench then leaves it out.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from .contenders import PEERS
from .processes import find

PYTHON = {"aiosmtpd": ["aiosmtpd", "uvloop"], "aiosmtplib": ["aiosmtplib", "uvloop"]}
NODE = ["nodemailer", "smtp-server"]
TIMEOUT = 600  # seconds


def install_python(peer: str, packages: Sequence[str]) -> None:
    """Install *packages* into the environment of *peer*."""
    directory = PEERS / peer
    run(sys.executable, "-m", "venv", str(directory))
    run(str(directory / "bin" / "python"), "-m", "pip", "install", "-q", *packages)


def install_node(packages: Sequence[str]) -> None:
    """Install *packages* from npm."""
    npm = find("npm")
    if npm is None:
        raise OSError("npm is not installed")
    run(npm, "install", "--no-fund", "--no-audit", "--prefix", str(PEERS / "node"), *packages)


def run(*command: str) -> None:
    """Run *command*. Raises OSError with the end of its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-500:]}")


def main() -> None:
    PEERS.mkdir(parents=True, exist_ok=True)
    for peer, packages in PYTHON.items():
        try:
            install_python(peer, packages)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{peer} is left out: {error}", file=sys.stderr)
    try:
        install_node(NODE)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{', '.join(NODE)} are left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
