"""`keepset clean`, `restore`, `purge`: what was decided, carried out, undone, or made final."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keepset.cli import output
from keepset.cli.options import (
    JsonOption,
    NoteOption,
    Panel,
    WhoOption,
    WorkspaceOption,
    open_workspace,
    who_or_default,
)
from keepset.finding import find_workspace

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    for command in (clean, restore, purge):
        app.command(rich_help_panel=Panel.DATA)(command)
    app.command("follow-up", hidden=True)(follow_up)


def clean(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Apply approved batches that are not applied yet: a new revision of the data set. Safe to repeat."""
    from keepset.clean import clean as apply

    ws, cfg = open_workspace(workspace)
    with output.progress(as_json=as_json) as progress:
        done = output.results([apply(ws, cfg, progress=progress)], as_json=as_json)
    if not as_json:
        output.what_next(ws, done)


def follow_up(
    workspace: WorkspaceOption = None,
    run: Annotated[bool, typer.Option("--run", help="Run the full pipeline instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Apply approved batches and train on the cleaned revision: what the gallery starts after an approval."""
    from keepset import pipeline
    from keepset.workspace import Workspace

    steps = pipeline.run_again if run else pipeline.follow_up

    ws = Workspace.open(find_workspace(workspace))
    with output.progress(as_json=as_json) as progress:
        output.results(steps(ws, progress=progress), as_json=as_json)


def restore(
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Images to bring back: 8 digits of the sha256, or more.", show_default=False),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Undo everything this applied batch changed.")] = "",
    workspace: WorkspaceOption = None, who: WhoOption = "", note: NoteOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Undo deletions and relabellings by a new revision: of images by name, or of a whole batch.

    What a later decision changed again is left alone, and a purged picture cannot come back. The model in use stays
    until a model of the restored revision is trained, and is not worse.
    """
    from keepset.clean import restore as bring_back
    from keepset.errors import ReviewError

    if not images and not batch:
        raise ReviewError("Nothing to restore was named.", "Give images (sha256), or --batch ID.")
    ws, _ = open_workspace(workspace)
    what: Any = batch or list(images or ())
    done = bring_back(ws, what, who=who_or_default(who), why=note)
    output.results([done], as_json=as_json, command="restore")
    if done.changed and not as_json:
        output.what_next(ws, [done])


def purge(
    workspace: WorkspaceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really delete; without it this is a dry run.")] = False,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Delete the files of images that approved batches took out. The only command that deletes pictures.

    Without --yes it only counts them. Their rows stay, with their sources; the pictures cannot be restored afterwards.
    """
    from keepset.clean import purge as unlink

    ws, _ = open_workspace(workspace)
    name = who_or_default(who) if yes else who
    done = unlink(ws, who=name, dry_run=not yes)
    output.results([done], as_json=as_json, command="purge")
    if not yes and done.summary["images"] and not as_json:
        print("With --yes they are deleted, for good.")
