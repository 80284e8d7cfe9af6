"""The Durable Streams protocol over a log in the database. An app of its own:

    INSTALLED_APPS += ["events.durable"]
    path("v1/stream/", include("events.durable.urls"))

A durable stream is a stream of the log, and its messages are events that every other transport
sees. Read on in `creating` and `protocol` (every duty of the protocol), `models` (what is kept
beside the events), `content` (how messages and bytes are events) and `reading`.
"""
