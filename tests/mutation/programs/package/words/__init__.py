from .index import Index
from .ranking import rank
from .text import normal

__all__ = ["Index", "normal", "rank"]
