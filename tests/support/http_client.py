"""Two words that the tests of the API share."""

API = "/api/events/"


def fill(log, count, **fields):
    log.append_many([{"kind": "n", "payload": {"n": n}, **fields} for n in range(count)])
