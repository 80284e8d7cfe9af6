"""The example site's first page."""

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
    """The live page. It holds no entries: the browser follows the log as any other reader does.

    Who may not read the log gets a page that says so, and no script.
    """
    may_read = logs["default"].policy.can_read(request.user, None)
    response = render(request, "live.html" if may_read else "welcome.html")
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
