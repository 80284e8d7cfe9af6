"""The example site's first page."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from events import logs

# Nothing but what this site itself serves, and nothing inline. It is for the pages of this site: the API's
# browsable pages have scripts of their own, and are not ours to forbid.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


def home(request: HttpRequest) -> HttpResponse:
    """The live page. It holds no entries: the browser follows the log as any other reader does."""
    may_read = logs["default"].policy.can_read(request.user, None)
    return page(request, "live.html") if may_read else welcome(request)


def welcome(request: HttpRequest, status: int = 200) -> HttpResponse:
    """What this is, for who may not read the log; and the showcase moving, where there is one."""
    return page(request, "welcome.html", {"showcase": "showcase" in logs}, status)


def page(
    request: HttpRequest, template: str, context: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    response = render(request, template, context, status=status)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
