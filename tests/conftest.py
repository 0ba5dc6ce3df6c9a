"""What all tests have: real parts, short folders, a watch on blocking calls, patience, workers."""

pytest_plugins = [
    "tests.real.plugin",
    "tests.real.fixtures",
    "tests.short_folders",
    "tests.blocking_calls",
    "tests.patience",
    "tests.workers",
]
