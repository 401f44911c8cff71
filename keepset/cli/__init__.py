"""The command line. Each command is a thin door to one function of the domain.

Exit codes: 0 done (or nothing to do) · 1 a stage failed · 2 wrong usage or config, or a missing extra ·
3 workspace or manifest unusable · 4 the stage before has not run · 5 a gate failed · 6 the cleaning batch cannot
take this step · 7 another run holds the workspace · 8 the Prefect server does not answer · 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from keepset import __version__
from keepset.cli import output
from keepset.errors import KeepsetError

__all__ = ["app", "main"]

INTERRUPTED = 130

app = typer.Typer(
    name="keepset",
    help="Build an image classifier from images on the web, and keep it good.\n\n"
    'Pictures from the web: [bold]keepset new bears "black bear" "teddy bear"[/bold], then '
    "[bold]keepset run bears.toml[/bold]. Your own, in a folder per class: [bold]keepset run FOLDER[/bold]. "
    "Then `keepset` alone says where you are and what is next.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    add_completion=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 stage failed, 2 usage or config, 3 workspace, 4 stage before missing, "
    "5 gate failed, 6 review step refused, 7 busy, 8 no Prefect server. More: `keepset docs`",
)


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda v: _version(v), help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        from keepset.cli.admin import where_and_what_next

        where_and_what_next()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"keepset {__version__}")
        raise typer.Exit


def _assemble() -> None:
    from keepset.cli import admin, data, export, predict, review, stages

    for module in (stages, admin, predict, export, review, data):  # as the help lists them
        module.register(app)
    stages.register_stages(app)
    _let_flow(app)


def _let_flow(commands: typer.Typer) -> None:
    """Help is broken where the terminal ends, not where the source's lines do (rich would keep those)."""
    from inspect import cleandoc

    infos = [*commands.registered_commands, commands.registered_callback]
    for info in infos:
        if info and info.callback and info.callback.__doc__ and not isinstance(info.help, str):
            paragraphs = cleandoc(info.callback.__doc__).split("\n\n")
            info.help = "\n\n".join(" ".join(p.split()) for p in paragraphs)
    for group in commands.registered_groups:
        if group.typer_instance:
            _let_flow(group.typer_instance)


_assemble()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a documented code."""
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # a file name, or a terminal's encoding, is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args, standalone_mode=True)
    except KeepsetError as e:
        output.fail(e, as_json="--json" in args)
        sys.exit(e.exit_code)
    except SystemExit as e:
        if e.code == INTERRUPTED:  # what typer makes of Ctrl-C, without a word
            output.say("Interrupted. What was finished is kept; the same command goes on from there.")
        raise
    except BrokenPipeError:
        sys.exit(0)
