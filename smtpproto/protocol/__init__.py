"""Ring 3: the client and server protocol machines, and the tables that both follow.

:data:`ROWS` and :data:`COLUMNS` are the phase table, :func:`vocabulary` returns the verbs of a
session, and :data:`EXTENSIONS` says what each extension adds.
"""

from ..grammar.ehlo_parameters import FutureRelease, SessionLimits
from ..grammar.extension import EXTENSIONS, Extension
from .client import ClientProtocol
from .phases import COLUMNS, ROWS, Phase
from .server import ServerProtocol
from .settings import ServerSettings
from .terms import Terms
from .transaction import Transaction
from .verbs import Verb, Vocabulary, vocabulary

__all__ = [
    "COLUMNS",
    "EXTENSIONS",
    "ROWS",
    "ClientProtocol",
    "Extension",
    "FutureRelease",
    "Phase",
    "ServerProtocol",
    "ServerSettings",
    "SessionLimits",
    "Terms",
    "Transaction",
    "Verb",
    "Vocabulary",
    "vocabulary",
]
