"""Ring 2: TLS as a filter over memory: contexts, verification of peers, bindings for logins."""
