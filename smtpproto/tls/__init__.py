"""Ring 2: TLS as a filter over memory: contexts, whom to believe, what to bind a login to."""
