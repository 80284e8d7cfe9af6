"""An app of the run's site: handlers that write down each entry, and fail, hang and die over some."""
