"""The log broken on purpose, a line or two at a time: each break must be noticed.

table       the mutants, by what they break: `writing`, `following`, `acting`, `durable`, `redis`
mutant      what one is: what is changed, and which check has to catch it
__main__    changes a copy of the tree, runs the check, and prints the table (`make mutants`)
"""
