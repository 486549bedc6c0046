"""What people rely on in the repository itself: links, paths, one version, plain names."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import scbasset_zoo

ROOT = Path(__file__).parents[1]
SOURCES = [path for root in ("scbasset_zoo", "export", "plugins") for path in sorted((ROOT / root).rglob("*.py"))]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "plugins" / "example" / "README.md"]
SETTINGS = ("pyproject.toml", "Makefile", "constraints.txt", "CITATION.cff", ".pre-commit-config.yaml", ".ci/run")
FOLDERS = (".github", "tests", "benchmarks", "examples")
TEXTS = [
    *SOURCES,
    *PAGES,
    *(ROOT / name for name in SETTINGS),
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()),
]
PRIVATE_WORDS = re.compile(r"\b(cook|survey|mend|_astray|_blamed)\b")
# In two parts, so that this file does not name one itself.
REGISTRY_HOSTS = tuple(".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com")))


def relative(path):
    return str(path.relative_to(ROOT))


def without_code(page):
    return re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", without_code(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_to_files_and_headings_of_the_repository(page):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text()))
    broken = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_that_a_page_names_exist(name):
    text = (ROOT / name).read_text()
    paths = re.findall(r"`((?:scbasset_zoo|export|plugins|tests|benchmarks|docs|examples|model_cards)/[\w./-]*)`", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_architecture_names_each_folder_of_the_package():
    text = (ROOT / "docs" / "architecture.md").read_text()
    folders = {path.parent.name for path in (ROOT / "scbasset_zoo").glob("*/__init__.py")}
    assert {folder for folder in folders if f"\n  {folder}/ " not in text} == set()


def test_the_readme_links_each_page():
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in text] == []


def test_the_version_is_written_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assigning = [relative(path) for path in SOURCES if re.search(r"^__version__ = ", path.read_text(), flags=re.MULTILINE)]
    assert assigning == ["scbasset_zoo/version.py"]


def test_the_citation_names_the_newest_release_and_the_version_does_not_precede_it():
    headings = re.findall(r"^## \[?([\w.]+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == headings[1]
    assert Version(scbasset_zoo.__version__) >= Version(headings[1])


@pytest.mark.parametrize("name", ["scbasset_zoo", "export/scbasset_zoo_export", "plugins/scbasset_zoo_plugins"])
def test_each_package_declares_that_it_has_types(name):
    assert (ROOT / name / "py.typed").exists()


def test_code_uses_no_private_words():
    lines = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if PRIVATE_WORDS.search(line)
    ]
    assert lines == []


def test_no_file_names_the_host_of_a_package_registry():
    hosts = re.compile("|".join(map(re.escape, REGISTRY_HOSTS)))
    assert [relative(path) for path in TEXTS if hosts.search(path.read_text(errors="replace"))] == []
