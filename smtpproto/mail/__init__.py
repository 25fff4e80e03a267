"""Ring 2: messages: how they are prepared for sending, planned and checked.

:func:`compose_message` makes a message of its parts; :func:`smtpproto.compose` also reads files and
the clock. :func:`waive_tls` and :func:`waives_tls` set and read the header field
``TLS-Required: No`` (RFC 8689 5). :func:`offer_unsubscribe` and :func:`one_click_url` set and read
the fields by which a reader leaves a list (RFC 8058), and :func:`is_one_click` reads the request
that follows.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .attachment import AttachedFile
    from .compose import compose_message
    from .fault import Fault, Severity
    from .linting import lint
    from .planning import Plan, PlannedTransaction, plan
    from .preparation import Content, Source
    from .tls_required import waive_tls, waives_tls
    from .unsubscribe import is_one_click, offer_unsubscribe, one_click_url
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".attachment": "AttachedFile",
            ".compose": "compose_message",
            ".fault": "Fault Severity",
            ".linting": "lint",
            ".planning": "Plan PlannedTransaction plan",
            ".preparation": "Content Source",
            ".tls_required": "waive_tls waives_tls",
            ".unsubscribe": "is_one_click offer_unsubscribe one_click_url",
        },
    )

__all__ = [
    "AttachedFile", "Content", "Fault", "Plan", "PlannedTransaction", "Severity", "Source",
    "compose_message", "is_one_click", "lint", "offer_unsubscribe", "one_click_url", "plan",
    "waive_tls", "waives_tls",
]  # fmt: skip
