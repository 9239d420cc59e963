"""Whole readings, killed at any moment: `python -m tests.torture` (`make torture`)."""
