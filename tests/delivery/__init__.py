"""Tests of the last step: mailboxes, and programs that take messages."""
