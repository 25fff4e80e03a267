"""Measures the library beside its peers: see docs/performance.md. ``python -m bench --help``."""
