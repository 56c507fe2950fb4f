"""The documentation as a web site, and as it is read in the repository."""

import doctest
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from hippflow.reading.channel import Channel, SignalFile
from hippflow.reading.day import Day
from hippflow.reading.recording import Plane, Recording
from hippflow.reading.session import Session

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
PAGES = ("index", "usage", "operations", "products", "decisions")

#: What a page consists of, apart from running text.
PARTS = {"h1", "h2", "h3", "h4", "li", "tr", "th", "td", "pre", "img"}


class Page(HTMLParser):
    """A page of the site: the parts of its article, its links and what a browser loads with it."""

    def __init__(self, path):
        super().__init__()
        self.parts, self.links, self.loads, self.ids, self.inside, self.text = Counter(), [], [], set(), False, ""
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.inside |= tag == "article"
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        self.parts[tag] += self.inside and tag in PARTS
        self.links += [attrs["href"]] if tag == "a" and "href" in attrs else []
        self.loads += [attrs[name] for name in ("src", "srcset", "data", "poster") if attrs.get(name)]
        self.loads += [attrs["href"]] if tag == "link" and attrs.get("rel") not in ("canonical", "next", "prev") else []
        self.loads += re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')]+)", attrs.get("style") or "")

    def handle_endtag(self, tag):
        self.inside &= tag != "article"

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The site's folder, and what was said when it was built."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return site, done.stderr


@pytest.fixture(scope="module")
def site(build):
    return build[0]


def test_the_site_is_built_without_a_warning(build):
    lines = re.findall(r"^(\w+) +- +", build[1], re.MULTILINE)
    assert set(lines) == {"INFO"}, build[1]


def test_make_docs_builds_it_as_strictly():
    done = subprocess.run(["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "mkdocs build --strict" in done.stdout
    assert "/site/" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_document_is_a_page_that_the_menu_has(site):
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    pages = [page for entry in settings["nav"] for page in entry.values()]
    assert sorted(pages) == sorted([*(path.name for path in DOCS.glob("*.md")), "explore_day.md"])
    for page in pages:
        assert (site / page).with_suffix(".html").exists()


def test_nothing_is_fetched_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 7
    for path in pages:
        page = Page(path)
        assert len(page.loads) > 3
        for address in page.loads:
            assert not re.match(r"\w+:|//", address) or address.startswith("data:"), f"{path.name}: {address}"
            assert path.name == "404.html" or (path.parent / address.split("?")[0].split("#")[0]).exists(), address
        assert "mermaid" not in path.read_text()  # for which the theme would fetch a library
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import)\s*[\"']?(\w+:)?//", path.read_text())
        assert not found, path


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_same_parts_as_in_the_repository(site, name):
    """The site's Markdown wants blank lines and indents where that of the repository (CommonMark) does without."""
    page = Page(site / f"{name}.html")
    found = {part: number for part, number in page.parts.items() if number}
    rendered = site / f"{name}.commonmark"
    html = MarkdownIt("commonmark").enable("table").render((DOCS / f"{name}.md").read_text())
    rendered.write_text(f"<article>{html}</article>")
    expected = {part: number for part, number in Page(rendered).parts.items() if number}
    rendered.unlink()
    assert found == expected
    assert sum(found.values()) > 10


def test_links_between_pages_lead_somewhere(site):
    pages = {path.name: Page(path) for path in site.glob("*.html")}
    checked = 0
    for name, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if name == "404.html" or re.match(r"\w+:", link):
                continue
            assert (site / (target or name)).exists() or target == ".", f"{name}: {link}"
            if anchor and (target or name) in pages:
                assert anchor in pages[target or name].ids, f"{name}: {link}"
                checked += 1
    assert checked > 100


def slug(heading):
    """The anchor of a heading where the repository is shown."""
    text = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def written(path):
    """The text of a document without its code blocks; a notebook's is that of its text cells."""
    text = path.read_text()
    if path.suffix == ".ipynb":
        text = "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", [*WRITTEN, ROOT / "notebooks/explore_day.ipynb"], ids=lambda path: path.name)
def test_links_lead_somewhere_in_the_repository_too(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", written(path)):
        if re.match(r"\w+:", link):
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), link
        if anchor:
            assert anchor in map(slug, re.findall(r"^#+ (.*)", written(found), re.MULTILINE)), link


@pytest.mark.parametrize("kind", [Day, Session, Channel, SignalFile, Recording, Plane], ids=lambda kind: kind.__name__)
def test_the_reference_has_everything_public_of_a_day(site, kind):
    page = Page(site / "reading.html")
    public = [name for name in vars(kind) if not name.startswith("_")]
    assert len(public) > 1
    for name in public:
        value = vars(kind)[name]
        if callable(value) or isinstance(value, property) or hasattr(value, "func"):  # no fields, which the class has
            assert f"{kind.__module__}.{kind.__name__}.{name}" in page.ids


def test_everything_that_the_document_on_reading_names_can_be_asked_for():
    kinds = {"day": Day, "session": Session, "channel": Channel, "signal": SignalFile, "plane": Plane}
    named = re.findall(r"(?<![\w.])(day|session|channel|signal|plane)\.(\w+)", (DOCS / "reading.md").read_text())
    assert len(set(named)) > 25
    assert [f"{kind}.{name}" for kind, name in named if not hasattr(kinds[kind], name)] == []


def test_the_reference_explains_how_a_day_is_opened(site):
    page = Page(site / "reading.html")
    assert "hippflow.reading.day.load_day" in page.ids
    assert "The configuration that the day was made with" in page.text


def test_the_notebook_is_a_page_with_its_code_and_a_file_to_take(site):
    notebook = ROOT / "notebooks/explore_day.ipynb"
    page = Page(site / "explore_day.html")
    cells = json.loads(notebook.read_text())["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            assert "".join(cell["source"]) in page.text
    assert page.parts["pre"] == sum(cell["cell_type"] == "code" for cell in cells) > 5
    assert (site / notebook.name).read_bytes() == notebook.read_bytes()
    assert any(link.startswith("explore_day.html") for link in Page(site / "reading.html").links)


def test_the_hooks_of_the_site_do_what_they_say():
    specification = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert doctest.testmod(module) == (0, 1)
