"""The API described with OpenAPI, through drf-spectacular.

What is said stands in `components`, `parameters`, `answers` and `operations`, as plain data in
the dialect of OpenAPI 3.0. How drf-spectacular gets to hear of it stands in `spectacular`, which
only `events.urls` imports, and only where drf-spectacular is installed.
"""
