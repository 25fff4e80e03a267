"""The CPU time of imports, with compiled bytecode, without the start of Python itself."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence

from .contenders import Contender
from .measuring import Figures
from .processes import TESTED, WORKING, BenchError, NotHere, pinned
from .running import Absent

MODULES = [
    Contender("attrs", "attrs"),
    *[
        Contender(name, "our_import", needs)
        for name, needs in [
            ("smtpproto", ()),
            ("smtpproto.adapters.blocking", ()),
            ("smtpproto.adapters.asyncio", ()),
            ("smtpproto.adapters.trio", ("trio",)),
        ]
    ],
    Contender("smtplib", "smtplib"),
    Contender("aiosmtplib", "aiosmtplib", ("aiosmtplib",), "aiosmtplib"),
    Contender("aiosmtpd.smtp", "aiosmtpd", ("aiosmtpd",), "aiosmtpd"),
]
TITLE = "import, in a new process"


def run(modules: Sequence[Contender], rounds: int) -> Figures:
    """Measure what it costs to import each of *modules*, after a first time that compiles them."""
    absent = Absent()
    costs: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        empty = _cpu_of("pass", modules[0])
        for module in modules:
            with absent.noting(module.title):
                if reason := module.missing():
                    raise NotHere(reason)
                cost = _cpu_of(f"import {module.name}", module) - empty
                if number:
                    costs.setdefault(module.title, []).append(cost)
    return Figures("import", TITLE, "ms of CPU", 1e3, costs, absent, absent.failed)


def _cpu_of(code: str, module: Contender) -> float:
    environment: Mapping[str, str] = {**os.environ, **module.environment()}
    before = _children()
    with pinned(TESTED):
        done = subprocess.run(
            [module.python(), "-P", "-c", code],
            env=environment,
            capture_output=True,
            timeout=WORKING,
            check=False,
        )
    if done.returncode:
        raise BenchError(done.stderr.decode().strip().rpartition("\n")[2])
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
