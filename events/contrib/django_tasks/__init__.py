"""Django's tasks as streams: `INSTALLED_APPS += ["events.contrib.django_tasks"]`.

from events.contrib.django_tasks import progress

@task
def build_report(id):
    for done, part in enumerate(parts, 1):
        build(part)
        progress(done, len(parts))
"""

from ..tasks import TaskStopped, aprogress, progress, stream_of

__all__ = ["TaskStopped", "aprogress", "progress", "stream_of"]
