from django.apps import AppConfig


class DurableConfig(AppConfig):
    name = "events.durable"
    label = "events_durable"
    verbose_name = "Durable streams"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .. import hooks
        from . import checks, content, handle, protocol  # noqa: F401  (registers the checks)

        hooks.add(hooks.reserved_kinds, content.RESERVED)
        hooks.add(hooks.before_deletion, protocol.forget)
        hooks.add(hooks.chores, protocol.remove_expired)
        hooks.add(hooks.durable, handle.DurableHandle)
