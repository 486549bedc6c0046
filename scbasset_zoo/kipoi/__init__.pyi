from .config import register as register
from .config import unregister as unregister
from .dataloader import PeakWindows as PeakWindows
from .folder import refresh as refresh
from .model import ScBasset as ScBasset
