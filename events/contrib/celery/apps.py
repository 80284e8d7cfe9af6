from django.apps import AppConfig


class CeleryConfig(AppConfig):
    name = "events.contrib.celery"
    label = "events_celery"
    verbose_name = "Celery's tasks as streams"

    def ready(self) -> None:
        from .. import checks  # noqa: F401  (registers the checks)
        from . import reports

        reports.connect()
