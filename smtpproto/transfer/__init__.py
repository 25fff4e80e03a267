"""Ring 5: the conversations of a mail agent, written once over the ports.

:class:`~.receive.Receiver` takes mail into the queue. :class:`~.relay.Relay` makes one attempt to
send a message to next hosts.
"""
