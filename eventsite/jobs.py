"""The job runner's pages: start a job, and watch it.

A job is a stream with a life. Nothing but its name is shared between this site, the worker and the
browser: the worker writes the stream, the browser follows it, and either may die and come back.
"""

import secrets
import subprocess
import sys
import threading

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from events import logs
from eventsite import views

PREFIX = "job-"


class JobForm(forms.Form):
    steps = forms.IntegerField(min_value=5, max_value=200, initial=40, required=False)

    def clean_steps(self) -> int:
        return self.cleaned_data["steps"] or self.fields["steps"].initial


@require_http_methods(["GET", "HEAD", "POST"])
def jobs(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return page(request, JobForm())
    stream = f"{PREFIX}{secrets.token_hex(4)}"
    if not logs["default"].policy.can_emit(request.user, stream):
        return page(request, JobForm(), status=403)
    form = JobForm(request.POST)
    if not form.is_valid():
        return page(request, form, status=400)
    start(stream, form.cleaned_data["steps"])
    return redirect("job", stream)


@require_safe
def job(request: HttpRequest, stream: str) -> HttpResponse:
    """One job's page. That of a job which has not begun yet waits for it."""
    if not stream.startswith(PREFIX):
        raise Http404
    return page(request, JobForm(), stream)


def page(
    request: HttpRequest, form: JobForm, stream: str | None = None, status: int = 200
) -> HttpResponse:
    policy = logs["default"].policy
    # The list of jobs is one of all streams.
    may_read = policy.can_read(request.user, None)
    if not may_read or (stream is not None and not policy.can_read(request.user, stream)):
        return views.welcome(request, status)
    context = {
        "form": form,
        "stream": stream or "",
        "may_emit": policy.can_emit(request.user, stream or PREFIX),
    }
    return views.page(request, "jobs.html", context, status)


def start(stream: str, steps: int) -> None:
    """Have a process of its own work on it, which a restart of the site does not end.

    Good enough for an example on one machine: there is no queue, no limit and no second attempt.
    A site in earnest leaves this to Celery or the like; its task would hold the same lines as
    `run_job`.
    """
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "run_job", stream, "--steps", str(steps), "-v0"],
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Somebody has to ask how it ended, or it stays in the table of processes.
    threading.Thread(target=worker.wait, name=f"wait-{stream}", daemon=True).start()
