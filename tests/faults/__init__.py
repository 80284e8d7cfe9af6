"""A test from outside: many processes write, read and die, and a checker judges what they saw.

    plan       what a writer does next, drawn from a seed
    writer     does it, and writes down what became of it
    reader     follows the log with many limits and filters, and writes down every page
    crashes    processes that stop, sit, die and cut other people's connections
    worker     one process: `python -m tests.faults.worker ROLE OPTIONS`
    team       starts processes, and sees to it that none of them outlives its test
    scratch    a database that is there for the run
    record     the history: JSON lines, and the values that they become
    checker    everything that a history must keep to, by name (`checks`)

Only public names are used (`events.emit` and its kin, `events.logs`), with one exception: a process
that is to stop in the middle of an append has to be told where the middle is.
"""
