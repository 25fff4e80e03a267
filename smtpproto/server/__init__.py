"""Ring 4: a server's conversation, written once over the ports."""
