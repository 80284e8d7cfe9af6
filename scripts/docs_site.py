"""What MkDocs cannot know by itself of this documentation: see mkdocs.yml, which hooks it in."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
INDEX = ROOT / "docs/README.md"
# Pages that stand beside docs/, where GitHub looks for them, and where the site has them.
OUTSIDE = {
    "README.md": "about.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_config(config):
    config.nav = navigation(INDEX.read_text())
    return config


def navigation(index):
    """The headings and links of the index, in its order: a page is listed in one place."""
    nav, seen = [{"Documentation": "README.md"}], set()
    for part in re.split(r"^## ", index, flags=re.M):
        heading = part.partition("\n")[0]
        pages = [
            {re.sub(r"\s+", " ", text): OUTSIDE.get(path.removeprefix("../"), path)}
            for text, path, _ in LINK.findall(part)
            if path.endswith(".md") and not (path in seen or seen.add(path))
        ]
        nav += pages if part.startswith("# ") else [{heading: pages}]
    return nav


def on_files(files, config):
    for name, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Have links to the pages beside docs/ lead to where the site has them. Links to source code,
    which the site does not have, become their text."""
    here = next(
        (n for n, p in OUTSIDE.items() if p == page.file.src_uri), f"docs/{page.file.src_uri}"
    )

    def translated(link):
        text, target, anchor = link.groups()
        if re.match(r"[a-z]+:", target):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        to = OUTSIDE.get(path) or path.removeprefix("docs/")
        if path not in OUTSIDE and not path.startswith("docs/"):
            return text
        relative = posixpath.relpath(to, posixpath.dirname(page.file.src_uri) or ".")
        return f"[{text}]({relative}{anchor or ''})"

    return LINK.sub(translated, markdown)
