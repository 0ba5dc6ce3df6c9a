"""The registry: complete, without clashes, and every action is really there."""

from __future__ import annotations

import pytest

from console.tui.action import Scope
from console.tui.actions import ACTIONS, TABLE_SCREENS, action_by_id, offered_on
from console.tui.app import RoostApp
from console.tui.keys import RESERVED_KEYS, key_words, keys_of
from console.tui.screens.base import View
from console.tui.screens.bench import BenchScreen
from console.tui.screens.changes import ChangesScreen
from console.tui.screens.compat import CompatScreen
from console.tui.screens.containers import ContainersScreen
from console.tui.screens.doctor import DoctorScreen
from console.tui.screens.drift import DriftScreen
from console.tui.screens.drivers import DriversScreen
from console.tui.screens.engine import EngineScreen
from console.tui.screens.engines import EnginesScreen
from console.tui.screens.fleet import FleetScreen
from console.tui.screens.gpus import GpusScreen
from console.tui.screens.history import HistoryScreen
from console.tui.screens.image import ImageScreen
from console.tui.screens.images import ImagesScreen
from console.tui.screens.job import JobScreen
from console.tui.screens.jobs import JobsScreen
from console.tui.screens.logs import LogsScreen
from console.tui.screens.node import SECTIONS, NodeScreen
from console.tui.screens.placement import PlacementScreen
from console.tui.screens.push import PushScreen
from console.tui.screens.rollout import RolloutScreen
from console.tui.screens.rollouts import RolloutsScreen
from console.tui.screens.snapshots import SnapshotsScreen
from console.tui.screens.tables import TableView
from console.tui.screens.workloads import WorkloadsScreen

SCREENS: dict[Scope, type[View]] = {
    "fleet": FleetScreen,
    "node": NodeScreen,
    "containers": ContainersScreen,
    "gpus": GpusScreen,
    "doctor": DoctorScreen,
    "jobs": JobsScreen,
    "job": JobScreen,
    "images": ImagesScreen,
    "image": ImageScreen,
    "push": PushScreen,
    "compat": CompatScreen,
    "drivers": DriversScreen,
    "drift": DriftScreen,
    "placement": PlacementScreen,
    "workloads": WorkloadsScreen,
    "engines": EnginesScreen,
    "engine": EngineScreen,
    "bench": BenchScreen,
    "rollouts": RolloutsScreen,
    "rollout": RolloutScreen,
    "history": HistoryScreen,
    "snapshots": SnapshotsScreen,
    "changes": ChangesScreen,
    "logs": LogsScreen,
}
# They change nothing, or what takes nothing away: a pause, a runner where there is none.
LOOKING = {
    "image.packages",
    *("engine.watch", "engine.bench", "engine.log"),
    *("rollout.history", "rollout.details", "rollout.trouble", "rollout.node", "rollout.bell"),
    *("rollout.pause", "rollout.steer"),
    *("snapshot.take", "snapshot.diff", "snapshot.read", "snapshot.fold"),
}


def test_ids_name_one_action_each() -> None:
    ids = [action.id for action in ACTIONS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("screen", SCREENS)
def test_a_key_means_one_thing_on_a_screen(screen: Scope) -> None:
    keys = [key for action in offered_on(screen) for key in action.key.split(",")]
    assert len(keys) == len(set(keys))


def test_no_key_is_one_that_tmux_screen_or_the_terminal_take() -> None:
    assert not RESERVED_KEYS & set(keys_of(ACTIONS, {}))


@pytest.mark.parametrize("screen", SCREENS)
def test_every_action_of_a_screen_is_handled(screen: Scope) -> None:
    view = SCREENS[screen]
    missing = [
        action.id
        for action in offered_on(screen)
        if not action.id.startswith("sort.")
        and not hasattr(view, f"act_{action.id.replace('.', '_')}")
        and not hasattr(RoostApp, f"do_{action.id}")
    ]
    assert missing == []


@pytest.mark.parametrize("screen", sorted(TABLE_SCREENS))
def test_every_sort_names_a_column(screen: Scope) -> None:
    view = SCREENS[screen]
    assert issubclass(view, TableView)
    tables = [view.columns] if view is not NodeScreen else [s.columns for s in SECTIONS]
    columns = {column.id for table in tables for column in table}
    sorts = {a.id.removeprefix("sort.") for a in offered_on(screen) if a.id.startswith("sort.")}
    assert sorts
    assert sorts <= columns


def test_whatever_changes_something_asks_first_and_needs_a_role() -> None:
    changing = [
        action
        for action in ACTIONS
        if action.id.startswith(
            (
                "container.",
                "job.",
                "image.",
                "push.",
                "pin.",
                "engine.",
                "bench.",
                "rollout.",
                "snapshot.",
            )
        )
        and action.id not in LOOKING
    ]
    assert len(changing) == 28
    assert all(a.danger != "none" and a.role == "operator" for a in changing)
    for each in ("shell", "rollout.pause", "rollout.steer"):
        assert action_by_id(each).role == "operator"


def test_keys_read_as_people_call_them() -> None:
    words = [key_words(key) for key in ("up,k", "question_mark", "N", "ctrl+t", "ctrl+@", "l")]
    assert words == ["Up, k", "?", "Shift+N", "Ctrl+T", "Ctrl+Space", "l"]


def test_an_unknown_id_is_an_error() -> None:
    with pytest.raises(KeyError):
        action_by_id("container.explode")
