"""Ring 3: the machines."""
