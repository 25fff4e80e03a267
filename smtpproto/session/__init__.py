"""Ring 4: conversations, written once over the ports: what an adapter drives, for either role."""
