"""What all tests have: real parts, short folders, and a watch on blocking calls."""

pytest_plugins = [
    "tests.real.plugin",
    "tests.real.fixtures",
    "tests.short_folders",
    "tests.blocking_calls",
]
