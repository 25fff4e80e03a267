"""Ring 2: octets over time. Incremental and bounded; knows no verbs.

Framing comes first and is never lenient: only CRLF ends a line, only CRLF.CRLF ends a message.
"""
