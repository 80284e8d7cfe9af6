"""The overview: where each log stands."""
