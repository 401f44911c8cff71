"""`keepset new`, `import`, `run` and the stages one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepset.cli import output
from keepset.cli.options import (
    AddressOption,
    ConfigArgument,
    EngineOption,
    JsonOption,
    Panel,
    WorkspaceOption,
    engine_or_default,
    open_workspace,
)
from keepset.machine.programs import spell
from keepset.pipeline.registry import STAGES, StageOption, StageSpec, find
from keepset.storage.localfiles import shown

if TYPE_CHECKING:
    from keepset.config import RunConfig
    from keepset.workspace import Workspace

__all__ = ["register", "register_stages"]


def register(app: typer.Typer) -> None:
    """`new` and `run` for the first panel of the help, `import` for the second."""
    app.command(rich_help_panel=Panel.START)(new)
    app.command(rich_help_panel=Panel.START)(run)
    app.command("import", rich_help_panel=Panel.DATA)(import_)


def register_stages(app: typer.Typer) -> None:
    for spec in STAGES:
        if spec.command:
            app.command(spec.name, rich_help_panel=Panel.STAGES)(_command(spec))


def new(
    name: Annotated[str, typer.Argument(help="Name of the data set: NAME.toml is written.")],
    classes: Annotated[list[str], typer.Argument(help="Classes, which are also what is searched for.")],
    languages: Annotated[
        str, typer.Option(help="Search in these languages too, e.g. de,es,ja: the names are looked up in Wikidata.")
    ] = "",
    contact: Annotated[
        str, typer.Option(help="Your e-mail address or web page, for the sources that ask whom to write to.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a run config that searches the web for each class: keepset new bears "black bear" "teddy bear"

    Openly licensed pictures from Openverse and Wikimedia Commons; the comments in the file say what else there is. For
    pictures that you have, give their folder to `keepset run`. Never overwrites a file.
    """
    from keepset.importing.searches import search_config

    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    wanted = [code for part in languages.split(",") if (code := part.strip().lower())]
    if path.exists():  # before Wikidata is asked
        raise _is_there(path, _ANOTHER_NAME)
    text, notes = search_config(path, classes, languages=wanted, contact=contact)
    _write_config(path, text, _ANOTHER_NAME)
    if as_json:
        output.document({"ok": True, "config": str(path), "classes": classes, "notes": notes})
        return
    for note in notes:
        print(f"  {note}")
    print(f"Wrote {path}. Look through it, then: {spell('keepset', 'run', path)}")


_ANOTHER_NAME = "Choose another name, or edit that file."


def _write_config(path: Path, text: str, if_there: str) -> None:
    from keepset.files import write_bytes

    try:
        write_bytes(path, text.encode(), exclusive=True)
    except FileExistsError as e:
        raise _is_there(path, if_there) from e


def _is_there(path: Path, remedy: str) -> Exception:
    from keepset.errors import ConfigError

    return ConfigError(f"{path} is there already.", remedy)


def import_(
    source: Annotated[
        Path, typer.Argument(help="Folder of pictures, or a table with the columns name (or url) and label.")
    ],
    config: Annotated[Path | None, typer.Argument(help="Config file to write. Default: NAME.toml here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run config for pictures that you have: a folder tree, a table such as cleaned.csv, a Keepset export.

    One folder per class; or train/, valid/ and test/ with one folder per class in each, which are then the split. If
    there is no valid/, it is drawn from train/ by seed. Tables are CSV, TSV, JSON, Excel or Parquet; names in them are
    relative to the table's folder. `keepset run` then copies the pictures in and checks each like any other, and given a
    folder it does both steps. Never overwrites a file.
    """
    from keepset.importing import config_text, find_pictures
    from keepset.storage.localfiles import shown

    found = find_pictures(source)
    path = config or Path(f"{shown(found.source.stem)}.toml")
    _write_config(path, config_text(found, path), "Give another name as second argument.")
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
    print(f"Wrote {path}. Next: {spell('keepset', 'run', path)}")


def run(
    config: ConfigArgument = None,
    workspace: WorkspaceOption = None,
    engine: EngineOption = None,
    address: AddressOption = "",
    as_json: JsonOption = False,
) -> None:
    """Run the full pipeline: collect, download, validate, split, train, report, and open a cleaning batch to approve.

    Give it a config, or a folder with one folder of pictures per class. Everything lands in the workspace: by default a
    folder beside the config, of the same name. A second run applies what you approved and does only what is new; a killed
    run continues where it stopped. Through Prefect instead (schedules, UI, retraining by itself): `keepset up`.
    """
    from keepset.pipeline import run as run_all

    where = engine_or_default(engine, address)
    ws, cfg = _opened(workspace, config)
    with output.progress(as_json=as_json) as progress:
        done = output.results(run_all(ws, cfg, engine=where, progress=progress), as_json=as_json)
    if not as_json:
        output.what_next(ws, done)


def _opened(workspace: Path | None, config: Path | None) -> tuple[Workspace, RunConfig]:
    """As ``open_workspace``; an edited config that was not given is pointed out, since it has no effect."""
    from keepset.starting import unread_config

    ws, cfg = open_workspace(workspace, config)
    if config is None and (edited := unread_config(ws)) is not None:
        output.say(
            f"{shown(edited)} differs from the config in force, and is not used. To use it: "
            f"{spell('keepset', 'run', edited, '-w', ws.root)}"
        )
    return ws, cfg


def _command(spec: StageSpec) -> Callable[..., None]:
    """The command of a stage, with the options that its row in the table names."""

    def command(**given: Any) -> None:
        from keepset.pipeline import Here, chain
        from keepset.pipeline.shards import run_stage

        as_json, asked = given["as_json"], {o.name: given[o.name] for o in spec.options}
        where = engine_or_default(given.get("engine"), given.get("address", ""))
        ws, cfg = _opened(given["workspace"], given["config"])
        with output.progress(as_json=as_json) as progress:
            first = run_stage(spec, ws, cfg, where, progress, **asked)
            rest = chain(map(find, spec.then), Here(ws, cfg, where, progress), first.outputs)
            done = output.results(itertools.chain([first], rest), as_json=as_json)
        if not as_json:
            output.failures(ws, spec.name)
            if "report" in first.outputs:
                output.what_next(ws, done)

    parameters: list[tuple[str, Any, Any]] = [("config", ConfigArgument, None), ("workspace", WorkspaceOption, None)]
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
