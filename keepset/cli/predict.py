"""`keepset predict`: using the model. No torch is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepset.cli import output
from keepset.cli.options import JsonOption, WorkspaceOption, workspace_or_default
from keepset.errors import ConfigError, KeepsetError

if TYPE_CHECKING:
    from keepset.predict import Row
    from keepset.stages import Progress

__all__ = ["register"]


class Format(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Using the model")(predict)
    app.command("predict-batch", rich_help_panel="Using the model")(predict_batch)


def predict(
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures: files, folders, http(s) URLs, or - for stdin.")
    ],
    workspace: WorkspaceOption = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="A model.onnx instead of the model in use.")
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", help="How to print the rows. Default: a table, or as the name of --out ends."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; parquet needs one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is on pictures: class, probability, and whether the model is sure. A folder streams.

    An unfamiliar picture is unlike those the model was trained on, and may show no class at all.

    A picture that cannot be read is a row with its reason; the exit code is 1 if nothing could be predicted.
    """
    from keepset.text import without_surrogates

    where = model or workspace_or_default(workspace)
    with output.progress(as_json=as_json) as progress:
        rows = _counted(_rows(where, inputs, progress))
        if as_json:
            output.document({"ok": True, "predictions": [r.as_dict() for r in rows]})
        else:
            _print(rows, form, out)
            if out is not None:
                output.say(
                    f"Wrote {without_surrogates(str(out))}: {rows.seen} rows, {rows.predicted} of them predicted."
                )
    if not rows.seen and not as_json:
        nothing = KeepsetError(
            f"There is no file in {', '.join(inputs)}.", "Give pictures, or folders of pictures."
        )
        output.fail(nothing, as_json=False)
    if not rows.predicted:
        raise typer.Exit(1)


def predict_batch(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, or a Parquet, CSV or text file with a column path or url. Left out: the data set itself."
        ),
    ] = "",
    workspace: WorkspaceOption = None,
    model: Annotated[
        str, typer.Option("--model", help="Id of a model, or a model.onnx. Default: the model in use.")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Parquet file to write. Default: below predictions/ in the workspace."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again for what could not be fetched or read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Predict very many pictures into one Parquet file, in shards; a killed run goes on where it died.

    Nothing is predicted twice, also when the folder has grown since. Pictures behind URLs are fetched as politely as
    `keepset download` does it. `predict_batch` is the same as a Prefect flow.
    """
    from keepset.machine import extras

    extras.need("web")

    from keepset.predict.batch import Job
    from keepset.predict.batch import predict_batch as run
    from keepset.workspace import Workspace

    ws = Workspace.open(workspace_or_default(workspace))
    job = Job(source, model, str(to or ""), retry_failed)
    with output.progress(as_json=as_json) as progress:
        output.results([run(ws, job, progress=progress)], as_json=as_json)


class _counted:  # noqa: N801 - reads as a verb where it is used
    """Passes rows on and counts how many carry a prediction."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.rows, self.seen, self.predicted = rows, 0, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            self.seen += 1
            self.predicted += row.prediction is not None
            yield row


def _rows(where: Path, inputs: list[str], progress: Progress) -> Iterator[Row]:
    from keepset.predict import predict_files
    from keepset.predict.remote import is_url, own_servers

    allowed = own_servers(where) if any(map(is_url, inputs)) else ()
    yield from predict_files(where, inputs, allow_private=allowed, progress=progress)


def _print(rows: _counted, asked: Format | None, out: Path | None) -> None:
    from keepset.files import atomic_path
    from keepset.predict import writers

    form = asked or _form_of(out)
    if form == Format.TABLE and out is not None:
        raise ConfigError("A table is for reading, not for a file.", "Give --format jsonl, csv or parquet.")
    if form == Format.PARQUET:
        if out is None:
            raise ConfigError("Parquet is not printed on a terminal.", "Name a file with --out.")
        writers.write_parquet(rows, out)
        return
    if form == Format.TABLE:
        _table(rows)
        return
    write = writers.write_csv if form == Format.CSV else writers.write_json_lines
    if out is None:
        write(rows, sys.stdout)
        return
    with atomic_path(out) as part, part.open("w", encoding="utf-8") as stream:
        write(rows, stream)


def _form_of(out: Path | None) -> Format:
    """What the file's name asks for; JSON lines if it tells nothing."""
    if out is None:
        return Format.TABLE
    return {".csv": Format.CSV, ".parquet": Format.PARQUET}.get(out.suffix.lower(), Format.JSONL)


def _table(rows: _counted) -> None:
    shown = []
    for row in rows:
        r = row.as_dict()
        best = sorted((r["probabilities"] or {}).items(), key=lambda p: -p[1])[:3]
        words = ", ".join(f"{label} {p:.0%}" for label, p in best)
        shown.append((r["input"], r["label"] or r["reason"], _doubts(r), words or r["detail"] or ""))
    output.table("", ["picture", "class", "", "probabilities"], shown)


def _doubts(row: dict[str, Any]) -> str:
    return ", ".join(filter(None, (row["outcome"], "unfamiliar" if row["unfamiliar"] else "")))
