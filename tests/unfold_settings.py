"""The example site with another look of the admin installed."""

from eventsite.settings import *  # noqa: F403

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]  # noqa: F405
ALLOWED_HOSTS = ["*"]
