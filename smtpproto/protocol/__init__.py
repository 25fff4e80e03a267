"""Ring 3: the client and server protocol machines, and the tables that both follow.

:data:`ROWS` and :data:`COLUMNS` are the phase table, :func:`vocabulary` returns the verbs of a
session, and :data:`EXTENSIONS` says what each extension adds.
"""

from ..grammar.extension import EXTENSIONS
from .client import ClientProtocol
from .phases import COLUMNS, ROWS, Phase
from .server import ServerProtocol
from .verbs import Verb, Vocabulary, vocabulary

__all__ = [
    "COLUMNS",
    "EXTENSIONS",
    "ROWS",
    "ClientProtocol",
    "Phase",
    "ServerProtocol",
    "Verb",
    "Vocabulary",
    "vocabulary",
]
