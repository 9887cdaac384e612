"""What the command line reports to its user instead of a traceback."""

from __future__ import annotations


class StackError(RuntimeError):
    """The stack can not do what was asked; the text is one clear sentence that says what to do about it."""


class CancelledError(RuntimeError):
    """The work was told to stop because something else failed or the user pressed Ctrl-C."""
