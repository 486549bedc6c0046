"""Lists and reads the motif collections that plugins register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from scbasset_zoo import plugin_manager

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def motif_collections() -> dict[str, Callable[[], Mapping[str, ArrayLike]]]:
    """Return the functions that read the registered motif collections, by name.

    A collection is read when its function is called. A name that is registered twice is left out.
    """
    return plugin_manager.motif_collections().as_dict()


def read_motif_collection(name: str) -> Mapping[str, ArrayLike]:
    """Read a registered motif collection.

    Parameters
    ----------
    name : str
        One of :func:`motif_collections`, such as "jaspar-vertebrates".

    Returns
    -------
    mapping of str to array (width, 4)
        Probabilities of A C G T at each position, by "identifier factor".

    Raises
    ------
    InputError
        No plugin registers the name.
    PluginError
        The name is registered twice, or its plugin fails.
    """
    return plugin_manager.motif_collections().get(name)()
