"""Refuse HDF5 files and Zarr stores that take values from other files, since a private file could come out in a result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import h5py

from scbasset_zoo.errors import InputError, readable

MAX_OBJECTS = 1_000_000


def check_no_outside_links(path: str | os.PathLike[str]) -> None:
    """Check that all values of an HDF5 file or a Zarr store are inside it.

    Parameters
    ----------
    path : path
        An HDF5 file, or the folder of a Zarr store.

    Raises
    ------
    InputError
        An HDF5 file has an external link, external storage or a virtual dataset, or more than `MAX_OBJECTS` objects; a symbolic
        link in a Zarr store leads out of it; or the file cannot be read.
    """
    path = Path(path)
    with readable(str(path)):
        if path.is_dir():
            outside = next(_links_out_of_folder(path), None)
        else:
            with h5py.File(path, "r") as file:
                outside = next(_outside_of_file(file), None)
    if outside:
        raise InputError(f"{path}: {outside}. This is refused: write the values into the file itself.")


def _outside_of_file(file: h5py.File) -> Iterator[str]:
    groups: list[h5py.Group] = [file]
    # An object may have several names, also names inside itself.
    seen = {h5py.h5o.get_info(file.id).addr}
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            where = f"{group.name.rstrip('/')}/{name}"
            if isinstance(link, h5py.ExternalLink):
                yield f"{where!r} is a link to another file, {link.filename!r}"
            if not isinstance(link, h5py.HardLink):
                # The object of a soft link is in the file under another name, or behind an external link.
                continue
            member = group[name]
            address = h5py.h5o.get_info(member.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                yield f"there are more than {MAX_OBJECTS:,} groups and datasets"
            if isinstance(member, h5py.Group):
                groups.append(member)
            elif isinstance(member, h5py.Dataset):
                properties = member.id.get_create_plist()
                if properties.get_external_count():
                    yield f"the values of {where!r} are in another file, {os.fsdecode(properties.get_external(0)[0])!r}"
                if member.is_virtual:
                    yield f"{where!r} is a virtual dataset, whose values are in other datasets"


def _links_out_of_folder(folder: Path) -> Iterator[str]:
    root = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            member = Path(parent, name)
            if member.is_symlink() and not member.resolve().is_relative_to(root):
                yield f"{str(member.relative_to(folder))!r} is a symbolic link out of the folder"
