"""`keepset export ...`: taking the data set or the model out, in the formats that others read."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepset.cli import output
from keepset.cli.options import JsonOption, WorkspaceOption, workspace_or_default
from keepset.reasons import Split

if TYPE_CHECKING:
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


_FORMATS = {
    "imagefolder": (
        "A tree <split>/<class>/<sha256>.jpg, as torchvision, fastai, Keras and timm read it.\n\n"
        "images.csv beside it holds labels, sources and licences."
    ),
    "csv": "labels.csv (name, label, split, is_valid, sources, licences) beside one folder of pictures.",
    "webdataset": "WebDataset shards: tar files of .jpg, .cls and .json, as good as shuffled.",
    "huggingface": 'Parquet with the pictures inside, and a card: datasets.load_dataset("FOLDER") reads it.',
    "coco": "COCO-like JSON with licences, a file a split, beside the pictures.",
}
_IN_FILES = ("webdataset", "huggingface")
"""Formats whose pictures are inside larger files: these have a size, and no links."""


def register(app: typer.Typer) -> None:
    for form, words in _FORMATS.items():
        group.command(form, help=words)(_command(form))
    group.command()(model)
    app.add_typer(group, name="export", rich_help_panel="Using the data set")


def _command(form: str) -> Callable[..., None]:
    def command(
        to: ToOption, workspace: WorkspaceOption = None, revision: RevisionOption = None, split: SplitOption = None,
        with_copies: CopiesOption = False, link: LinkOption = False, shard_mb: ShardOption = 500, as_json: JsonOption = False,
    ) -> None:  # fmt: skip
        from keepset.export.dataset import ExportOptions, Format, export_dataset
        from keepset.export.selection import ImageFilter

        wanted = ImageFilter(revision, tuple(split or ()), with_copies)
        options = ExportOptions(wanted, link, shard_mb * 1_000_000)
        ws = _workspace(workspace)
        with output.progress(as_json=as_json) as progress:
            output.results(
                [export_dataset(ws, Format(form), to, options, progress=progress)], as_json=as_json
            )

    whole = signature(command, eval_str=True)
    without = "link" if form in _IN_FILES else "shard_mb"
    shown = [p for name, p in whole.parameters.items() if name != without]
    command.__signature__ = whole.replace(parameters=shown)  # type: ignore[attr-defined]  # what typer reads
    return command


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


def _workspace(folder: Path | None) -> Workspace:
    from keepset.workspace import Workspace

    return Workspace.open(workspace_or_default(folder))
