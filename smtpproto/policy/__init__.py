"""Ring 3: who wrote a message, and how it may travel, as values and functions.

What must ask the DNS is ``async def`` over a :class:`smtpproto.dns.Resolver`. It runs with blocking
sockets, on asyncio, on trio and in a simulation, and needs neither our server nor our client. Times
are seconds since the epoch, UTC, and come in as arguments.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .keys import Algorithm, Keys, PublicKey, SigningKey
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".keys": "Algorithm Keys PublicKey SigningKey",
        },
    )

__all__ = ["Algorithm", "Keys", "PublicKey", "SigningKey"]
