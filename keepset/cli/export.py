"""`keepset export ...`: taking the data set or the model out, in the formats that others read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepset.cli import output
from keepset.cli.options import JsonOption, WorkspaceOption, workspace_or_default
from keepset.reasons import Split

if TYPE_CHECKING:
    from keepset.export.dataset import ExportOptions
    from keepset.workspace import Workspace

__all__ = ["register"]

ToOption = Annotated[
    Path,
    typer.Option("--to", help="Folder to put it into: new, empty, or an older export, which is replaced."),
]
RevisionOption = Annotated[
    int | None, typer.Option("--revision", help="Revision of the data set. Default: the current one.")
]
SplitOption = Annotated[
    list[Split] | None, typer.Option("--split", help="Only this split; may be given again. Default: all.")
]
CopiesOption = Annotated[bool, typer.Option("--with-copies", help="Exact copies of a better picture too.")]
LinkOption = Annotated[
    bool, typer.Option("--link", help="Hard links instead of copies. Then nobody may change the files.")
]
ShardOption = Annotated[
    int, typer.Option("--shard-mb", min=1, help="Size from which a new file is begun, MB.")
]

group = typer.Typer(
    no_args_is_help=True,
    help="Take the data set or the model out, in formats that others read.\n\n"
    "[bold]keepset export imagefolder --to bears[/bold] is what most tools take. Deleted pictures and exact copies "
    "are left out, and counted. An interrupted export leaves nothing behind that looks finished; the same command "
    "again does nothing if nothing has changed.",
)


def register(app: typer.Typer) -> None:
    group.command()(imagefolder)
    group.command("csv")(csv_)
    group.command()(webdataset)
    group.command()(huggingface)
    group.command()(coco)
    group.command()(model)
    app.add_typer(group, name="export", rich_help_panel="Using the data set")


def imagefolder(
    to: ToOption, workspace: WorkspaceOption = None, revision: RevisionOption = None, split: SplitOption = None,
    with_copies: CopiesOption = False, link: LinkOption = False, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """A tree <split>/<class>/<sha256>.jpg, as torchvision, fastai, Keras and timm read it.

    images.csv beside it holds labels, sources and licences.
    """
    _export("imagefolder", to, workspace, _options(revision, split, with_copies, link=link), as_json)


def csv_(
    to: ToOption, workspace: WorkspaceOption = None, revision: RevisionOption = None, split: SplitOption = None,
    with_copies: CopiesOption = False, link: LinkOption = False, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """labels.csv (name, label, split, is_valid, sources, licences) beside one folder of pictures."""
    _export("csv", to, workspace, _options(revision, split, with_copies, link=link), as_json)


def webdataset(
    to: ToOption, workspace: WorkspaceOption = None, revision: RevisionOption = None, split: SplitOption = None,
    with_copies: CopiesOption = False, shard_mb: ShardOption = 500, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """WebDataset shards: tar files of .jpg, .cls and .json, as good as shuffled."""
    _export("webdataset", to, workspace, _options(revision, split, with_copies, shard_mb=shard_mb), as_json)


def huggingface(
    to: ToOption, workspace: WorkspaceOption = None, revision: RevisionOption = None, split: SplitOption = None,
    with_copies: CopiesOption = False, shard_mb: ShardOption = 500, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Parquet with the pictures inside, and a card: datasets.load_dataset("FOLDER") reads it."""
    _export("huggingface", to, workspace, _options(revision, split, with_copies, shard_mb=shard_mb), as_json)


def coco(
    to: ToOption, workspace: WorkspaceOption = None, revision: RevisionOption = None, split: SplitOption = None,
    with_copies: CopiesOption = False, link: LinkOption = False, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """COCO-like JSON with licences, a file a split, beside the pictures."""
    _export("coco", to, workspace, _options(revision, split, with_copies, link=link), as_json)


def model(
    to: Annotated[Path, typer.Option("--to", help="File to write, such as bears.onnx.")],
    workspace: WorkspaceOption = None,
    model_id: Annotated[str | None, typer.Option("--model", help="Id. Default: the model in use.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The model as one ONNX file, with classes, preprocessing and calibration inside.

    `keepset predict --model FILE` and `keepset.load(FILE)` need nothing else, torch least of all.
    """
    from keepset.export.model_file import copy_model

    output.results([copy_model(_workspace(workspace), to, model_id)], as_json=as_json)


def _options(
    revision: int | None, split: list[Split] | None, copies: bool, *, link: bool = False, shard_mb: int = 500
) -> ExportOptions:
    from keepset.export.dataset import ExportOptions
    from keepset.export.selection import ImageFilter

    return ExportOptions(ImageFilter(revision, tuple(split or ()), copies), link, shard_mb * 1_000_000)


def _export(form: str, to: Path, workspace: Path | None, options: ExportOptions, as_json: bool) -> None:
    from keepset.export.dataset import Format, export_dataset

    ws = _workspace(workspace)
    with output.progress(as_json=as_json) as progress:
        output.results([export_dataset(ws, Format(form), to, options, progress=progress)], as_json=as_json)


def _workspace(folder: Path | None) -> Workspace:
    from keepset.workspace import Workspace

    return Workspace.open(workspace_or_default(folder))
