"""The three adapters have the same public names and signatures, and stay thin."""

from __future__ import annotations

import inspect
from pathlib import Path

from attrs import fields

from smtpproto import Client, ClientConfig, ServerConfig
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import ClientOptions, Pool
from smtpproto.server import ServerOptions

FOLDER = Path(inspect.getfile(on_trio)).parent
MODULES = [on_asyncio, on_trio, on_sockets]


def test_each_module_of_an_adapter_has_fewer_than_250_lines() -> None:
    for module in MODULES:
        for path in FOLDER.glob(f"{module.__name__.rpartition('.')[2]}*.py"):
            code = [line for line in path.read_text().splitlines() if line.strip()]
            assert len(code) < 250, path


def test_adapters_have_the_same_names_signatures_and_options() -> None:
    for name in (
        "check_server",
        "connect",
        "discover",
        "pool",
        "serve",
        "serve_forever",
        "Server",
        "Stream",
        "Runtime",
    ):
        assert all(hasattr(module, name) for module in MODULES), name
    for theirs, ours in ((Client, on_sockets.Client), (Pool, on_sockets.Pool)):
        for name in vars(theirs):
            if name.startswith("_") or not callable(getattr(theirs, name)):
                continue
            expected = inspect.signature(getattr(theirs, name))
            assert list(inspect.signature(getattr(ours, name)).parameters) == [*expected.parameters]
    for options, config in ((ClientOptions, ClientConfig), (ServerOptions, ServerConfig)):
        assert set(options.__annotations__) == {one.name for one in fields(config) if one.init}


def test_the_blocking_adapter_exports_pool_connect_and_serve() -> None:
    assert {"pool", "Pool", "connect", "serve"} <= set(on_sockets.__all__)
