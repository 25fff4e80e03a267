"""Ring 2: messages: how they are prepared for sending, planned and checked.

:func:`waive_tls` and :func:`waives_tls` set and read the header field ``TLS-Required: No``
(RFC 8689 5).
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .linting import lint
    from .planning import Plan, PlannedTransaction, plan
    from .preparation import Content, Source
    from .tls_required import waive_tls, waives_tls
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".linting": "lint",
            ".planning": "Plan PlannedTransaction plan",
            ".preparation": "Content Source",
            ".tls_required": "waive_tls waives_tls",
        },
    )

__all__ = [
    "Content", "Plan", "PlannedTransaction", "Source", "lint", "plan", "waive_tls",
    "waives_tls",
]  # fmt: skip
