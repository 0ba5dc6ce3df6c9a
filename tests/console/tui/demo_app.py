"""Roost's interface over the fake fleet, in a real terminal.

Run `python -m tests.console.tui.demo_app 0 20` to look at it; tests run it in a pseudo-terminal.
Arguments: nodes (0: the
varied ones), cell changes a second, then options of the profile, `--view=images`, and
`--journal=FOLDER` with rollouts.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from console.tui.look.glyphs import glyphs_for
from console.tui.profile import choose_profile, set_textual_knobs


def main() -> None:
    count, changes = int(sys.argv[1]), float(sys.argv[2])
    options = sys.argv[3:]
    profile = choose_profile(
        os.environ,
        lean=False if "--no-lean" in options else None,
        read_only="--read-only" in options,
        show_bytes="--bytes" in options,
        theme=next((o.removeprefix("--theme=") for o in options if o.startswith("--theme=")), None),
    )
    set_textual_knobs(os.environ)

    from console.tui.app import RoostApp
    from console.tui.commands import parse_command
    from console.tui.look.look import Look
    from console.tui.ports import Context
    from console.tui.rollouts import Rollouts
    from tests.console.tui import fakes
    from tests.console.tui.compat_app import cuda
    from tests.console.tui.fake_desk import FakeDesk
    from tests.console.tui.fake_fleet import FakeFleet

    fakes.NOW = time.time()
    nodes = (
        [fakes.make_node(f"node-{n:04d}", load=n % 80) for n in range(count)]
        if count
        else fakes.varied_nodes()
    )

    class LiveFleet(FakeFleet):
        async def start(self) -> None:
            await super().start()
            self.task = asyncio.create_task(self.change())

        async def change(self) -> None:
            chance = random.Random(1)
            live = [view for view in nodes if view.state == "live" and view.sections["gpus"]]
            fields = ("utilization_percent", "temperature_celsius")
            while changes:
                await asyncio.sleep(0.25)
                for _ in range(max(1, round(changes / 4))):
                    view = chance.choice(live)
                    record = next(iter(view.sections["gpus"].values()))
                    name = chance.choice(fields)
                    record[name] = max(0, min(100, record[name] + chance.choice((-3, -1, 1, 3))))
                    self.changed.add(view.name)

    fleet = LiveFleet(nodes)
    log, needs = fakes.some_log(2000), cuda("12.4.1")
    for number, client in enumerate(fleet.clients.values()):
        client.log = log
        client.held = [
            fakes.make_image(f"registry.example/vision/image-{image}:1", 1 + (number == image))
            for image in range(30)
            if (number + image) % 7
        ]
        client.needs = {image.tags[0]: needs for image in client.held}
    journal = next(
        (o.removeprefix("--journal=") for o in options if o.startswith("--journal=")), ""
    )
    rollouts = Rollouts(FakeDesk(Path(journal)) if journal else None)
    look = Look(profile.theme, glyphs_for(os.environ))
    view = next((o.removeprefix("--view=") for o in options if o.startswith("--view=")), "fleet")
    app = RoostApp(
        Context(fleet, "demo", look, profile, rollouts=rollouts), first=parse_command(view)
    )
    app.run(mouse=profile.mouse)


if __name__ == "__main__":
    main()
