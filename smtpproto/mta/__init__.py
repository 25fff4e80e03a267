"""Ring 3: a mail agent's decisions, as values and functions of facts, time and chance.

Nothing here connects or waits. Times are seconds since the epoch, UTC; waits are in seconds.
"""
