"""A task of Celery's that is run where it is called."""

from celery import Celery

from events.contrib.celery import progress

app = Celery("away", broker="memory://", set_as_current=False)


@app.task
def add(one, other):
    progress(1, 2)
    return one + other
