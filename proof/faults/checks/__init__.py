"""The invariants, by what they are about. Each is a generator of what it found to be broken."""
