"""The parts of the fan-out benchmark that can be wrong without anybody noticing."""

import json
import re
from xml.etree import ElementTree

import pytest

from benchmarks import page
from benchmarks.fanout import frames
from benchmarks.fanout.picture import Bar, Panel, draw
from benchmarks.rivals.message import entry, mark, payload

from .support.pages import DOCS


def served(opcode, body, last=True):
    """A frame as a server sends it: no mask."""
    first = opcode | (0x80 if last else 0)
    if len(body) < 126:
        return bytes((first, len(body))) + body
    if len(body) < 2**16:
        return bytes((first, 126)) + len(body).to_bytes(2) + body
    return bytes((first, 127)) + len(body).to_bytes(8) + body


STREAM = b"".join(
    (
        served(frames.TEXT, mark(1).encode()),
        served(frames.PING, b"beat"),
        served(frames.TEXT, mark(2).encode() * 20),
        served(frames.TEXT, b""),
        served(frames.PING, b""),
        served(frames.TEXT, b"x" * 70_000),
        served(frames.CLOSE, b"\x03\xe8"),
    )
)
CONTROLS = [(frames.PING, b"beat"), (frames.PING, b""), (frames.CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 125, 4096, len(STREAM)])
def test_frames_are_found_wherever_the_stream_is_cut(size):
    reader = frames.Frames()
    controls = []
    for at in range(0, len(STREAM), size):
        controls += reader.feed(STREAM[at : at + size])
    assert controls == CONTROLS
    assert reader.data_frames == 4
    assert (reader.missing, reader.rest) == (0, b"")


def test_every_cut_in_two_gives_the_same():
    for at in range(1, 600):
        reader = frames.Frames()
        controls = reader.feed(STREAM[:at]) + reader.feed(STREAM[at:])
        assert (controls, reader.data_frames) == (CONTROLS, 4), at


def test_what_looks_like_a_frame_inside_a_body_is_none():
    reader = frames.Frames()
    assert reader.feed(served(frames.TEXT, served(frames.PING, b"no") * 10)) == []
    assert reader.data_frames == 1


def test_a_client_masks_with_zeros():
    sent = frames.frame(frames.PONG, b"beat")
    assert sent == bytes((0x8A, 0x84, 0, 0, 0, 0)) + b"beat"


def test_marks_are_found_in_order_and_as_wide_as_the_overlap_supposes():
    assert frames.numbers((mark(2) + "…" + mark(1)).encode()) == [2, 1]
    assert len(mark(9_999_999)) == frames.OVERLAP + 1


def test_every_contender_sends_the_same_payload_of_about_200_bytes():
    assert entry(7)["payload"] == payload(7)
    assert 180 <= len(json.dumps(payload(7))) <= 260


def test_the_picture_is_well_formed_and_tells_what_it_shows():
    bars = [Bar("ours <&>", 53_000, 17.2, True), Bar("the other", 2_000, 480.0, False)]
    text = draw([Panel("burst of 40, 500 clients", bars), Panel("nobody came", [])])
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert "ours <&> 53,000/s · 17.2 µs" in root.find(f"{space}desc").text
    widths = [
        float(bar.get("width")) for bar in root.iter(f"{space}rect") if "bar" in bar.get("class")
    ]
    assert len(widths) == 2
    assert widths[1] / widths[0] == pytest.approx(2 / 53, abs=0.01)
    assert "prefers-color-scheme: dark" in text


def test_a_part_that_is_measured_again_leaves_the_others_on_the_page(tmp_path):
    def part(title, ours):
        result = {"name": "a vs b", "ours": ours, "rival": "1/s", "ratio": 2.0, "target": None}
        result |= {"at_most": False, "met": None, "note": ""}
        command = f"python -m benchmarks.{title}"
        return {
            "title": title,
            "command": command,
            "quick": False,
            "skipped": [],
            "results": [result],
        }

    for title, ours in (("read", "4/s"), ("append", "2/s"), ("read", "6/s")):
        page.write(tmp_path, part(title, ours), {"processor": "one"}, ["append", "read"])
    text = (tmp_path / "results.md").read_text()
    assert re.findall("^## (.*)", text, re.M) == ["append", "read", page.MACHINE]
    assert re.findall(r"a vs b \| (\S+)", text) == ["2/s", "6/s"]


def test_every_row_of_the_results_says_what_its_columns_are():
    text = (DOCS / "benchmarks/results.md").read_text()
    rows = re.findall(r"^\| (\w.*?) \| [^|]+ \| ([^|]*)\|", text, re.M)
    assert len(rows) > 100
    assert [name for name, second in rows if (" vs " in name) != bool(second.strip())] == []
