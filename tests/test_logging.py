"""What the library logs in a program that has not configured logging."""

from __future__ import annotations

import subprocess
import sys


def test_a_program_without_logging_sees_no_warning_on_standard_error() -> None:
    program = "from smtpproto import ClientConfig; ClientConfig(hello='unqualified')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stderr == b""
