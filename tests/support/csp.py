"""A middleware that serves every page under the strictest policy that the admin lives with."""

from asgiref.sync import iscoroutinefunction
from django.utils.decorators import sync_and_async_middleware

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"


@sync_and_async_middleware
def strict_policy(get_response):
    if iscoroutinefunction(get_response):

        async def middleware(request):
            return headed(await get_response(request))

    else:

        def middleware(request):
            return headed(get_response(request))

    return middleware


def headed(response):
    response.headers["Content-Security-Policy"] = POLICY
    return response
