"""Ring 5: the conversations of a mail agent, written once over the ports.

:class:`~.receive.Receiver` takes mail into the queue. :class:`~.agent.Agent` claims what is
due, lets :class:`~.relay.Relay` send it to next hosts or a function of the application put it into
mailboxes here, and writes what came of it.
"""
