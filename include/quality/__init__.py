"""Is a record what its contract says? The one place that decides, for silver and for the fraud stream alike."""

from include.quality.classify import Outcome, Rejected, Tombstone, Valid, classify
from include.quality.reason import Reason

__all__ = ["Outcome", "Reason", "Rejected", "Tombstone", "Valid", "classify"]
