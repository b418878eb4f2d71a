"""`nixeryd completions`: the shell's TAB key."""

import click
from click.shell_completion import get_completion_class

from nixeryd.images.errors import NixerydError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completions(ctx: click.Context, shell: str) -> None:
    """Print the completions of a shell.

    \b
    nixeryd completions bash > ~/.local/share/bash-completion/completions/nixeryd
    nixeryd completions zsh > ~/.zfunc/_nixeryd    # a directory of your fpath
    nixeryd completions fish > ~/.config/fish/completions/nixeryd.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise NixerydError(f"this click knows no completions for {shell}")
    made = found(ctx.find_root().command, {}, "nixeryd", "_NIXERYD_COMPLETE")
    # Not source(): for bash that runs one to look at its version.
    click.echo(made.source_template % made.source_vars())
