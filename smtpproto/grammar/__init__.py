"""Ring 1: converts between values and octets; pure and stateless.

Internal: import from ``smtpproto``, ``smtpproto.commands`` or ``smtpproto.replies`` instead.

Every value is frozen and cannot be built invalid. ``parse`` reads octets, ``bytes(value)`` writes
the canonical form, and ``parse(bytes(value)) == value``. Input outside the grammar raises
:class:`~smtpproto.errors.GrammarError`, which carries the offset of the fault and the reply that a
server would send.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .proxy_server import ProxyKind, ProxyServer
    from .xclient import XClientAttributes, XForwardAttributes
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".proxy_server": "ProxyKind ProxyServer",
            ".xclient": "XClientAttributes XForwardAttributes",
        },
    )

__all__ = ["ProxyKind", "ProxyServer", "XClientAttributes", "XForwardAttributes"]
