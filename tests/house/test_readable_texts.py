"""The Markdown files render as meant: no number in a mark tears its paragraph, every link leads somewhere."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from repository import committed

from dsrl_lib.paths import root
from study.evidence import Study
from study.report import texts

MARKDOWN = committed("*.md")
TEXTS = [root() / "README.md", root() / "results" / "camvid" / "REPORT.md"]
TABLE_MARK = re.compile(r"<!-- \w+:(begin|end) -->")

each_file = pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(root())))
each_text = pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)


def parsed(text: str) -> list[Token]:
    """Tokens of the CommonMark reference algorithm, with GitHub's tables."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def torn(text: str) -> list[str]:
    """HTML blocks other than the marks around a table: a line that begins with a comment ends its paragraph."""
    blocks = [token.content.strip() for token in parsed(text) if token.type == "html_block"]
    return [block for block in blocks if not TABLE_MARK.fullmatch(block)]


def paragraphs(text: str) -> list[str]:
    """Paragraphs as a reader sees them: marks are invisible, a line break is a space."""
    found = []
    for token in parsed(text):
        if token.type == "inline":
            parts = ["" if child.type == "html_inline" else child.content or " " for child in token.children or []]
            found.append("".join(parts))
    return found


def test_a_mark_at_the_start_of_a_line_is_found():
    assert torn("DSRL gains\n<!-- miou: dsrl - lr -->+0.45<!-- end --> points") != []
    assert torn("DSRL gains <!-- miou: dsrl - lr -->+0.45<!-- end -->\npoints") == []


@each_file
def test_no_paragraph_is_torn(path: Path):
    assert torn(path.read_text()) == []


@each_text
def test_refreshed_numbers_tear_no_paragraph(path: Path, monkeypatch):
    monkeypatch.setattr(texts, "_number", lambda study, kind, expression, field, shown: "+" + 150 * "1")
    monkeypatch.setattr(texts, "TABLES", dict.fromkeys(texts.TABLES, lambda study: "| a |\n|---|\n| 1 |"))
    text = texts.refreshed(path.read_text(), Study("camvid", []))
    assert text.count(150 * "1") == path.read_text().count("<!-- end -->") > 10
    assert torn(text) == []


def test_each_finding_is_one_row_with_its_numbers_and_claim():
    section = (root() / "README.md").read_text().partition("## What was found")[2].partition("### All claims")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| **")]
    assert len(rows) > 10 and "Does DSRL gain two points" in rows[0][0]
    assert [answer for answer, _, _ in rows if not re.search(r"\*\*.+\?\*\* .*\(C\d+", answer)] == []
    assert re.search(r"\+\d\.\d\d.* \[−\d\.\d\d, \+\d\.\d\d\]", re.sub("<!--.*?-->", "", rows[0][1]))


@each_text
def test_the_claims_are_one_table_and_those_of_one_data_set_another(path: Path):
    text = re.sub(r"<!-- (beds|moving_claims):begin -->.*?<!-- \1:end -->", "", path.read_text(), flags=re.DOTALL)
    cells = [token.content for token in parsed(text) if token.type == "inline"]
    rows = [match[1] for cell in cells if (match := re.match(r"\*\*(C\d+)\*\* ", cell))]
    assert rows == [f"C{number}" for number in [*range(1, 22), 23, 24, 25]]


@each_file
def test_every_link_leads_to_a_file(path: Path):
    inline = [child for token in parsed(path.read_text()) for child in token.children or []]
    links = [str(child.attrs["href"]) for child in inline if child.type == "link_open"]
    local = [link.partition("#")[0] for link in links if not re.match(r"https?://|#", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []
