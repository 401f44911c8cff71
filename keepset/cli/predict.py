"""`keepset predict`: using the model. No torch is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepset.cli import output
from keepset.cli.options import JsonOption, Panel, WorkspaceOption
from keepset.errors import ConfigError, KeepsetError
from keepset.finding import find_workspace
from keepset.storage.localfiles import shown
from keepset.text import certainty

if TYPE_CHECKING:
    from keepset.predict import Row
    from keepset.stages import Progress

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.START)(predict)


def predict(
    inputs: Annotated[list[str] | None, typer.Argument(help="Files, folders, http(s) URLs, or - for stdin.")] = None,
    workspace: WorkspaceOption = None,
    model: Annotated[str, typer.Option("--model", help="Id, or a model.onnx. Default: the one in use.")] = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="File: .jsonl, .csv or .parquet. Default: the screen.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Parquet: retry what could not be read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Classify images: class, probability, certainty. Folders are streamed.

    An unfamiliar picture is unlike those the model was trained on, and may show no class at all. A picture that cannot
    be read is a row with its reason; the exit code is 1 if nothing could be predicted.

    For very many pictures write Parquet: of one folder, of one table (Parquet, CSV, text) with a column path or url, or
    without either of the data set itself. A killed run then continues, and nothing is predicted twice.
    """
    if to is not None:
        _check_target(to, inputs or [])
    if to is not None and to.suffix.lower() == ".parquet":
        _resumable(inputs or [], workspace, model, to, retry_failed, as_json)
        return
    if not inputs:
        raise ConfigError("No picture was given.", "Give pictures or folders; or --to FILE.parquet for the data set.")
    where = Path(model) if Path(model).is_file() else find_workspace(workspace)
    if model and where != Path(model):
        inside = where / "models" / model
        where = inside if inside.is_dir() else Path(model)
    with output.progress(as_json=as_json) as progress:
        rows = _counted(_rows(where, inputs, progress))
        if as_json and to is None:
            output.document({"ok": True, "predictions": [r.as_dict() for r in rows]})
        elif to is None:
            _table(rows)
        else:
            _write(rows, to)
    if not rows.seen and not as_json:
        nothing = KeepsetError(f"There is no file in {', '.join(inputs)}.", "Name pictures, or folders of pictures.")
        output.fail(nothing, as_json=False)
    if not rows.predicted:
        raise typer.Exit(1)


def _check_target(to: Path, inputs: list[str]) -> None:
    """Nothing that is read may be written over."""
    if to.suffix.lower() not in (".jsonl", ".csv", ".parquet"):
        raise ConfigError(
            f"{shown(to)} does not end in .jsonl, .csv or .parquet.", "Name a file of one of these kinds with --to."
        )
    if to.exists() and any(Path(name).exists() and to.samefile(name) for name in inputs):
        raise ConfigError(f"{shown(to)} is one of the inputs.", "Name another file with --to.")


def _resumable(
    inputs: list[str], workspace: Path | None, model: str, to: Path, retry_failed: bool, as_json: bool
) -> None:
    """Predict very many pictures into one Parquet file, in shards; a killed run goes on where it died."""
    from keepset.machine import extras

    extras.need("web")

    from keepset.predict.batch import Job, predict_batch
    from keepset.predict.inputs import is_list
    from keepset.workspace import Workspace

    if len(inputs) > 1 or any(not is_list(Path(name)) for name in inputs):
        raise ConfigError(
            "Parquet is written of one folder, or of one table or text file of paths or URLs.",
            "Give that, or write .jsonl or .csv with --to.",
        )
    ws = Workspace.open(find_workspace(workspace))
    job = Job("".join(inputs), model, str(to), retry_failed)
    with output.progress(as_json=as_json) as progress:
        output.results([predict_batch(ws, job, progress=progress)], as_json=as_json)


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


def _write(rows: _counted, to: Path) -> None:
    """CSV if the file is called so, else JSON lines."""
    from keepset.files import atomic_path
    from keepset.predict import writers
    from keepset.text import without_surrogates

    write = writers.write_csv if to.suffix.lower() == ".csv" else writers.write_json_lines
    with atomic_path(to) as part, part.open("w", encoding="utf-8") as stream:
        write(rows, stream)
    output.say(f"Wrote {without_surrogates(str(to))}: {rows.seen} rows, {rows.predicted} of them predicted.")


def _table(rows: _counted) -> None:
    shown = []
    for row in rows:
        r = row.as_dict()
        best = sorted((r["probabilities"] or {}).items(), key=lambda p: -p[1])[:3]
        words = ", ".join(f"{label} {certainty(p)}" for label, p in best)
        shown.append((r["input"], r["label"] or r["reason"], _doubts(r), words or r["detail"] or ""))
    output.table("", ["picture", "class", "", "probabilities"], shown)


def _doubts(row: dict[str, Any]) -> str:
    return ", ".join(filter(None, (row["outcome"], "unfamiliar" if row["unfamiliar"] else "")))
