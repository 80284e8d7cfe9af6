"""Users' own endpoints over HTTP: each sees and changes only those that they own.

What such an endpoint gets is what the log's policy lets its owner read, asked at each delivery; so
nothing has to be refused here.
"""

from typing import Any

from django.core.exceptions import ValidationError as Invalid
from django.http import Http404
from rest_framework import serializers, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import conf, endpoints
from .models import Delivery, Endpoint

# Deliveries that are shown.
SHOWN = 100


class EndpointSerializer(serializers.ModelSerializer):  # type: ignore[type-arg]
    id = serializers.CharField(source="uid", read_only=True)

    class Meta:
        model = Endpoint
        fields = (
            "id", "url", "description", "kinds", "streams", "log", "active", "created_at",
            "last_used_at", "last_success_at", "failures", "next_attempt_at", "reason", "last_error",
        )  # fmt: skip
        read_only_fields = fields[7:]


class DeliverySerializer(serializers.ModelSerializer):  # type: ignore[type-arg]
    class Meta:
        model = Delivery
        fields = (
            "webhook_id", "position", "kind", "attempt", "status", "milliseconds", "answer", "error", "at",
        )  # fmt: skip


class OwnView(APIView):
    """The host's authentication says who it is; nobody has no endpoints."""

    permission_classes = (IsAuthenticated,)

    def own(self) -> list[Endpoint]:
        owner = self.request.user.pk
        return [one for one in endpoints.every() if one.owner_id == owner]

    def one(self, uid: str) -> Endpoint:
        found = next((one for one in self.own() if one.uid == uid), None)
        if found is None:
            raise Http404
        return found

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """A secret may be in it."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault("Cache-Control", "private, no-store")
        return response


class EndpointsView(OwnView):
    def get(self, request: Request, **kwargs: Any) -> Response:
        return Response(EndpointSerializer(self.own(), many=True).data)

    def post(self, request: Request, **kwargs: Any) -> Response:
        """A new one. Its secret is in this answer, and in no other."""
        if len(self.own()) >= conf.get("PER_USER"):
            raise serializers.ValidationError({"url": ["You have as many as you may have."]})
        values = validated(EndpointSerializer(data=request.data))
        endpoint = Endpoint(**values, owner_id=request.user.pk)
        secret = endpoint.rotate()
        check(endpoint)
        endpoints.create(endpoint)
        data = {**EndpointSerializer(endpoint).data, "secret": secret}
        return Response(data, status.HTTP_201_CREATED)


class EndpointView(OwnView):
    def get(self, request: Request, uid: str, **kwargs: Any) -> Response:
        return Response(EndpointSerializer(self.one(uid)).data)

    def patch(self, request: Request, uid: str, **kwargs: Any) -> Response:
        """Its log stays: its position is one of that."""
        endpoint = self.one(uid)
        values = validated(EndpointSerializer(endpoint, data=request.data, partial=True))
        values.pop("log", None)
        was_active = endpoint.active
        for name, value in values.items():
            setattr(endpoint, name, value)
        check(endpoint)
        endpoint.save(update_fields=[*values])
        if endpoint.active and not was_active:
            endpoint.switch_on()
        return Response(EndpointSerializer(endpoint).data)

    def delete(self, request: Request, uid: str, **kwargs: Any) -> Response:
        self.one(uid).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class SecretView(OwnView):
    def post(self, request: Request, uid: str, **kwargs: Any) -> Response:
        """A new secret, which is in this answer alone; the one before signs on for a while."""
        return Response({"secret": self.one(uid).rotate()})


class DeliveriesView(OwnView):
    def get(self, request: Request, uid: str, **kwargs: Any) -> Response:
        endpoint = self.one(uid)
        rows = Delivery.objects.using(endpoint._state.db).filter(endpoint=endpoint)
        return Response(DeliverySerializer(rows.order_by("-at")[:SHOWN], many=True).data)


def validated(serializer: EndpointSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def check(endpoint: Endpoint) -> None:
    try:
        endpoint.clean()
    except Invalid as error:
        raise serializers.ValidationError(error.message_dict) from None
