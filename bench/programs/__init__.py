"""The programs under test, each in a process of its own.

A server prints the port that it listens on. A client prints ``ready``, reads lines ``LOAD PORT
COUNT``, does what the load asks for, *count* times, and prints ``done``. A program imports only
what it measures and what this package holds.
"""
