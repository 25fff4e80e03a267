"""What an import loads: only what most programs that import it need."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

import smtpproto
from smtpproto.late_names import late_names

PACKAGES = ["smtpproto", "smtpproto.protocol", "smtpproto.sasl", "smtpproto.testing"]


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a program has loaded after *statement*."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    # Where coverage is measured, it would load modules of its own.
    environment = {name: it for name, it in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return set(done.stdout.split())


def test_the_package_alone_loads_no_module_of_its_own_and_no_other_package() -> None:
    loaded = loaded_by("import smtpproto")
    assert {name for name in loaded if name.startswith("smtpproto.")} == {"smtpproto.late_names"}
    assert not loaded & {"attr", "ssl", "asyncio", "socket", "email"}


def test_the_test_kit_loads_no_tool_before_it_is_used() -> None:
    loaded = loaded_by("import smtpproto.testing")
    assert {name for name in loaded if name.startswith("smtpproto.")} == {
        "smtpproto.late_names",
        "smtpproto.testing",
    }
    assert not loaded & {"hypothesis", "pytest", "trustme"}


@pytest.mark.parametrize("adapter", ["blocking", "asyncio"])
def test_a_client_loads_no_server(adapter: str) -> None:
    loaded = loaded_by(f"from smtpproto.adapters.{adapter} import connect, pool, send")
    servers = (
        "smtpproto.events",
        "smtpproto.protocol.server",
        "smtpproto.protocol.terms",
        "smtpproto.server",
        f"smtpproto.adapters.{adapter}_server",
    )
    assert not {name for name in loaded if name.startswith(servers)}


# What a client in clear that sends one message to a host does not need.
RARE = {
    "ssl",
    "smtpproto.client.connecting",
    "smtpproto.client.pool",
    "smtpproto.grammar.xclient",
    "smtpproto.mail.linting",
    "smtpproto.sasl.credentials",
    "smtpproto.sasl.exchange",
    "smtpproto.tls.context",
    "smtpproto.tls.filter",
    "smtpproto.tls.stream",
    "smtpproto.wire.proxy",
    "urllib.parse",
}
SEND = r"""
from smtpproto import Envelope, Extensions
from tests.support.lenient_server import LenientServer, converse

to_bob = Envelope("ann@example.org", ["bob@example.org"])
converse(LenientServer(Extensions()), lambda client: client.send(b"Subject: x\r\n\r\nx", to_bob))
"""


@pytest.mark.parametrize("program", ["import smtpproto.adapters.blocking", SEND])
def test_a_client_that_sends_in_clear_loads_nothing_for_tls_logins_and_pools(program: str) -> None:
    assert not loaded_by(program) & RARE


def test_the_import_of_a_client_makes_few_classes() -> None:
    # Making one of attrs takes a third of a millisecond. Lower the number when you can.
    program = """
import gc, smtpproto.adapters.blocking
classes = [it for it in gc.get_objects() if isinstance(it, type) and "__attrs_attrs__" in vars(it)]
made = {it.__qualname__ for it in classes if it.__module__.startswith("smtpproto")}
assert len(made) <= 59, len(made)
"""
    loaded_by(program)


def test_a_command_loads_no_other_command() -> None:
    program = """
import contextlib, smtpproto.cli
with contextlib.suppress(SystemExit):
    smtpproto.cli.main(["password", "--help"])
"""
    loaded = loaded_by(program)
    ours = {name for name in loaded if name.startswith("smtpproto.cli.")}
    assert {it.rpartition(".")[2] for it in ours} == {
        "command_errors",
        "options",
        "password",
        "terminal",
    }
    assert not loaded & {"asyncio", "ssl", "smtpproto.mta"}


def test_names_are_loaded_one_by_one() -> None:
    loaded = loaded_by("from smtpproto import Limits")
    ours = {name for name in loaded if name.startswith("smtpproto.")}
    assert ours == {"smtpproto.late_names", "smtpproto.limits", "smtpproto.option_types"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_its_names_before_they_are_loaded(package: str) -> None:
    module = importlib.import_module(package)
    program = (
        f"import {package} as it\nassert set(it.__all__) <= set(dir(it))\nfrom {package} import *"
    )
    loaded_by(program)
    assert set(module.__all__) <= set(dir(module))


def test_a_public_module_is_an_attribute_of_the_package() -> None:
    loaded_by(
        "import smtpproto\nsmtpproto.errors.SMTPError, smtpproto.adapters, smtpproto.sasl.Login"
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_a_package_does_not_have_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute 'Foo'"):
        getattr(importlib.import_module(package), "Foo")  # noqa: B009
    with pytest.raises(ImportError, match="Foo"):
        exec(f"from {package} import Foo")


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(smtpproto), "Limits", raising=False)
    load, names = late_names("smtpproto", {".limits": "Limits Timeouts", "": "errors"})
    assert load("Limits") is vars(smtpproto)["Limits"]
    assert {"Limits", "Timeouts", "errors"} <= set(names())


@pytest.mark.parametrize("adapter", ["blocking", "asyncio"])
def test_a_client_loads_neither_mechanisms_nor_the_email_package_before_it_needs_them(
    adapter: str,
) -> None:
    loaded = loaded_by(f"import smtpproto.adapters.{adapter}")
    assert not loaded & {"email.message", "secrets", "stringprep", "smtpproto.sasl.mechanisms"}
    assert adapter == "asyncio" or not loaded & {"asyncio", "hashlib"}
