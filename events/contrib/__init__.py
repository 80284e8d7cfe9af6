"""Apps that join the log to what a project may have beside it. Each is a line in INSTALLED_APPS."""
