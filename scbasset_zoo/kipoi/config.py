"""Adding the zoo to the sources in Kipoi's config.yaml, and taking it out again."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import new_file, remove
from scbasset_zoo.kipoi.folder import registered_folder, write_source

SOURCE = "scbasset_zoo"
DEFAULT = "kipoi"
REPLACED = "kipoi-before-scbasset_zoo"


def register(*, as_default: bool = False) -> Path:
    """Make the zoo a source of Kipoi; whatever else Kipoi's config.yaml holds stays, and what it was is kept beside it.

    Parameters
    ----------
    as_default : bool
        Also make it the source that Kipoi takes where none is named. The one that was stays, under another name.

    Returns
    -------
    Path
        The source's folder.

    Raises
    ------
    InputError
        kipoi is not installed, or its config.yaml is not what it should be; then nothing is changed.
    """
    if importlib.util.find_spec("kipoi") is None:
        raise InputError("kipoi is not installed here. Install it with: pip install 'scbasset-zoo[kipoi]'")
    folder = registered_folder()
    with _sources() as sources:
        before, ours = sources.get(SOURCE), {"type": "local", "local_path": str(folder)}
        default = sources.get(DEFAULT)
        if as_default and default not in (None, before, ours):
            if REPLACED in sources:
                raise InputError(
                    f"{_config_path()} already keeps a source {REPLACED!r}, so the source {DEFAULT!r} cannot be kept under that "
                    "name. Rename or remove one of them."
                )
            sources[REPLACED] = default
        if as_default or (default is not None and default == before):
            sources[DEFAULT] = dict(ours)
        if SOURCE in sources:
            sources[SOURCE] = ours
        else:
            # First, since comments after the last source would go with it when it is taken out.
            sources.insert(0, SOURCE, ours)
        write_source(folder)
    return folder


def unregister() -> bool:
    """Take the zoo out of Kipoi's sources and put back the default that was; the source's folder is removed.

    A config.yaml that is as :func:`register` left it becomes what it was before, byte by byte.

    Returns
    -------
    bool
        Whether the zoo was registered.

    Raises
    ------
    InputError
        Kipoi's config.yaml is not what it should be; then nothing is changed.
    """
    if not _config_path().exists():
        return False
    with _sources() as sources:
        ours = sources.pop(SOURCE, None)
        if ours is not None and sources.get(DEFAULT) == ours:
            if REPLACED in sources:
                sources[DEFAULT] = sources.pop(REPLACED)
            else:
                del sources[DEFAULT]
    remove(registered_folder())
    return ours is not None


def _config_path() -> Path:
    return Path.home() / ".kipoi" / "config.yaml"


def _kept_path() -> Path:
    """Where register keeps what config.yaml was before."""
    return _config_path().with_name("config.yaml.before-scbasset_zoo")


@contextlib.contextmanager
def _sources() -> Iterator[Any]:
    """The section model_sources of config.yaml, written back if the block ends well and has changed it.

    What register replaces is kept; taken out again, it is put back unless config.yaml was changed in between.
    """
    path = _config_path()
    if not path.exists():
        # Kipoi writes its own sources there when it is first imported.
        importlib.import_module("kipoi")
    content = path.read_bytes() if path.exists() else b""
    config = _loaded(path, content)
    sources = config["model_sources"]
    before = list(sources.items())
    yield sources
    if list(sources.items()) == before:
        return
    original = _kept(content)
    if original is None and SOURCE not in dict(before):
        original = content
    if SOURCE in sources:
        content = _dumped(config, content)
        remove(_kept_path())
        if original is not None:
            _write(_kept_path(), _header(content) + original)
        _write(path, content)
    else:
        _write(path, _dumped(config, content) if original is None else original)
        remove(_kept_path())


def _kept(content: bytes) -> bytes | None:
    """What config.yaml was before register, if its content is still as register left it."""
    path = _kept_path()
    kept = path.read_bytes() if path.is_file() else b""
    return kept.removeprefix(_header(content)) if kept.startswith(_header(content)) else None


def _header(content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    return f"# What `scbasset-zoo kipoi unregister` puts back while config.yaml has SHA-256 {digest}:\n".encode()


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.indent(mapping=4)
    yaml.preserve_quotes, yaml.width = True, 10_000
    return yaml


def _loaded(path: Path, content: bytes) -> Any:
    """config.yaml as a mapping with a mapping model_sources, which are made where there are none."""
    from ruamel.yaml import YAMLError
    from ruamel.yaml.comments import CommentedMap

    lines = content.replace(b"\r\n", b"\n")
    try:
        config = _yaml().load(lines)
        if config is None:
            # Comments belong to what follows them: alone they would be lost.
            config = _yaml().load((lines.rstrip() + b"\nmodel_sources:\n").lstrip())
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML, and was left as it is: {error} Mend it, or remove it.") from error
    if isinstance(config, dict) and config.get("model_sources") is None:
        config["model_sources"] = CommentedMap()
    if not isinstance(config, dict) or not isinstance(config["model_sources"], dict):
        raise InputError(f"{path} must be a mapping with a mapping model_sources. Mend it, or remove it.")
    return config


def _dumped(config: Any, before: bytes) -> bytes:
    """As YAML, with the ends of lines that the file had."""
    stream = io.BytesIO()
    _yaml().dump(config, stream)
    return stream.getvalue().replace(b"\n", b"\r\n") if b"\r\n" in before else stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    # What a link points at is written, not the link replaced.
    target = path.resolve()
    with new_file(target) as partial, partial.open("wb") as file:
        if _config_path().exists():
            shutil.copymode(_config_path(), partial)
        file.write(content)
