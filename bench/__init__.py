"""Measures the CPU time that the library and its peers need for the same work.

``python -m bench`` measures everything; ``python -m bench --help`` tells how to measure less.
``python -m bench.calls`` counts function calls, which the ordinary tests assert.
"""
