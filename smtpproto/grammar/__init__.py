"""Ring 1: values <-> octets. Pure and stateless.

Every value is frozen and cannot exist invalid; ``parse`` reads octets, ``bytes(value)`` writes the
canonical form, and ``parse(bytes(value)) == value``. What does not fit raises
:class:`~smtpproto.errors.GrammarError`, which carries the offset and the reply a server would give.
"""
