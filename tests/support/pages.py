"""Reads the pages of the documentation: their blocks of code, and their links."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

# The project's own front matter, and all that is below docs/.
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md")], key=lambda page: str(page.relative_to(ROOT))
)

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.M
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A block of code. `mark` is the comment above it, which readers do not see."""

    language: str
    text: str
    mark: str
    where: str


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page):
    text = page.read_text()
    return [
        Block(
            found["language"],
            found["text"],
            found["mark"] or "",
            f"{name(page)}:{text.count(chr(10), 0, found.start('text')) + 1}",
        )
        for found in BLOCK.finditer(text)
    ]


def marked(page, mark):
    return [block for block in blocks(page) if block.mark == mark]


def prose(page):
    """A page without its blocks of code, in which brackets mean something else."""
    return BLOCK.sub("", page.read_text())


def links(page):
    """Where a page points to, within the repository: (path, anchor)."""
    for target in LINK.findall(prose(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def anchors(page):
    """What its headings can be linked by, as GitHub makes it of them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", prose(page), re.M)
    }


def rows(page, heading=None):
    """The first cells of a page's tables, without their formatting."""
    text = page.read_text()
    if heading is not None:
        text = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.M)[1]
        text = re.split(r"^#+ ", text, flags=re.M)[0]
    return re.findall(r"^\| `([^`]+)`", text, re.M)
