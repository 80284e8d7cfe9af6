"""To be imported first where no test runner has set Django up."""

import os

import django

os.environ.setdefault("DEBUG", "1")
os.environ.setdefault("DATABASE_URL", "sqlite://:memory:")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventsite.settings")
django.setup()
