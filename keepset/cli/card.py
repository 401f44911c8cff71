"""`keepset card`: the data set card and the attribution table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keepset.cli import output
from keepset.cli.options import JsonOption, Panel, WorkspaceOption
from keepset.finding import find_workspace

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.DATA)(card)


def card(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write into. Default: card/ in the workspace.", show_default=False),
    ] = None,
    revision: Annotated[
        int | None, typer.Option("--revision", min=1, help="Revision of the data set. Default: the current one.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the data set card: classes, sources, licences, authors, what was left out and why, who decided what.

    README.md has the front matter of Hugging Face data sets; attribution.csv credits every image in use (title,
    author, licence, landing page, source), so keep the two beside whatever you publish. With --json the card's facts
    are printed as well.
    """
    from keepset.card import write_card
    from keepset.workspace import Workspace

    ws = Workspace.open(find_workspace(workspace))
    done = write_card(ws, out or ws.root / "card", revision=revision)
    if as_json:
        paths = {"card": str(done.page), "attribution": str(done.attribution)}
        output.document({"ok": True, **paths, "facts": done.facts})
        return
    print(f"{ws.name}, revision {done.facts['revision']}: {done.facts['images']['active']} images")
    output.table(
        "",
        ("licence", "images", "authors named"),
        [(x["license"], x["images"], x["creators"]) for x in done.facts["licenses"]],
    )
    print(f"Card: {done.page}\nWhom to credit: {done.attribution}")
