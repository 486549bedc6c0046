"""Messages of plugins to the user."""

from scbasset_zoo.progress import progress, say
from scbasset_zoo.wording import option

__all__ = ["option", "progress", "say"]
