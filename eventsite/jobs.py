"""The job runner's pages: start a job, and watch it.

A job is a task of Django's (`tasks.work`), and `events.contrib.django_tasks` makes a stream of it.
Nothing but its id is shared between this site, the worker and the browser: the worker writes the
stream, the browser follows it, and either may die and come back.
"""

from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_tasks_db.models import DBTaskResult

from events import logs
from events.contrib.django_tasks import stream_of
from events.types import Status
from eventsite import views
from eventsite.tasks import work

PREFIX = "task:"


class JobForm(forms.Form):
    steps = forms.IntegerField(min_value=5, max_value=200, initial=40, required=False)

    def clean_steps(self) -> int:
        return self.cleaned_data["steps"] or self.fields["steps"].initial


@require_http_methods(["GET", "HEAD", "POST"])
def jobs(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return page(request, JobForm())
    if not may_emit(request):
        return page(request, JobForm(), status=403)
    form = JobForm(request.POST)
    if not form.is_valid():
        return page(request, form, status=400)
    return redirect("job", work.enqueue(form.cleaned_data["steps"]).id)


@require_safe
def job(request: HttpRequest, id: UUID) -> HttpResponse:
    return page(request, JobForm(), id)


@require_POST
def again(request: HttpRequest, id: UUID) -> HttpResponse:
    """Queue a job again whose worker was killed. Brokers that know of it do so by themselves; this
    queue leaves a dead worker's jobs alone."""
    if not may_emit(request):
        return page(request, JobForm(), id, status=403)
    log = logs["default"]
    started = log.read(last=1, stream=stream_of(id), kind="task.started").entries
    if started and log.stream(started[0].payload["stream"]).status == Status.FAILED:
        DBTaskResult.objects.filter(pk=id, status="RUNNING").update(status="READY")
    return redirect("job", id)


def may_emit(request: HttpRequest) -> bool:
    return logs["default"].policy.can_emit(request.user, PREFIX)


def page(
    request: HttpRequest, form: JobForm, id: UUID | None = None, status: int = 200
) -> HttpResponse:
    # The list of jobs is one of all streams.
    if not logs["default"].policy.can_read(request.user, None):
        return views.welcome(request, status)
    context = {
        "form": form,
        "id": id,
        "stream": stream_of(id) if id else "",
        "may_emit": may_emit(request),
    }
    return views.page(request, "jobs.html", context, status)
