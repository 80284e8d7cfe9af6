"""The admin in German: every sentence of it, and compiled, so that no host needs gettext."""

import gettext
import os
import re
import shutil
import subprocess
import sys

import pytest
from django.urls import reverse

from .support.admin import person
from .support.servers import ROOT

FOLDER = ROOT / "events" / "locale" / "de" / "LC_MESSAGES"


def sentences(path):
    """What a catalogue in source has: msgid to its translations."""
    found = {}
    for block in path.read_text(encoding="utf-8").split("\n\n")[1:]:
        texts = {}
        for keyword, lines in re.findall(r'^(\w+(?:\[\d\])?) ((?:".*"\n?)+)', block, re.MULTILINE):
            quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', lines)
            texts[keyword] = "".join(quoted).replace('\\"', '"').replace("\\n", "\n")
        if "msgid" in texts:
            found[texts["msgid"]] = [text for name, text in texts.items() if "msgstr" in name]
    return found


def test_every_sentence_is_translated():
    """None is empty or marked as unsure, and each has the same gaps to be filled in."""
    source = FOLDER / "django.po"
    assert "fuzzy" not in source.read_text(encoding="utf-8")
    found = sentences(source)
    assert len(found) > 150
    for english, german in found.items():
        assert german, english
        for text in german:
            assert text, english
            gaps = [set(re.findall(r"%\(\w+\)s", one)) for one in (english, text)]
            assert gaps[0] == gaps[1], english


def test_the_compiled_catalogue_is_that_of_the_source():
    """A change of the one without the other would not be seen by anybody."""
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog
    source = sentences(FOLDER / "django.po")
    assert {key if isinstance(key, str) else key[0] for key in compiled} - {""} == set(source)
    assert set(compiled.values()) >= {text for texts in source.values() for text in texts}


@pytest.mark.skipif(not shutil.which("xgettext"), reason="gettext is not installed")
def test_no_sentence_is_forgotten(tmp_path):
    """What the code and the templates have to say today is what was translated."""
    package = tmp_path / "events"
    shutil.copytree(ROOT / "events", package)
    subprocess.run(
        [sys.executable, "-P", "-m", "django", "makemessages", "-l", "de", "--no-obsolete"],
        cwd=package,
        # A package with a `types` must not be looked into first (-P), and it needs no settings.
        env={key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
        check=True,
        capture_output=True,
        timeout=60,
    )
    there = sentences(package / "locale" / "de" / "LC_MESSAGES" / "django.po")
    assert set(there) == set(sentences(FOLDER / "django.po"))


@pytest.mark.django_db(databases="__all__")
def test_the_admin_speaks_german(settings):
    """Whoever asks for it: the lists, their filters and the overview."""
    settings.LANGUAGE_CODE = "de"
    client = person("view_event", "change_stream")
    for model, word in (("event", "Letzte Stunde"), ("stream", "angehalten"), ("log", "Übersicht")):
        html = client.get(reverse(f"admin:events_{model}_changelist")).content.decode()
        assert word in html
