"""Property tests run a hundred cases each: they have a minute, where others have ten seconds."""

from __future__ import annotations

import pytest
from hypothesis import is_hypothesis_test

PROPERTY_SECONDS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        function = getattr(item, "obj", None)
        if is_hypothesis_test(function) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PROPERTY_SECONDS))
