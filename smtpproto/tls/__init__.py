"""Ring 2: TLS as a filter over memory: contexts, verification of peers, bindings for logins.

Internal: import ``TLSVerify``, ``ClientCertificate`` and ``TLSInfo`` from ``smtpproto`` instead.
Names are loaded when they are used first: a connection in clear needs no ``ssl``.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .context import Context, check_ca, client_context, shared_context
    from .filter import Filter, TLSInfo, unusable
    from .stream import TLSStream, filter_for
    from .verify import ClientCertificate, TLSVerify
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".context": "Context check_ca client_context shared_context",
            ".filter": "Filter TLSInfo unusable",
            ".stream": "TLSStream filter_for",
            ".verify": "ClientCertificate TLSVerify",
        },
    )

__all__ = [
    "ClientCertificate", "Context", "Filter", "TLSInfo", "TLSStream", "TLSVerify", "check_ca",
    "client_context", "filter_for", "shared_context", "unusable",
]  # fmt: skip
