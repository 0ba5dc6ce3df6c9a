"""From a command to its screen. Screens are imported when they are first wanted."""

from __future__ import annotations

from importlib import import_module

from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.screens.base import View

# View to its class. The app does the other commands itself.
_SCREENS = {
    "fleet": "fleet.FleetScreen",
    "node": "node.NodeScreen",
    "containers": "containers.ContainersScreen",
    "gpus": "gpus.GpusScreen",
    "doctor": "doctor.DoctorScreen",
    "drift": "drift.DriftScreen",
    "logs": "logs.LogsScreen",
    "jobs": "jobs.JobsScreen",
    "job": "job.JobScreen",
    "images": "images.ImagesScreen",
    "image": "image.ImageScreen",
    "push": "push.PushScreen",
    "compat": "compat.CompatScreen",
    "drivers": "drivers.DriversScreen",
    "placement": "placement.PlacementScreen",
    "workloads": "workloads.WorkloadsScreen",
    "engines": "engines.EnginesScreen",
    "engine": "engine.EngineScreen",
    "build": "build.BuildScreen",
    "bench": "bench.BenchScreen",
    "rollouts": "rollouts.RolloutsScreen",
    "rollout": "rollout.RolloutScreen",
    "history": "history.HistoryScreen",
    "snapshots": "snapshots.SnapshotsScreen",
    "changes": "changes.ChangesScreen",
}


def build_view(command: Command, context: Context) -> View:
    """The screen of a command.

    Raises:
        ProblemError: the command names a node or a container that there is not.
    """
    module, _, name = _SCREENS[command.view].partition(".")
    screen: type[View] = getattr(import_module(f"console.tui.screens.{module}"), name)
    return screen(context, command)
