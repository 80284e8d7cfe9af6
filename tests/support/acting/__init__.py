"""An app that acts on events: what the tests of handlers, and the processes that they start, run."""
