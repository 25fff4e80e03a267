"""Ring 2: TLS as a filter over memory: contexts, verification of peers, bindings for logins.

Internal: import ``TLSVerify``, ``ClientCertificate`` and ``TLSInfo`` from ``smtpproto`` instead.
"""
