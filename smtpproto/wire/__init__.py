"""Ring 2: readers and writers for octets that arrive over time; they know nothing of commands.

Internal: import ``ProxyHeader`` from ``smtpproto`` instead. The readers are incremental and
bounded.

Framing comes first and is never lenient: only CRLF ends a line, and only CRLF.CRLF ends a message.
"""
