"""The log over HTTP, with Django REST framework."""
