"""Tests of the protocol machines, without I/O."""
