"""The example site as the servers of a run have it: as in production, but for its log and layer."""

import os

from proof.faults.settings import CHANNEL_LAYERS as RUN_LAYERS
from proof.faults.settings import EVENTS as RUN_EVENTS
from tests.support.site_settings import *  # noqa: F403
from tests.support.site_settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.acting", "proof.faults.handling"]
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "proof.faults.site_urls"
EVENTS = RUN_EVENTS
# Whose streams the example site serves.
EVENTS["tokens"]["POLICY"] = "tests.support.durable_urls.Open"
WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.1/32"]
WEBHOOKS_ALLOW_HTTP = True
WEBHOOKS_PORTS = None
# So often, and so soon, that nothing is parked that will go well one day.
WEBHOOKS_RETRY = [0.3] * 1000
WEBHOOKS_TIMEOUT = 2
if os.environ.get("FAULTS_POOL"):
    # Small, so that whoever keeps a connection is noticed; of one size, as what a server holds; and
    # quick to try again, since its pauses double while the database is away.
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 3,
        "max_size": 3,
        "timeout": 3,
        "reconnect_timeout": 2,
    }
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if RUN_LAYERS:
    CHANNEL_LAYERS = RUN_LAYERS
