"""Following a log as it grows."""
