"""Check built pages: every link, anchor and picture of the site exists, and nothing is loaded from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = ("script", "img", "link", "iframe", "source")


@dataclass
class Page(HTMLParser):
    """What one page names and what it refers to."""

    anchors: set[str] = field(default_factory=set)
    references: list[tuple[str, str]] = field(default_factory=list)
    """Tag and address."""
    undescribed: list[str] = field(default_factory=list)
    """Pictures without alternative text."""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.anchors.add(values["id"])
        for name in ("href", "src"):
            if values.get(name):
                self.references.append((tag, values[name]))
        if tag == "img" and not values.get("alt"):
            self.undescribed.append(values.get("src", "")[:60])


def problems(site: Path) -> list[str]:
    """What is wrong with the pages of a built site, one line each."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    found = ((path.relative_to(site), _of_page(path, page, pages)) for path, page in pages.items())
    return [f"{name}: {problem}" for name, of_page in found for problem in of_page]


def _of_page(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    yield from (f"picture {name} has no alternative text" for name in page.undescribed)
    for tag, address in page.references:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") or parts.netloc:
            if tag in LOADED:
                yield f"<{tag}> loads {address}"
            continue
        if parts.scheme:  # data:, mailto:, javascript:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        if not target.exists():
            yield f"{address} leads nowhere"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            yield f"{address} has no such anchor"


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page
