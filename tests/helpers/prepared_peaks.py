"""Copies of a prepared peak set with one file changed and a manifest that fits the change."""

import json
import shutil

from scbasset_zoo.files import sha256


def rewritten(prepared, folder, name, write):
    """Copy a prepared peak set to `folder`, call `write` with the path of one of its files, and return the folder."""
    shutil.copytree(prepared.folder, folder)
    file = folder / name
    write(file)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
