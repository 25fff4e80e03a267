"""All targets, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.fuzz import (
    client_conversation,
    client_machine,
    grammar,
    header_fields,
    server_conversation,
    server_machine,
    wire,
)

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    module.__name__.rpartition(".")[2]: module.fuzz
    for module in (
        client_conversation, client_machine, grammar, header_fields, server_conversation,
        server_machine, wire,
    )
}  # fmt: skip
