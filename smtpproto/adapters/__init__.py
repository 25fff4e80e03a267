"""Ring 6: the only I/O. One module for each library, all of one shape: compare them with ``diff``.

Each module has the functions ``connect``, ``pool`` and ``serve``, and the classes ``Stream`` and
``Runtime``, which implement the ports of :mod:`smtpproto.ports`. The conversations are in
``client/`` and ``server/``.
"""
