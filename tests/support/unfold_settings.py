"""The example site's settings, with django-unfold's look of the admin."""

from tests.support.site_settings import *  # noqa: F403

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]  # noqa: F405
# Also for Django's test client, which is no localhost.
ALLOWED_HOSTS = ["*"]
