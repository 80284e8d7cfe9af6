"""Addresses of the example site."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from events import logs
from eventsite.chat import LOG, chat, chats
from eventsite.jobs import again, job, jobs
from eventsite.views import home

urlpatterns = [
    path("", home, name="home"),
    path("jobs/", jobs, name="jobs"),
    path("jobs/<uuid:id>/", job, name="job"),
    path("jobs/<uuid:id>/again/", again, name="again"),
    path("chat/", chats, name="chats"),
    path("chat/<str:stream>/", chat, name="chat"),
    path("api/events/", include("events.urls")),
    # Where there is such a log: it is a mistake to serve one that is not there.
    *([path("v1/stream/", include("events.durable.urls"), {"log": LOG})] if LOG in logs else []),
    path("admin/", admin.site.urls),
    # The admin and the API's pages name no icon, so that browsers ask for this one.
    path("favicon.ico", RedirectView.as_view(url=static("eventsite/icon.svg"))),
    # With DEBUG only: `runserver` serves these by itself, other servers would not.
    *staticfiles_urlpatterns(),
]
