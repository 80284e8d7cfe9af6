"""The events of a log."""
