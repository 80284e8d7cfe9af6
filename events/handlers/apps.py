from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class HandlersConfig(AppConfig):
    name = "events.handlers"
    label = "events_handlers"
    verbose_name = "Event handlers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, keeping, numbers  # noqa: F401  (registers the checks)

        keeping.start()
        numbers.start()
        autodiscover_modules("handlers")
