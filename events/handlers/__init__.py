"""Code that acts on events, in worker processes, with a cursor that is stored.

    from events.handlers import handler

    @handler("order.paid", name="mailer")
    def send_receipt(entry): ...

An app of its own: `INSTALLED_APPS += ["events.handlers"]`. `manage.py run_handlers` runs what the
`handlers` modules of the installed apps register. Read on in `spec` (what a handler is), `models`
(the theory of cursors, shards and held entries), `shard` (a step of the work) and `runner`.
"""

from .registry import handler, handlers

__all__ = ["handler", "handlers"]
