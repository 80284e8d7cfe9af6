"""Celery's tasks as streams: `INSTALLED_APPS += ["events.contrib.celery"]`.

from events.contrib.celery import progress

@shared_task
def build_report(id):
    for done, part in enumerate(parts, 1):
        build(part)
        progress(done, len(parts))
"""

from ..tasks import aprogress, progress, stream_of
from .reports import TaskStopped

__all__ = ["TaskStopped", "aprogress", "progress", "stream_of"]
