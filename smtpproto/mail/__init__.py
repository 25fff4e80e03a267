"""Ring 2: values on the message's side of the protocol."""
