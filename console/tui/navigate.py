"""From a command to its screen. Screens are imported when they are first wanted."""

from __future__ import annotations

from console.tui.commands import Command
from console.tui.ports import Context
from console.tui.screens.base import View


def build_view(command: Command, context: Context) -> View:
    """The screen of a command.

    Raises:
        ProblemError: the command names a node or a container that there is not.
    """
    if command.view == "fleet":
        from console.tui.screens.fleet import FleetScreen

        return FleetScreen(context, command)
    if command.view == "node":
        from console.tui.screens.node import NodeScreen

        return NodeScreen(context, command)
    if command.view == "containers":
        from console.tui.screens.containers import ContainersScreen

        return ContainersScreen(context, command)
    if command.view == "gpus":
        from console.tui.screens.gpus import GpusScreen

        return GpusScreen(context, command)
    if command.view == "doctor":
        from console.tui.screens.doctor import DoctorScreen

        return DoctorScreen(context, command)
    if command.view == "logs":
        from console.tui.screens.logs import LogsScreen

        return LogsScreen(context, command)
    if command.view == "jobs":
        from console.tui.screens.jobs import JobsScreen

        return JobsScreen(context, command)
    if command.view == "job":
        from console.tui.screens.job import JobScreen

        return JobScreen(context, command)
    if command.view == "images":
        from console.tui.screens.images import ImagesScreen

        return ImagesScreen(context, command)
    if command.view == "image":
        from console.tui.screens.image import ImageScreen

        return ImageScreen(context, command)
    if command.view == "push":
        from console.tui.screens.push import PushScreen

        return PushScreen(context, command)
    raise AssertionError(command.view)  # the app does the other commands itself
