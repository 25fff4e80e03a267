"""Ring 2: octets over time. The readers are incremental and bounded, and know no verbs.

Framing comes first and is never lenient: only CRLF ends a line, and only CRLF.CRLF ends a message.
"""
