"""The example site with a log as a test wants it, and a view that looks into the server."""

import json
import os

from eventsite.settings import *  # noqa: F403

EVENTS["default"].update(json.loads(os.environ.get("SITE_EVENTS", "{}")))  # noqa: F405
ROOT_URLCONF = "tests.support.site_urls"

if pool := os.environ.get("SITE_POOL"):
    DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
    DATABASES["default"]["OPTIONS"]["pool"] = {  # noqa: F405
        "min_size": 1,
        "max_size": int(pool),
        "timeout": 3,
    }

INSTALLED_APPS += json.loads(os.environ.get("SITE_APPS", "[]"))  # noqa: F405
if tasks := os.environ.get("SITE_TASKS"):
    EVENTS_TASKS = json.loads(tasks)
if away := os.environ.get("SITE_AWAY"):
    DATABASES["away"] = json.loads(away)  # noqa: F405
    EVENTS["away"] = {"OPTIONS": {"using": "away"}}  # noqa: F405
if backend := os.environ.get("SITE_TASK_BACKEND"):
    TASKS = {"default": {"BACKEND": backend}}
# Twenty migrations a site are what its tables need not wait for.
MIGRATION_MODULES = {"django_tasks_database": None}
