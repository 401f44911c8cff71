"""`keepset init`, `run` and the stages one by one."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from keepset.cli import output
from keepset.cli.options import (
    AddressOption,
    ConfigArgument,
    EngineOption,
    JsonOption,
    WorkspaceOption,
    engine_or_default,
    open_workspace,
)
from keepset.machine.programs import spell
from keepset.pipeline.registry import STAGES, StageOption, StageSpec, find

__all__ = ["register"]

_TEMPLATE = """\
# A Keepset run config. `keepset docs config` lists every key; `keepset run {file} --workspace DIR` starts it.
name = {name}
seed = 42                                 # same seed, same split, same model

# One table a class. Sources: lists (files of URLs), folders, pages, search (`keepset docs collecting`).
{classes}
[split]
valid = 0.2

[train]
arch = "lite0+lite1+lite2"                # "lite0" is 3 times as fast and a little less accurate; or any timm network
"""

_CLASS = "[classes.{name}]\n{lists:<41} # one URL a line\n"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Start here")(init)
    app.command("import", rich_help_panel="Start here")(import_)
    app.command(rich_help_panel="Start here")(run)
    for spec in STAGES:
        if spec.command:
            app.command(spec.name, rich_help_panel="Stages")(_command(spec))


def init(
    path: Annotated[Path, typer.Argument(help="Config file to write.")] = Path("keepset.toml"),
    classes: Annotated[
        str, typer.Option("--classes", help="Class names, separated by commas.")
    ] = "black,grizzly,teddy",
    as_json: JsonOption = False,
) -> None:
    """Write a commented run config to start from. Never overwrites a file."""
    from keepset.config import check_config
    from keepset.errors import ConfigError
    from keepset.files import write_bytes
    from keepset.importing import toml_string

    lists = _list_files([c.strip() for c in classes.split(",") if c.strip()])
    check_config(
        {"classes": [{"name": n, "lists": [f]} for n, f in lists]},
        base=Path(),
        where=f'--classes "{classes}"',
    )
    tables = "\n".join(
        _CLASS.format(name=toml_string(n), lists=f"lists = [{toml_string(f)}]") for n, f in lists
    )
    text = _TEMPLATE.format(file=shlex.quote(str(path)), name=toml_string(path.stem), classes=tables)
    try:
        write_bytes(path, text.encode(), exclusive=True)
    except FileExistsError as e:
        raise ConfigError(f"{path} is there already.", "Choose another name, or edit that file.") from e
    if as_json:
        output.document({"ok": True, "config": str(path), "classes": [n for n, _ in lists]})
    else:
        print(f"Wrote {path}. Put your URL lists beside it, then: {_run_command(path)}")


def _list_files(names: list[str]) -> list[tuple[str, str]]:
    """For each class a URL list of its own, under a name that any file system takes."""
    from keepset.storage.filenames import folder_names

    files = folder_names(names)
    return [(n, f"urls_{files[n].replace(' ', '_')}.txt") for n in names]


def import_(
    source: Annotated[
        Path, typer.Argument(help="Folder of pictures, or a table with the columns name (or url) and label.")
    ],
    config: Annotated[
        Path | None, typer.Argument(help="Config file to write. Default: NAME.toml here.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run config for pictures that you have: a folder tree, a table such as cleaned.csv, a Keepset export.

    One folder per class; or train/, valid/ and test/ with one folder per class in each, which are then the split. If
    there is no valid/, it is drawn from train/ by seed. Tables are CSV, TSV, JSON, Excel or Parquet; names in them are
    relative to the table's folder. `keepset run` then copies the pictures in and checks each like any other. Never
    overwrites a file.
    """
    from keepset.errors import ConfigError
    from keepset.files import write_bytes
    from keepset.importing import config_text, find_pictures
    from keepset.storage.localfiles import shown

    found = find_pictures(source)
    path = config or Path(f"{shown(found.source.stem)}.toml")
    try:
        write_bytes(path, config_text(found, path).encode(), exclusive=True)
    except FileExistsError as e:
        raise ConfigError(f"{path} is there already.", "Give another name as second argument.") from e
    if as_json:
        counts = {c: {s or "not given": n for s, n in of.items()} for c, of in found.counts.items()}
        output.document({"ok": True, "config": str(path), "classes": counts, "notes": found.notes})
        return
    rows = [
        (c, sum(of.values()), ", ".join(f"{n} {s}" for s, n in of.items() if s))
        for c, of in sorted(found.counts.items())
    ]
    output.table("", ["class", "files", "given split"], rows)
    for note in found.notes:
        print(f"  {note}")
    print(f"Wrote {path}. Next: {_run_command(path)}")


def _run_command(config: Path) -> str:
    """With a workspace folder named like the config; another one where that folder holds something else."""
    place = Path(config.stem)
    free = not place.exists() or (place / "keepset.json").exists()
    return spell("keepset", "run", config, "-w", place if free else f"{place}-workspace")


def run(
    config: ConfigArgument = None,
    workspace: WorkspaceOption = None,
    engine: EngineOption = None,
    address: AddressOption = "",
    as_json: JsonOption = False,
) -> None:
    """Run the full pipeline: collect, download, validate, split, train, report, and open a cleaning batch to approve.

    Everything lands in the workspace. A second run applies what you approved and does only what is new; a killed run
    goes on where it died. Through Prefect instead (schedules, UI, retraining by itself): `keepset up`.
    """
    from keepset.pipeline import run as run_all

    where = engine_or_default(engine, address)
    ws, cfg = open_workspace(workspace, config)
    with output.progress(as_json=as_json) as progress:
        done = output.results(run_all(ws, cfg, engine=where, progress=progress), as_json=as_json)
    if not as_json:
        output.what_next(ws, done)


def _command(spec: StageSpec) -> Callable[..., None]:
    """The command of a stage, with the options that its row in the table names."""

    def command(**given: Any) -> None:
        from keepset.pipeline import Here, chain
        from keepset.pipeline.shards import run_stage

        as_json, asked = given["as_json"], {o.name: given[o.name] for o in spec.options}
        where = engine_or_default(given.get("engine"), given.get("address", ""))
        ws, cfg = open_workspace(given["workspace"], given["config"])
        with output.progress(as_json=as_json) as progress:
            first = run_stage(spec, ws, cfg, where, progress, **asked)
            rest = chain(map(find, spec.then), Here(ws, cfg, where, progress), first.outputs)
            done = output.results(itertools.chain([first], rest), as_json=as_json)
        if not as_json:
            output.failures(ws, spec.name)
            if "report" in first.outputs:
                output.what_next(ws, done)

    parameters: list[tuple[str, Any, Any]] = [
        ("config", ConfigArgument, None),
        ("workspace", WorkspaceOption, None),
    ]
    parameters += [(o.name, _option(o), o.default) for o in spec.options]
    if spec.shards is not None:
        parameters += [("engine", EngineOption, None), ("address", AddressOption, "")]
    parameters += [("as_json", JsonOption, False)]
    command.__doc__ = spec.help
    command.__annotations__ = {name: kind for name, kind, _ in parameters}
    command.__signature__ = Signature(  # type: ignore[attr-defined]  # what typer reads
        [Parameter(n, Parameter.KEYWORD_ONLY, annotation=kind, default=d) for n, kind, d in parameters]
    )
    return command


def _option(option: StageOption) -> Any:
    shown = typer.Option(option.flag, help=option.help, show_default=False)
    return Annotated[option.kind, shown]
