"""Pages of the site that come from elsewhere in the repository: CHANGELOG.md and others, and the commands with their options.

Links in docs/*.md are those of the repository, so that they work where the repository is read. Here they become links of the site.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
# Page of the site, and the file of the repository that has its text.
COPIES = {
    "project/readme": "README.md",
    "project/changes": "CHANGELOG.md",
    "project/security": "SECURITY.md",
    "project/contributing": "CONTRIBUTING.md",
    "project/example-plugin": "plugins/example/README.md",
}
_PAGE_OF = {ROOT / file: page for page, file in COPIES.items()}
_LINK = re.compile(r"(!?\[[^\]]+\])\(([^)\s]+)\)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Replace the text of pages before Sphinx reads it."""
    app.connect("source-read", _fill_page)
    return {"parallel_read_safe": False}


def _fill_page(app: Sphinx, page: str, source: list[str]) -> None:
    file = Path(app.srcdir) / f"{page}.md"
    text = source[0]
    if page in COPIES:
        file = ROOT / COPIES[page]
        text = file.read_text()
    if page == "reference/commands":
        text += "\n".join(_commands())
    source[0] = _LINK.sub(lambda link: _site_link(link, file, app.srcdir / f"{page}.md"), text)


def _site_link(link: re.Match[str], file: Path, page: Path) -> str:
    """Return a link of the site. A file of the repository that is no page of the site keeps its name, without a link."""
    text, address = link.groups()
    path, hash_, anchor = address.partition("#")
    if not path or ":" in path:
        return link.group()
    target = (file.parent / path).resolve()
    if target.is_dir() and (target / "README.md").exists():
        target /= "README.md"
    if target in _PAGE_OF:
        target = ROOT / "docs" / f"{_PAGE_OF[target]}.md"
    if not target.is_relative_to(ROOT / "docs"):
        return text.strip("[]")
    return f"{text}({os.path.relpath(target, page.parent)}{hash_}{anchor})"


def _commands() -> Iterator[str]:
    """Yield Markdown: each command with its usage, help, arguments and options."""
    from scbasset_zoo.cli.main import app

    command = typer.main.get_command(app)
    context = command.make_context("scbasset-zoo", [], resilient_parsing=True)
    for name in command.list_commands(context):
        yield from _describe(command.get_command(context, name), name, context, 2)


def _describe(command: Any, name: str, parent: Any, level: int) -> Iterator[str]:
    context = command.context_class(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"\n{'#' * level} {context.command_path.removeprefix('scbasset-zoo ')}\n\n```text\n{usage}\n```\n"
    yield f"{_plain(command.help or '')}\n"
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        yield f"`{record[0]}`\n: {_plain(record[1]) or 'See above.'}\n"
    for child in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _describe(command.get_command(context, child), child, context, level + 1)


def _plain(text: str) -> str:
    """Return text in which Markdown sees no markup."""
    return re.sub(r"([\\*_<>`\[\]|$])", r"\\\1", text).replace("\f", "")
