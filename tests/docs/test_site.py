"""The site shows every public name, every module for plugins, and every page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_reference_has_every_public_name():
    names = re.findall(r" as (\w+)$", (ROOT / "scbasset_zoo/__init__.pyi").read_text(), flags=re.MULTILINE)
    assert len(names) > 20
    page = (DOCS / "reference/api.md").read_text()
    assert [name for name in names if name != "__version__" and not re.search(rf"\b{name}\b", page)] == []


def test_the_reference_has_every_module_for_plugins():
    modules = [file.stem for file in (ROOT / "scbasset_zoo/extend").glob("[a-z]*.py")]
    page = (DOCS / "reference/extend.md").read_text()
    assert modules
    assert [module for module in modules if f"automodule:: scbasset_zoo.extend.{module}\n" not in page] == []


def test_the_contents_list_every_page():
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    assert pages - set((DOCS / "index.md").read_text().split("\n")) == set()


@pytest.mark.parametrize("page", sorted((DOCS / "project").glob("*.md")), ids=lambda page: page.stem)
def test_a_page_from_elsewhere_links_its_file(page):
    (link,) = re.findall(r"\]\(([^)]+)\)", page.read_text())
    file = (page.parent / link).resolve()
    assert file.exists()
    listed = (DOCS / "extensions/repository_pages.py").read_text()
    assert f'"project/{page.stem}": "{file.relative_to(ROOT)}"' in listed
