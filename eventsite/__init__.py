"""The example site: a small project around the `events` app."""
