"""The chat's pages: ask a made-up model, and watch its answer grow.

The question is an event of the log that is kept. A handler answers it (`handlers.py`), token by
token, into a durable stream of a log that forgets, and the page reads that from there. The browser,
the site and the worker may each be killed in the middle: the page goes on from its offset, and
another worker from the tokens that are there.
"""

import random
import secrets
from collections.abc import Iterator

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from events import emit, logs
from eventsite import views

PREFIX = "chat-"
LOG = "tokens"
WORDS = [
    "a",
    "log",
    "is",
    "numbered",
    "without",
    "holes",
    "and",
    "a",
    "reader",
    "holds",
    "one",
    "number",
    "so",
    "nothing",
    "is",
    "lost",
]


class Question(forms.Form):
    question = forms.CharField(max_length=500)


@require_http_methods(["GET", "HEAD", "POST"])
def chats(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return page(request)
    stream = f"{PREFIX}{secrets.token_hex(4)}"
    if not all(logs[log].policy.can_emit(request.user, stream) for log in ("default", LOG)):
        return page(request, status=403)
    form = Question(request.POST)
    if not form.is_valid():
        return page(request, status=400)
    logs[LOG].durable(stream).create()
    emit("chat.asked", {"question": form.cleaned_data["question"]}, stream=stream)
    return redirect("chat", stream)


@require_safe
def chat(request: HttpRequest, stream: str) -> HttpResponse:
    return page(request, stream)


def page(request: HttpRequest, stream: str = "", status: int = 200) -> HttpResponse:
    if not logs[LOG].policy.can_read(request.user, stream or None):
        return views.welcome(request, status)
    return views.page(request, "chat.html", {"stream": stream}, status)


def model(question: str, words: int = 80) -> Iterator[str]:
    """What a model would say. The same question has the same answer, so that a worker can go on
    where another one was killed; with a real model, it would begin the answer anew."""
    chance = random.Random(question)
    yield f"You asked: {question} —"
    for _ in range(words):
        yield f" {chance.choice(WORDS)}"
