"""The example site as the servers of a run have it: as in production, but for its log and layer."""

from tests.faults.settings import CHANNEL_LAYERS as RUN_LAYERS
from tests.faults.settings import EVENTS as RUN_EVENTS
from tests.site_settings import *  # noqa: F403

DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.faults.site_urls"
EVENTS = RUN_EVENTS
if RUN_LAYERS:
    CHANNEL_LAYERS = RUN_LAYERS
