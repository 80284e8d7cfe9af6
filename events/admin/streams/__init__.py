"""The streams of a log."""
