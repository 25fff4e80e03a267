"""``CatchAll``: a server that takes all mail and shows it on a page: see
docs/howto/catch-all.md."""

from .catch_all_server import CatchAll

__all__ = ["CatchAll"]
