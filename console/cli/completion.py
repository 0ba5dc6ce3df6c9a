"""`roost completion`: what makes a shell complete the command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from agent.protocol.problems import ProblemError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes your shell complete `roost`, names of nodes included.

    \b
    bash: roost completion bash > ~/.local/share/bash-completion/completions/roost
    zsh:  roost completion zsh > "${fpath[1]}/_roost"
    fish: roost completion fish > ~/.config/fish/completions/roost.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise ProblemError(
            "console.usage", f"nothing is known of {shell}", hint="Take bash, zsh or fish."
        )
    root = ctx.find_root()
    script = kind(root.command, {}, "roost", "_ROOST_COMPLETE").source()
    # click's script for fish cuts what is said of a command at its first comma.
    click.echo(script.replace('string split "," ', 'string split --max 1 "," '))
