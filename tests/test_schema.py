"""The OpenAPI schema: valid, complete, and true of what the API answers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.http import QueryDict
from django.test import AsyncRequestFactory, Client
from django.urls import resolve
from rest_framework.request import Request

pytest.importorskip("drf_spectacular")

import jsonschema
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.validation import validate_schema
from rest_framework.settings import api_settings

from events import lifecycle, validation
from events.api.items import MAX_ITEMS
from events.api.openapi import description
from events.api.spectacular import PREFIX, SchemaView
from events.conf import DEFAULT_LOG
from events.cursors import MAX_STREAMS
from events.parameters import MAX_KINDS, MAX_NUMBER, MAX_WAIT
from events.types import Entry, Gap, Status, StreamInfo

from .support.http_client import API, fill

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parent.parent
JSON = {"headers": {"accept": "application/json"}}


@pytest.fixture
def log(make_log):
    return make_log(BACKEND="memory")


@pytest.fixture
def document(monkeypatch):
    """In OpenAPI 3.1, whose schemas are plain JSON Schema."""
    monkeypatch.setattr(spectacular_settings, "OAS_VERSION", "3.1.0")
    return Client().get(f"{API}schema/", **JSON).json()


@pytest.fixture
def operations(document):
    return {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


class TestDocument:
    @pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
    def test_it_is_valid(self, monkeypatch, version):
        monkeypatch.setattr(spectacular_settings, "OAS_VERSION", version)
        document = Client().get(f"{API}schema/", **JSON).json()
        assert document["openapi"] == version
        validate_schema(document)
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_the_command_has_nothing_to_say(self):
        """`manage.py spectacular --validate --fail-on-warn`, for the whole of the site."""
        done = manage("spectacular", "--validate", "--fail-on-warn")
        assert (done.returncode, done.stderr) == (0, "")
        assert "\n  /api/events/streams/{name}/events/:\n" in done.stdout

    def test_it_is_public(self, settings):
        """As drf-spectacular's own: it says what can be asked, not what is there."""
        settings.EVENTS = {"default": {"POLICY": "tests.test_schema.Nobody"}}
        assert Client().get(API + "head/").status_code in (401, 403)
        answer = Client().get(f"{API}schema/")
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("application/vnd.oai.openapi")

    def test_it_has_this_app_alone_wherever_that_is_mounted(self, rf):
        from events.urls import urlpatterns

        view = SchemaView.as_view(patterns=urlpatterns)
        for prefix in ("/", "/tenants/a%7Bb/log/"):
            request = rf.get(f"{prefix}schema/", **JSON)
            paths = json.loads(view(request).render().content)["paths"]
            assert set(paths) == {
                prefix + re.sub(r"<str:(\w+)>", r"{\1}", str(pattern.pattern))
                for pattern in urlpatterns
                if pattern.name != "schema"
            }

    def test_every_operation_is_described(self, operations):
        for operation in operations.values():
            assert operation["tags"] == ["events"]
            assert operation["operationId"].startswith("events_")
            assert operation["summary"]
            assert operation["description"]
            assert {"400", "401", "403", "404", "406", "429", "503"} < set(operation["responses"])

    def test_nothing_is_described_that_is_not_used(self, document):
        text = json.dumps(document)
        for name in document["components"]["schemas"]:
            assert f'"#/components/schemas/{name}"' in text

    def test_the_shape_of_an_error_is_told(self, document):
        assert "**Errors** have one shape." in document["info"]["description"]

    def test_the_fields_are_those_of_the_code(self, log):
        """What is written down by hand is held against what it was written down from."""

        def fields(name):
            return set(description()["components"]["schemas"][f"{PREFIX}{name}"]["properties"])

        assert fields("Item") == set(validation.ITEM_FIELDS)
        assert fields("Entry") == set(Entry.__dataclass_fields__) - {"key", "context"}
        assert fields("Gap") == set(Gap.__dataclass_fields__)
        assert fields("Stream") == set(StreamInfo.__dataclass_fields__)

    def test_the_bounds_are_those_of_the_code(self):
        """A pattern, a limit or a list of words has two places, and this holds them together."""
        schemas = description()["components"]["schemas"]
        item, entry = (schemas[f"{PREFIX}{name}"]["properties"] for name in ("Item", "Entry"))
        kind, stream = validation.KIND.pattern, validation.STREAM.pattern
        assert item["kind"]["pattern"] == entry["kind"]["pattern"] == f"^(?:{kind})$"
        assert item["kind"]["maxLength"] == entry["kind"]["maxLength"] == validation.MAX_KIND
        reserved, _ = item["kind"]["not"]["anyOf"]
        assert set(reserved["enum"]) == validation.RESERVED
        assert item["stream"]["pattern"] == entry["stream"]["pattern"] == f"^(?:(?:{stream})?)$"
        assert item["key"]["maxLength"] == validation.MAX_KEY
        assert f"{validation.MAX_DEPTH} containers deep" in item["payload"]["description"]
        assert entry["position"]["maximum"] == MAX_NUMBER
        assert schemas[f"{PREFIX}ItemErrors"]["maxItems"] == MAX_ITEMS
        assert schemas[f"{PREFIX}StreamStatus"]["enum"] == [status.value for status in Status]

    def test_the_bounds_of_parameters_are_those_of_the_code(self, operations):
        def parameters(path, method="get"):
            return {one["name"]: one for one in operations[API + path, method]["parameters"]}

        known, action = parameters(""), parameters("streams/{name}/{action}/", "post")
        exact, prefix, _ = known["kind"]["schema"]["items"]["anyOf"]
        kind, stream = validation.KIND.pattern, validation.STREAM.pattern
        assert (exact["pattern"], exact["maxLength"]) == (f"^(?:{kind})$", validation.MAX_KIND)
        assert prefix["pattern"] == rf"^(?:{kind}\.\*)$"
        assert prefix["maxLength"] == validation.MAX_KIND + 2
        assert known["kind"]["schema"]["maxItems"] == MAX_KINDS
        one, prefix = known["stream"]["schema"]["items"]["anyOf"]
        assert one["pattern"] == f"^(?:(?:{stream})?)$"
        assert prefix["pattern"] == rf"^(?:{stream}\*)$"
        assert known["stream"]["schema"]["maxItems"] == MAX_STREAMS
        assert f"More than {MAX_WAIT} is clamped to {MAX_WAIT}." in known["wait"]["description"]
        assert known["log"]["schema"]["default"] == DEFAULT_LOG
        assert action["name"]["schema"]["pattern"] == f"^(?:{stream})$"
        assert action["action"]["schema"]["enum"] == list(lifecycle.KINDS)
        statuses = parameters("streams/")["status"]["schema"]["enum"]
        assert statuses == [status.value for status in Status]
        many = operations[API, "post"]["requestBody"]["content"]["application/json"]["schema"]
        assert many["oneOf"][1]["maxItems"] == MAX_ITEMS
        assert f"up to {MAX_ITEMS} " in operations[API, "post"]["description"]

    def test_a_log_in_a_projects_own_view(self, rf):
        """It is paged and serialized as ours, and described as it is."""
        from django.urls import path
        from drf_spectacular.drainage import GENERATOR_STATS
        from rest_framework.generics import ListAPIView

        from events.api.pagination import LedgerPagination
        from events.api.serializers import EntrySerializer

        class Audit(ListAPIView):
            pagination_class = LedgerPagination
            serializer_class = EntrySerializer
            filter_backends = ()

        view = SchemaView.as_view(patterns=[path("audit/", Audit.as_view())])
        document = json.loads(view(rf.get("/schema/", **JSON)).render().content)
        assert not GENERATOR_STATS
        validate_schema(document)
        names = {one["name"] for one in document["paths"]["/audit/"]["get"]["parameters"]}
        assert names == {"since", "last", "limit", "kind", "epoch", "on_gap", "stream"}
        pages = document["components"]["schemas"][f"Paginated{PREFIX}EntryList"]["properties"]
        assert set(pages) == {"results", "cursor", "next", "gap"}
        assert pages["results"]["items"] == {"$ref": f"#/components/schemas/{PREFIX}Entry"}

    def test_what_a_project_adds_to_a_view_is_left_to_it(self, rf):
        from django.urls import path
        from drf_spectacular.utils import extend_schema
        from rest_framework.response import Response

        from events.api.views import HeadView

        class Head(HeadView):
            @extend_schema(responses={204: None})
            def delete(self, request):
                return Response(status=204)

        view = SchemaView.as_view(patterns=[path("head/", Head.as_view())])
        document = json.loads(view(rf.get("/schema/", **JSON)).render().content)
        operations = document["paths"]["/head/"]
        assert operations["get"]["operationId"] == "events_head"
        assert list(operations["delete"]["responses"]) == ["204"]


