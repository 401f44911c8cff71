"""`keepset up`, `down`, `status`, `web`, `doctor`: running it and looking after it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from keepset.cli import output
from keepset.cli.options import (
    AddressOption,
    EngineOption,
    JsonOption,
    Panel,
    WorkspaceOption,
    engine_or_default,
    open_workspace,
)
from keepset.errors import KeepsetError
from keepset.finding import find_workspace
from keepset.machine import extras, programs
from keepset.stages import Stage
from keepset.text import share

__all__ = ["register"]

PortOption = partial(typer.Option, min=0, max=65535)


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=Panel.START)(web)
    app.command(rich_help_panel=Panel.START)(status)
    for command in (up, down, failures, doctor, docs):
        app.command(rich_help_panel=Panel.SERVICE)(command)


def up(
    workspace: WorkspaceOption = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    prefect_port: Annotated[int | None, PortOption(help="Port of the Prefect server; 0 takes a free one.")] = None,
    web_port: Annotated[int | None, PortOption(help="Port of the gallery; 0 takes a free one.")] = None,
    engine: EngineOption = None,
    address: AddressOption = "",
    cron: Annotated[str | None, typer.Option(help="Build on this schedule (UTC), e.g. '0 3 * * *'.")] = None,
    database: Annotated[
        str | None, typer.Option(help="Prefect's database: postgresql+asyncpg://user@host/name")
    ] = None,
    notify: Annotated[
        str | None, typer.Option(help="Webhook (Slack, Teams ...) for batches, failures, new models.", metavar="URL")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start Prefect server, flow runner and gallery on loopback as one supervised group. Ctrl-C stops all.

    Prefect's own state is SQLite in the workspace unless --database (or KEEPSET_DATABASE, which keeps a password
    out of sight) names another. Where the workspace is new, start
    a data set from the form of the deployment `pipeline` in Prefect's UI, or with `keepset run` first.
    """
    extras.need("prefect")

    from keepset.settings import settings

    options = ["--detach"] if detach else []
    options += ["--prefect-port", str(settings().prefect_port if prefect_port is None else prefect_port)]
    options += ["--web-port", str(settings().web_port if web_port is None else web_port)]
    options += ["--cron", cron] if cron is not None else []
    options += ["--database", database] if database else []
    where = engine_or_default(engine, address).environment()
    where |= {} if notify is None else {"KEEPSET_NOTIFY": notify}  # not an argument: others would see it in `ps`
    _stack("up", workspace, options, as_json, where)


