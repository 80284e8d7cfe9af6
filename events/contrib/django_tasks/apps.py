from django.apps import AppConfig


class DjangoTasksConfig(AppConfig):
    name = "events.contrib.django_tasks"
    label = "events_django_tasks"
    verbose_name = "Django's tasks as streams"

    def ready(self) -> None:
        from .. import checks  # noqa: F401  (registers the checks)
        from . import reports

        reports.connect()
