"""The few lines of a history that a broken invariant is about."""

import json
import re

# Lines that are shown, and characters of each.
LINES, WIDTH = 12, 300


def excerpt(folder, history, finding):
    """What was written down about the events and positions that a finding names, oldest first."""
    words = set(re.findall(r"[\w.-]+", finding))
    uids = {uid for uid in history.emitted if words & {uid, *uid.split()} and uid in finding}
    places = {int(word) for word in words if word.isdigit() and int(word) in history.known}
    uids |= {history.known[place].uid for place in places}
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            if any(f'"{uid}"' in line for uid in uids):
                found.append((moment(line), f"{path.stem}: {narrowed(line, uids)}"))
    first = [text for _, text in sorted(found)[:LINES]]
    return "\n".join(text[:WIDTH] for text in first)


def moment(line):
    [value] = json.loads(line).values()
    return value.get("start") or value.get("at") or 0.0


def narrowed(line, uids):
    """A record without the events that are not in question."""
    [(name, value)] = json.loads(line).items()
    for field in ("events", "entries"):
        if field in value:
            value[field] = [one for one in value[field] if one["uid"] in uids]
    return json.dumps({name: value})