def down(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Stop what `keepset up` started for this workspace."""
    extras.need("prefect")
    _stack("down", workspace, [], as_json)


def _stack(
    verb: str, workspace: Any, options: list[str], as_json: bool, environment: Mapping[str, str] | None = None
) -> None:
    # The stack is the layer above: it is started as a program, never imported. It takes this process's place, so
    # that Ctrl-C and `kill` reach it, and nothing stands between it and its end.

    root = find_workspace(workspace)
    command = programs.program("deployments.command", verb, "--workspace", str(root), *options)
    command += ["--json"] if as_json else []
    os.execve(sys.executable, command, programs.environment(environment))  # noqa: S606


def failures(
    workspace: WorkspaceOption = None,
    stage: Annotated[Stage | None, typer.Option(help="Only scrape, download or validate.", metavar="STAGE")] = None,
    each: Annotated[bool, typer.Option("--each", help="Every single one, a line each, not the sums.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What was not taken and why: by reason and host, with what to do about it.

    `keepset failures --each --stage download` lists each URL with its reason and the details.
    """
    from keepset.pipeline import failures as domain

    ws, _ = open_workspace(workspace)
    if each:
        rows = ({"stage": str(s)} | row for s, row in domain.listed(ws, stage))
        for row in rows:
            print(json.dumps(row) if as_json else "\t".join(str(v or "") for v in row.values()))
    elif as_json:
        output.document([f.as_dict() for f in domain.failures(ws, stage)])
    elif not output.failures(ws, stage):
        print("Nothing failed.")


def status(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show the state of the workspace: stages, revisions, models, cleaning batches, the stack and its last runs."""
    from keepset.status import collect
    from keepset.workspace import Workspace

    found = collect(Workspace.open(find_workspace(workspace)))
    if as_json:
        output.document({"ok": True, **found})
        return
    print(f"{found['name']}  {found['workspace']}")
    for title in ("stages", "sources", "hosts", "revisions", "models", "batches", "runs"):
        _print_rows(title, found[title] or [])
    for complaint in found["complaints"]:
        print(f"\n{complaint}")
    print(f"\nModel in use: {found['promoted'] or 'none yet'}")
    if left := found["left"]:
        print(f"{left['words']} {left['advice']} {' '.join(left['command'])}".rstrip())
    for words in found["on_other_sites"]:
        print(words)
    print(f"Next: {found['next']}")
    stack = found["stack"]
    print(f"Service: gallery {stack['web_url']}, Prefect {stack['ui_url']}" if stack else "Service: off")
    for trouble in found["trouble"]:
        print(f"Trouble: {trouble}")
    if found["runs"] is None and found["runs_trouble"]:
        print(f"Last runs: unknown, {found['runs_trouble']}")


def _print_rows(title: str, found: Sequence[Mapping[str, Any]]) -> None:
    rows = [_for_people(r) for r in found[: _MOST_ROWS.get(title)]]
    names = dict.fromkeys(k for r in rows for k in r)
    columns = [k for k in names if k in _ALWAYS or any(r.get(k) not in (0, "") for r in rows)]
    if rows:
        cells = [[_cell(r.get(c)) for c in columns] for r in rows]
        output.table(f"\n{_TITLES[title]}", [c.replace("_", " ") for c in columns], cells)
    if len(found) > len(rows):
        print(f"and {len(found) - len(rows)} more: --json lists all")


_TITLES = {
    "stages": "Manifests", "sources": "Sources (pictures and lines)", "hosts": "Hosts", "revisions": "Revisions (times in UTC)", "models": "Models", "batches": "Batches",
    "runs": "Last runs (times in UTC)",
}  # fmt: skip
_FOR_SCRIPTS = {"id", "waits_until", "n", "error_rate", "at", "why"}
_MOST_ROWS = {"sources": 20, "hosts": 5}
_ALWAYS = {"rows", "ok", "images", "lines", "new", "errors"}
"""Columns that are shown even where they are 0 everywhere."""


def _for_people(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only scripts need; times to the minute; a share with what it is a share of."""
    shown = {k: v for k, v in row.items() if k not in _FOR_SCRIPTS}
    if row.get("at"):
        shown["at"] = str(row["at"])[:16].replace("T", " ")
    if row.get("n"):
        shown["errors"] = f"{row['errors']} of {row['n']} ({share(row['error_rate'])})"
    return shown


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else value


def where_and_what_next() -> None:
    """`keepset` alone."""
    from keepset.errors import WorkspaceError

    try:
        root = find_workspace()
    except WorkspaceError as e:
        print(f"{e.message}\n{e.remedy}\nAll commands: keepset --help")
        return
    from keepset.status import gallery_url
    from keepset.status.next_step import next_step
    from keepset.workspace import Workspace

    ws = Workspace.open(root)
    revisions, model = ws.revisions(), ws.promoted()
    state = f"revision {revisions[-1]}" if revisions else "no data set yet"
    print(f"{ws.name}  {ws.root}  ({state}, {f'model {model[:8]} in use' if model else 'no model yet'})")
    print(f"Next: {next_step(ws, gallery_url(ws))}\nMore: keepset status, keepset --help")


def web(
    workspace: WorkspaceOption = None,
    host: Annotated[str | None, typer.Option(help="Address to bind; beyond loopback a token is needed.")] = None,
    port: Annotated[int | None, PortOption(help="Port; 0 takes a free one.")] = None,
) -> None:
    """Serve the review gallery and the prediction page alone, without Prefect."""
    extras.need("web")

    from keepset.cli.gallery_server import serve
    from keepset.settings import settings
    from keepset.workspace import Workspace

    s = settings()
    root = Workspace.open(find_workspace(workspace)).root
    serve(root, host or s.host, s.web_port if port is None else port, s.token)


def doctor(
    workspace: WorkspaceOption = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Ask each picture search over the network instead.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Report what is installed (device, threads, torch, Prefect, weights, disk) and how to fix what is missing."""
    from keepset.cli.doctor import Verdict, ask_sources, diagnose

    place = workspace
    with contextlib.suppress(KeepsetError):  # without a workspace the machine can be looked at all the same
        place = find_workspace(workspace)
    checks = list((ask_sources if sources else diagnose)(place))
    failed = any(c.verdict == Verdict.FAIL for c in checks)
    if as_json:
        output.document({"ok": not failed, "checks": [c.as_dict() for c in checks]})
    else:
        marks = {Verdict.OK: "✓", Verdict.NOTE: "·", Verdict.FAIL: "✗"}
        output.table(
            "", ["", "check", "found", "what to do"], [(marks[c.verdict], c.name, c.found, c.remedy) for c in checks]
        )
    raise typer.Exit(3 if failed else 0)


def docs(
    name: Annotated[str, typer.Argument(metavar="PAGE", help="Page to show. Default: list the pages.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show a page of the documentation, or list the pages."""
    from keepset.machine.manual import page, pages

    if as_json:
        output.document({"pages": list(pages())} if not name else {"page": name, "markdown": page(name)})
    elif not name:
        width = max(map(len, pages()), default=0) + 2
        for stem in pages():
            print(f"{stem:<{width}}{page(stem).splitlines()[0].removeprefix('# ')}")
    else:
        print(page(name))