class Nobody:
    def can_read(self, user, stream):
        return False

    can_emit = can_read


class Recorder(QueryDict):
    """A query that remembers what it was asked for."""

    asked: set[str]

    def getlist(self, key, default=None):
        self.asked.add(key)
        return super().getlist(key, default)

    def get(self, key, default=None):
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)


class TestParameters:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("get", ""),
            ("post", ""),
            ("get", "head/"),
            ("get", "streams/"),
            ("get", "streams/{name}/"),
            ("get", "streams/{name}/events/"),
            ("post", "streams/{name}/{action}/"),
            ("post", "ticket/"),
            ("get", "live/"),
            ("get", "streams/{name}/live/"),
        ],
    )
    def test_those_that_are_read_are_those_that_are_described(
        self, client, user, monkeypatch, operations, method, path
    ):
        """No more, and no fewer."""
        client.post(API, '{"kind": "a", "stream": "s"}', content_type="application/json")
        Recorder.asked = set()
        recorder = property(lambda request: Recorder(request.META["QUERY_STRING"]))
        monkeypatch.setattr(Request, "query_params", recorder)
        url = API + path.format(name="s", action="open")
        if path.endswith("live/"):
            # Only ASGI has it; the view is the same.
            request = AsyncRequestFactory().get(url)
            request.user = user
            view = resolve(url)
            answer = view.func(request, **view.kwargs)
        else:
            body = "{}" if "action" in path else '{"kind": "a"}'
            answer = client.generic(method.upper(), url, body, "application/json")
        assert answer.status_code in (200, 201)
        assert Recorder.asked == {
            parameter["name"]
            for parameter in operations[API + path, method]["parameters"]
            if parameter["in"] == "query"
        }

    def test_no_operation_is_left_out_above(self, operations):
        marks = TestParameters.test_those_that_are_read_are_those_that_are_described.pytestmark
        cases = marks[0].args[1]
        assert set(operations) == {(API + path, method) for method, path in cases}

    def test_the_format_is_the_projects(self, operations):
        def formats(path, method):
            return [
                one["schema"]["enum"]
                for one in operations[API + path, method]["parameters"]
                if one["name"] == api_settings.URL_FORMAT_OVERRIDE
            ]

        assert formats("", "get") == [["json", "ndjson"]]


