"""Ring 5: the only I/O. One module per flavour, of the same shape, so that ``diff`` is the review.

Each has ``connect``, ``pool`` and ``serve``, a stream and a world (see :mod:`smtpproto.ports`), and
no conversation: that is in ``client/`` and ``server/``.
"""
