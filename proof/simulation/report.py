"""What a person reads of a run."""

# Lines of the trace before the end.
LINES = 25


def excerpt(outcome, lines=LINES):
    """The seed, what was wrong, what led to it, and how to see it again."""
    failure = outcome.failure
    verdict = f"{type(failure).__name__}: {failure}" if failure else "nothing was wrong"
    trace = [line(event) for event in (outcome.trace if lines is None else outcome.trace[-lines:])]
    dials = [line(event) for event in outcome.trace[:1]] if lines is not None else []
    return "\n".join(
        [
            f"Seed {outcome.seed}: {verdict}",
            *dials,
            *trace,
            f"Again: python -m proof.simulation {outcome.seed}",
        ]
    )


def line(event):
    moment, who, *what = event
    return f"  {moment:12.6f}  {who:12} {' '.join(map(str, what))}"
