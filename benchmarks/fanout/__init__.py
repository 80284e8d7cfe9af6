"""Events to many browsers at once, against what a project would write or install instead."""
