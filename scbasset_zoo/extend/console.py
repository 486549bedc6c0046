"""Progress bars, messages to the user, and the names of options in messages."""

from scbasset_zoo.progress import progress, say
from scbasset_zoo.wording import option

__all__ = ["option", "progress", "say"]
