"""Greylisting (RFC 6647): who is not known yet must come again. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen
from attrs.validators import ge, gt

from ..option_types import checked
from .state_store import Record, State

__all__ = ["Greylist", "Triplet"]


@checked
@frozen(kw_only=True)
class Greylist:
    """How long those have to wait who are not known. Times are in seconds.

    What is known are triplets: network of the client, sender, recipient. A network with enough of
    them is known itself.
    """

    delay: float = field(default=300.0, validator=gt(0))
    """After which a triplet passes."""
    window: float = field(default=86400.0, validator=gt(0))
    """In which the client must come again, after the first time (RFC 6647 5)."""
    remember: float = field(default=36 * 86400.0, validator=gt(0))
    """For which a triplet or a network is known, after it came last: more than a month, since some
    mail comes monthly."""
    passes: int = field(default=3, validator=ge(0))
    """Triplets that pass, after which their network is known. 0: networks are never known."""

    def __attrs_post_init__(self) -> None:
        if self.window <= self.delay:
            raise ValueError("window must be longer than delay, or nobody could pass")


@frozen
class Triplet:
    """A message to judge: a change of a :class:`.StateStore` with :attr:`keys`, whose result is the
    seconds for which the client must wait; 0 if it passes."""

    greylist: Greylist
    network: str
    names: str
    """What else the triplet has: sender and recipient."""

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the triplet, whose state is when it came first and whether it has passed, and
        of the network: how many have passed."""
        return f"grey:{self.network} {self.names}", f"known:{self.network}"

    def __call__(
        self, states: Sequence[State], now: float
    ) -> tuple[float, Sequence[Record | None]]:
        """Return the wait, and what is to be kept."""
        triplet, (known,) = states[0], states[1] or (0.0,)
        remembered = now + self.greylist.remember
        is_known = 0 < self.greylist.passes <= known
        if is_known:
            return 0.0, (None, Record((known,), remembered))
        first, passed = triplet or (now, 0.0)
        first = min(first, now)  # if the clock was put back
        wait = self.greylist.delay - (now - first)
        if passed:
            return 0.0, (Record((first, 1.0), remembered), None)
        if wait > 0:
            return wait, (Record((first, 0.0), first + self.greylist.window), None)
        return 0.0, (Record((first, 1.0), remembered), Record((known + 1.0,), remembered))