GOOD = [
    "", "?since=1&limit=2", "?since=0", "?since=99", "?limit=0", "?kind=a.*&kind=b", "?epoch=x&since=1",
    "?format=ndjson", "?format=ndjson&since=0", "?stream=s", "?stream=s&stream=t*", "?last=2", "head/", "streams/", "streams/?limit=1",
    "streams/?status=running", "streams/s/", "streams/s/events/",
]  # fmt: skip
BAD = [
    ("?since=-1", 400), ("?since=1&since=2", 400), ("?kind=A", 400), ("?stream=a b", 400), ("?stream=*", 400), ("?last=0", 400),
    ("?log=nobody", 404), ("?on_gap=error&since=0", 410), ("?on_gap=error&since=99", 410),
    ("?format=nothing", 404), ("?format=ndjson&since=x", 400), ("head/?log=1&log=1", 400),
    ("?" + "&".join(f"a{n}=1" for n in range(2000)), 400), ("streams/nobody/", 404),
    ("streams/a b/events/", 404), ("streams/?limit=x", 400), ("streams/?status=x", 400),
]  # fmt: skip
BODIES = [
    ({"kind": "a"}, 201), ([{"kind": "a"}, {"kind": "b", "stream": "s"}], 201),
    ({"kind": "a", "payload": None, "stream": None, "key": None}, 201),
    ({"kind": "a", "payload": {"n": 1}, "stream": "", "key": "k"}, 201),
    ({"kind": "A"}, 400), ([], 400), ("{", 400), ([{"kind": "a"}, {"kind": "end"}], 400),
    ({"kind": "a", "position": 1}, 400), ({"kind": "a", "key": "taken"}, 409),
    ({"kind": "a", "payload": {"a": "x" * 3_000_000}}, 413),
]  # fmt: skip


