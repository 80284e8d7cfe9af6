"""What proves that the log keeps its promises: see docs/proof.md.

    faults      servers, writers and readers as processes, and everything fails that can
    mutants     the log broken on purpose, to see whether it is noticed
    simulation  the real broker, windows and tails on a clock and a store that a seed decides

`make faults`, `make mutants` and `make simulate` run them at length; the tests beside them are short
runs of each, and the tests of the checker that judges the histories (`histories`).
"""
