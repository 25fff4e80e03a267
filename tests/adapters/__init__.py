"""Tests of the adapters that use public names of smtpproto only."""
