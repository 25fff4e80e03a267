"""A large message needs less memory than its size on both sides, with each adapter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("big_message.py")
MEMORY_LIMIT = 8 * 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("mib", [16, pytest.param(100, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("client", "server"),
    [("asyncio", "asyncio"), ("trio", "trio"), ("blocking", "blocking"), ("asyncio", "blocking")],
)
def test_a_large_message_takes_less_memory_than_its_size_on_both_sides(
    client: str, server: str, mib: int
) -> None:
    with subprocess.Popen(
        [sys.executable, PROGRAM, server, "serve"], stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        try:
            port = serving.stdout.readline().strip()
            sending = subprocess.run(
                [sys.executable, PROGRAM, client, "send", port, str(mib)],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert sending.returncode == 0, sending.stderr
            grown, _ = serving.communicate(timeout=60)
        finally:
            serving.kill()
    assert int(sending.stdout) < MEMORY_LIMIT
    assert int(grown) < MEMORY_LIMIT
