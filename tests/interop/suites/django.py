"""Runs Django's tests of mail, in the current directory, with our server in place of aiosmtpd's."""

from __future__ import annotations

import runpy
import sys

import aiosmtpd.controller

from tests.interop.suites.controller import Controller

if __name__ == "__main__":
    vars(aiosmtpd.controller)["Controller"] = Controller
    sys.argv[0] = "runtests.py"
    sys.path.insert(0, "")
    runpy.run_path("runtests.py", run_name="__main__")