class TestAnswers:
    """What really comes back is what was said."""

    @pytest.fixture(autouse=True)
    def entries(self, log):
        fill(log, 3, stream="s")
        log.append("a.b", {"é": [1, None]}, key="taken")
        log.prune(max_entries=3)

    @pytest.fixture
    def conforms(self, document):
        return lambda answer: check(document, answer)

    @pytest.mark.parametrize("path", GOOD)
    def test_reading(self, client, log, conforms, path):
        answer = client.get(with_log(path, log))
        assert answer.status_code == 200
        conforms(answer)

    @pytest.mark.parametrize(("path", "status"), BAD)
    def test_what_cannot_be_read(self, client, log, conforms, path, status):
        answer = client.get(path and with_log(path, log))
        assert answer.status_code == status
        conforms(answer)

    @pytest.mark.parametrize(("body", "status"), BODIES)
    def test_writing(self, post, conforms, body, status):
        answer = post(body)
        assert answer.status_code == status
        conforms(answer)

    @pytest.mark.parametrize(("body", "status"), BODIES)
    def test_a_body_is_valid_where_it_is_taken(self, document, body, status):
        """413 and 409 are beyond a schema, and so is text that is no JSON."""
        if status in (409, 413) or isinstance(body, str):
            return
        operation = document["paths"][API]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert validator(document, schema).is_valid(body) == (status == 201)

    def test_a_host_of_statuses(self, client, user, log, conforms, post, rf, monkeypatch):
        conforms(client.get(with_log("", log), headers={"accept": "image/png"}))
        conforms(client.post(with_log("", log), {"kind": "a"}))
        for path in ("", "head/", "streams/", "streams/s/", "streams/s/events/"):
            conforms(Client().get(with_log(path, log)))
            conforms(client.get(with_log(path + "?log=none", log, name=False)))
        user.user_permissions.clear()
        conforms(client.get(with_log("", log)))
        conforms(post({"kind": "a"}))

    def test_a_stream_that_was_never_opened(self, client, log, conforms):
        assert client.get(with_log("streams/s/", log)).json()["status"] is None


def with_log(path, log, name=True):
    if not name or "log=" in path:
        return API + path
    return f"{API}{path}{'&' if '?' in path else '?'}log={log.name}"


def check(document, answer):
    """Hold an answer against what the schema says of its operation, status and media type."""
    path = "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", answer.resolver_match.route)
    operation = document["paths"][path][answer.request["REQUEST_METHOD"].lower()]
    said = operation["responses"][str(answer.status_code)]
    media = answer["Content-Type"].split(";")[0]
    schema = said["content"][media]["schema"]
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    for part in body.splitlines() if media == "application/x-ndjson" else [body]:
        validator(document, schema).validate(json.loads(part))
    for name, header in said.get("headers", {}).items():
        assert name in answer or not header["required"]
        if name in answer and header["schema"]["type"] == "integer":
            assert int(answer[name]) >= header["schema"]["minimum"]
    if "X-Events-Gap" in answer:
        gap = {"$ref": f"#/components/schemas/{PREFIX}Gap"}
        validator(document, gap).validate(json.loads(answer["X-Events-Gap"]))


def validator(document, schema):
    """Strict in both directions: a member that is not described is an error as well."""
    components = json.loads(json.dumps(document["components"]))
    for component in components["schemas"].values():
        if "properties" in component:
            component["additionalProperties"] = False
    return jsonschema.Draft202012Validator({**schema, "components": components})


class TestWithout:
    def test_everything_else_works_without_drf_spectacular(self):
        """It is an extra, so the app must not miss it."""
        done = manage(
            "shell",
            "-v0",
            "-c",
            "from django.test import Client\n"
            "from django.urls import reverse\n"
            "assert reverse('events:head') == '/api/events/head/'\n"
            "assert Client().get('/api/events/schema/').status_code == 404\n"
            "assert Client().get('/api/events/?since=x').status_code in (401, 403)\n"
            "print('fine')\n",
            block=True,
        )
        assert (done.stdout.strip(), done.returncode) == ("fine", 0), done.stderr

    def test_it_passes_its_checks(self):
        done = manage("check", block=True)
        assert done.returncode == 0, done.stderr


BLOCKED = """\
import sys
from django.core.management import execute_from_command_line
sys.modules["drf_spectacular"] = None
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def manage(*arguments, block=False):
    """A command of the example site, in a process of its own."""
    start = ["-c", BLOCKED] if block else ["manage.py"]
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DEBUG": "1",
            "ALLOWED_HOSTS": "testserver",
            "DATABASE_URL": "sqlite://:memory:",
            "DJANGO_SETTINGS_MODULE": "eventsite.settings",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
