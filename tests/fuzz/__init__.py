"""Fuzz targets: functions that take any octets, and raise only if the library has a fault.

``python -m tests.fuzz`` runs them under atheris, and the ordinary tests with a few inputs: see
docs/explanation/fuzzing.md.
"""
