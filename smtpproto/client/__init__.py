"""Ring 4: a client's conversation, written once over the ports."""
