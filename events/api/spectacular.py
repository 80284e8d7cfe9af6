"""How drf-spectacular gets to hear of the description. Only `events.urls` imports this, and only
where drf-spectacular is installed."""

from typing import Any

from django.utils.encoding import escape_uri_path
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiViewExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView
from uritemplate import variables

from .openapi import Schema, description, operation_of

PREFIX = "Events"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"


class LogViewSchema(AutoSchema):
    """Says what the description says. What a project adds is left to drf-spectacular."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> Schema | None:
        operation = operation_of(type(self.view), method)
        if operation is None:
            return super().get_operation(path, path_regex, path_prefix, method, registry)
        # What AutoSchema's own methods look at.
        self.registry, self.method = registry, method
        for name, schema in description()["components"]["schemas"].items():
            registry.register_on_missing(component(name, schema))
        described: Schema = {**dialect(operation), "tags": ["events"]}
        named = {parameter["name"] for parameter in described["parameters"]}
        described["parameters"] += [in_prefix(one) for one in variables(path) if one not in named]
        answers = [one for one in described["responses"].values() if "content" in one]
        if not any(EVENT_STREAM in one["content"] for one in answers):
            described["parameters"] += self.format_parameters()
        for answer in answers:
            answer["content"] = self.rendered(answer["content"])
        if body := described.get("requestBody"):
            body["content"] = dict.fromkeys(self.map_parsers(), body["content"][JSON])
        if auth := self.get_auth():
            described["security"] = auth
        return described

    def format_parameters(self) -> list[Schema]:
        """DRF's `?format=`, in the formats that this project renders."""
        return [
            {
                "in": "query",
                "name": name,
                "description": "In place of the header `Accept`.",
                "schema": {"type": "string", "enum": self.map_renderers("format")},
                "allowEmptyValue": True,
            }
            for name in [api_settings.URL_FORMAT_OVERRIDE]
            if name
        ]

    def rendered(self, content: Schema) -> Schema:
        """In all that this project renders."""
        if JSON not in content:
            return content
        medias = self.map_renderers("media_type")
        return {media: content.get(media, content[JSON]) for media in medias}


def in_prefix(name: str) -> Schema:
    """A variable in the project's own part of the address."""
    return {"in": "path", "name": name, "required": True, "schema": {"type": "string"}}


def component(name: str, schema: Schema) -> ResolvedComponent:
    return ResolvedComponent(  # type: ignore[no-untyped-call]
        name=name,
        type=ResolvedComponent.SCHEMA,
        object=LogViewSchema,  # who made it: another one of that name is a collision
        schema=dialect(schema),
    )


def dialect(schema: Any) -> Any:
    """A copy in the version of OpenAPI that the project has chosen: only 3.0 has `nullable`."""
    if isinstance(schema, (list, tuple)):
        return [dialect(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {key: dialect(value) for key, value in schema.items()}
    if spectacular_settings.OAS_VERSION.startswith("3.0") or not copied.pop("nullable", False):
        return copied
    if "type" in copied:
        return {**copied, "type": [copied["type"], "null"]}
    return {"anyOf": [*copied["allOf"], {"type": "null"}]}


class LogViewExtension(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """Whatever schema class the project's views have, these have ours."""

    target_class = "events.api.base.LogView"
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        return type(self.target.__name__, (self.target,), {"schema": LogViewSchema()})


class EntrySerializerExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """An entry in a project's own views."""

    target_class = "events.api.serializers.EntrySerializer"
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: Any) -> str:
        return f"{PREFIX}Entry"

    def get_identity(self, auto_schema: AutoSchema, direction: Any) -> Any:
        return LogViewSchema

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        schema: Schema = dialect(description()["components"]["schemas"][f"{PREFIX}Entry"])
        return schema


class Generator(SchemaGenerator):
    """This app alone, at the address that its schema was asked for at."""

    prefix = "/"

    def get_schema(self, request: Request | None = None, public: bool = False) -> Schema:
        if request is not None:
            self.prefix = escape_uri_path(request.path).removesuffix("schema/")
        schema: Schema = super().get_schema(request, public)  # type: ignore[no-untyped-call]
        schema["info"].update(description()["info"])
        return schema

    def coerce_path(self, path: str, method: str, view: APIView) -> str:
        path = super().coerce_path(path, method, view)  # type: ignore[no-untyped-call]
        return self.prefix + path.removeprefix("/")


class SchemaView(SpectacularAPIView):
    """The schema of this app, for everybody whom SERVE_PERMISSIONS lets see one. It tells what can
    be asked, and nothing of what is in a log, so no policy is asked."""

    schema = None  # no endpoint of the API that it describes
    generator_class = Generator
