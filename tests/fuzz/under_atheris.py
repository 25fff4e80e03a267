"""Runs one target under atheris, until libFuzzer ends the process.

``python -m tests.fuzz.under_atheris TARGET [OPTION OF LIBFUZZER ...]``
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["smtpproto"]):
    from tests.fuzz.targets import TARGETS

atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
