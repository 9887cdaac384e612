"""What a cleaning function raises."""

from __future__ import annotations


class CleaningError(ValueError):
    """A text has no meaning that its column can hold; ``code`` is that of the reject's reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
