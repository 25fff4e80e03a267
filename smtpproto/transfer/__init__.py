"""Ring 5: the conversations of a mail agent, written once over the ports."""
