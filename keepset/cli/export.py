"""`keepset export`, `card`: taking the data set or the model out, and saying whom to credit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keepset.cli import output
from keepset.cli.options import JsonOption, Panel, WorkspaceOption
from keepset.errors import ConfigError
from keepset.finding import find_workspace
from keepset.reasons import Split

__all__ = ["register"]


class What(StrEnum):
    IMAGEFOLDER = "imagefolder"
    CSV = "csv"
    WEBDATASET = "webdataset"
    HUGGINGFACE = "huggingface"
    MODEL = "model"
    SITE = "site"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.START)(export)
    app.command(rich_help_panel=Panel.DATA)(card)


def export(
    what: Annotated[What, typer.Argument(help="Format of the data set; or the model, or the model as a web site.")],
    to: Annotated[
        Path, typer.Option("--to", help="Folder: new, empty, or an older such export. For the model a file.")
    ],
    workspace: WorkspaceOption = None,
    revision: Annotated[int | None, typer.Option("--revision", help="Revision. Default: the current one.")] = None,
    split: Annotated[list[Split] | None, typer.Option("--split", help="Only this split. Repeatable.")] = None,
    all_pictures: Annotated[
        bool, typer.Option("--all-pictures", help="Site: show pictures whatever their licence.")
    ] = False,
    runtime: Annotated[
        Path | None, typer.Option("--runtime", help="Site: onnxruntime-web, a folder or .tgz. Default: by npm.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Export the data set or the model in a format that other tools read.

    imagefolder: a tree SPLIT/CLASS/SHA256.jpg for torchvision, fastai, Keras and timm, with images.csv beside it.
    csv: labels.csv beside one folder of pictures. webdataset: tar shards. huggingface: Parquet with the pictures inside.
    model: one ONNX file with classes, preprocessing and calibration inside. site: a folder of static files that classifies
    in the browser, for any static host: no server, no upload, and it works offline.

    Deleted pictures and exact copies are left out and counted. Safe to repeat: a finished export is skipped, and an
    interrupted one leaves nothing that looks finished.
    """
    from keepset.workspace import Workspace

    ws = Workspace.open(find_workspace(workspace))
    if what in (What.MODEL, What.SITE) and (split or revision):
        raise ConfigError("A model has no revision or split.", "Leave out --revision and --split.")
    if what != What.SITE and (all_pictures or runtime):
        raise ConfigError("--all-pictures and --runtime are about a site.", "Leave them out, or export a site.")
    if what == What.MODEL:
        from keepset.export.model_file import copy_model

        output.results([copy_model(ws, to)], as_json=as_json)
        return
    if what == What.SITE:
        from keepset.site import SiteOptions, export_site

        with output.progress(as_json=as_json) as progress:
            done = export_site(ws, to, SiteOptions(all_pictures, runtime), progress=progress)
            output.results([done], as_json=as_json)
        return
    from keepset.export.dataset import Format, ImageFilter, export_dataset

    wanted = ImageFilter(revision, tuple(split or ()))
    with output.progress(as_json=as_json) as progress:
        done = export_dataset(ws, Format(what.value), to, wanted, progress=progress)
        output.results([done], as_json=as_json)


def card(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder. Default: card/ in the workspace.")] = None,
    revision: Annotated[
        int | None, typer.Option("--revision", min=1, help="Revision. Default: the current one.")
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
