"""The site's background tasks. `manage.py db_worker` runs them."""

import time

try:
    from django.tasks import task
except ImportError:  # Django 5.2, which gets them from the package django-tasks
    from django_tasks import task

from events.contrib.django_tasks import progress


@task
def work(steps: int, seconds: float = 0.25) -> None:
    """Take some time, and say how far it has come. The rest of a job's life tells itself."""
    for done in range(1, steps + 1):
        time.sleep(seconds)
        progress(done, steps)
