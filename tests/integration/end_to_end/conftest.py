"""The stack of the story."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stack import whole_stack
from tests.support.story import Story


@pytest.fixture(scope="package")
def story() -> Iterator[Story]:
    """One for all chapters: what each finds is what those before it left."""
    with whole_stack() as stack:
        yield Story(stack)
