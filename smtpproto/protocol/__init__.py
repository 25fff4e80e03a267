"""Ring 3: the client and server protocol machines, and the tables that both follow.

:data:`ROWS` and :data:`COLUMNS` are the phase table, :func:`vocabulary` returns the verbs of a
session, and :data:`EXTENSIONS` says what each extension adds.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from ..grammar.ehlo_parameters import FutureRelease, SessionLimits
    from ..grammar.extension import EXTENSIONS, Extension
    from .client import ClientProtocol
    from .phases import COLUMNS, ROWS, Phase
    from .server import ServerProtocol
    from .settings import ClientSettings
    from .terms import MachineOptions, ServerSettings, Terms
    from .transaction import Transaction
    from .verbs import Verb, Vocabulary, vocabulary
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "..grammar.ehlo_parameters": "FutureRelease SessionLimits",
            "..grammar.extension": "EXTENSIONS Extension",
            ".client": "ClientProtocol",
            ".phases": "COLUMNS ROWS Phase",
            ".server": "ServerProtocol",
            ".settings": "ClientSettings",
            ".terms": "MachineOptions ServerSettings Terms",
            ".transaction": "Transaction",
            ".verbs": "Verb Vocabulary vocabulary",
        },
    )

__all__ = [
    "COLUMNS", "EXTENSIONS", "ROWS", "ClientProtocol", "ClientSettings", "Extension",
    "FutureRelease", "MachineOptions", "Phase", "ServerProtocol", "ServerSettings", "SessionLimits",
    "Terms", "Transaction", "Verb", "Vocabulary", "vocabulary",
]  # fmt: skip
