"""Tests of what failures and replies mean."""
