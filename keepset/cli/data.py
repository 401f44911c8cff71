"""`keepset clean`, `restore`, `purge`, `diff`, `trace`, `rot`, `remove`: decisions carried out, undone or made final; what
changed, and where pictures come from and went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from keepset.clean.matching import Takedown
    from keepset.history.diff import Change

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    for command in (clean, restore, purge, diff, trace, rot, remove):
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
        typer.Argument(help="Images to bring back: 8 digits of the sha256, or more."),
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


def diff(
    first: Annotated[int | None, typer.Argument(help="From this revision. Default: the one before the newest.")] = None,
    second: Annotated[int | None, typer.Argument(help="To this revision. Default: the newest.")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two revisions: which pictures were added, removed or changed label or side, who decided it and why.

    It also lists the pictures of which the models of the two revisions say different things. The gallery shows the same
    with thumbnails, on its history page.
    """
    from keepset.history.diff import Kind
    from keepset.history.diff import diff as compare
    from keepset.workspace import Workspace

    found = compare(Workspace.open(find_workspace(workspace)), first, second)
    if as_json:
        output.document({"ok": True, **found.as_dict()})
        return
    counts = ", ".join(f"{len(rows)} {_KINDS[k]}" for k in Kind if (rows := found.of(k)))
    print(f"Revision {found.first} → {found.second}: {counts or 'no picture differs'}")
    for decision, changes in found.by_decision().items():
        who = "" if decision.cause == "split" else f", by {decision.who}"
        when = f", {decision.at[:16].replace('T', ' ')} UTC" if decision.at else ""
        why = f": {decision.why}" if decision.why else ""
        output.table(
            f"\nRevision {decision.revision} ({decision.cause}{who}{when}){why}",
            ("picture", "", "before", "after", "name"),
            [(c.sha256[:12], _KINDS[c.kind], *_states(c), c.name) for c in changes],
        )
    if found.said:
        output.table(
            f"\nModel {found.models[0][:8]} → {found.models[1][:8]}: predictions that differ",
            ("picture", "", "before", "after", "label", "name"),
            [(s.sha256[:12], _VERDICTS[s.verdict], s.before, s.after, s.label, s.name) for s in found.said],
        )


_VERDICTS: Mapping[str, str] = {"fixed": "newly right", "broken": "newly wrong", "other": "wrong in another way"}
_KINDS: Mapping[str, str] = {"came": "added", "went": "removed", "relabelled": "relabelled", "moved": "changed sides"}


def _states(c: Change) -> tuple[str, str]:
    sided = c.kind == "moved"
    before, after = (("" if s is None else f"{s[0]} ({s[1]})" if sided else s[0]) for s in (c.before, c.after))
    return before, after


def trace(
    what: Annotated[
        str, typer.Argument(help="A picture (8 digits of its sha256, its name, or its file), a URL, or a creator.")
    ],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a picture was found, what was decided about it and by whom, and what holds it.

    It names every query and list that found it, and the revisions, models, reports and exports it is in. Of a creator it
    shows every picture.
    """
    from keepset.history.trace import trace as follow
    from keepset.workspace import Workspace

    found = follow(Workspace.open(find_workspace(workspace)), what)
    if as_json:
        output.document({"ok": True, "pictures": [t.as_dict() for t in found]})
        return
    for t in found:
        print(f"{t.sha256}  {t.name}")
        for title, lines in t.told():
            print(f"  {title}:")
            for line in lines:
                print(f"    {line}")


def rot(
    archive: Annotated[
        str,
        typer.Option(
            help="Also look behind this prefix, e.g. https://web.archive.org/web/", metavar="URL", show_default=False
        ),
    ] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask whether the pictures in use are still where they were found: which addresses are gone, moved or changed.

    Only headers are asked for, as politely as downloads are. The data set loses nothing; this shows what others could no
    longer collect, and where each picture can still be had.
    """
    from keepset.download.rot import look

    ws, config = open_workspace(workspace)
    with output.progress(as_json=as_json) as progress:
        found = look(ws, config, archive=archive, progress=progress)
    if as_json:
        output.document({"ok": True, **found.as_dict()})
        return
    rows = [
        (a.sha256[:12], str(a.state).replace("_", " "), a.url, a.detail, " ".join(a.elsewhere) or a.landing_page)
        for a in found.bad
    ]
    if rows:
        output.table("", ("picture", "is", "address", "", "see"), rows)
    counts = ", ".join(
        f"{n} {state.replace('_', ' ')}" for state, n in sorted(found.counts.items(), key=lambda c: -c[1])
    )
    if not found.pictures:
        print("No picture in use comes from the web.")
        return
    print(f"{found.pictures} pictures from the web, {len(found.addresses)} addresses: {counts}.")
    print(f"{len(found.lost)} of them can no longer be had elsewhere. All are in the workspace.")


def remove(
    creator: Annotated[str, typer.Option("--creator", help="Everything by this creator, as the source wrote the name.")] = "",
    url: Annotated[str, typer.Option("--url", help="What this address led to, or its landing page shows.")] = "",
    sha256: Annotated[str, typer.Option("--sha256", help="This picture: 8 digits of its sha256, or more.")] = "",
    licence: Annotated[str, typer.Option("--licence", "--license", help="Everything under this licence code.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Really do it; without it this is a dry run.")] = False,
    retrain: Annotated[bool, typer.Option(help="Train the next model here and now, unless Prefect does it.")] = True,
    workspace: WorkspaceOption = None, who: WhoOption = "", note: NoteOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Take pictures down for good: out of the data set, deleted everywhere, never fetched again.

    Without --yes it only shows what it would do. Exact copies go with a picture; near copies are named. Models that learnt
    from the pictures are named and a new one is trained without them. The audit log keeps a certificate that holds hashes,
    not the content. If it is interrupted, run it again: it finishes.
    """
    from keepset.clean.matching import Wanted, match
    from keepset.clean.takedown import take_down

    ws, _ = open_workspace(workspace)
    wanted = Wanted.one_of(creator=creator, url=url, sha256=sha256, license=licence)
    if not yes:
        found = match(ws, wanted)
        if as_json:
            output.document({"ok": True, "done": False, **found.as_dict()})
            return
        _announce(found)
        print("Nothing was touched. With --yes they are removed, for good." if found.pictures or found.lines else "")
        return
    with output.progress(as_json=as_json) as progress:
        done = take_down(ws, wanted, who=who_or_default(who), why=note, progress=progress)
        if not as_json:
            _announce(done)
            print(f"✓ {done.message}")
        from keepset.pipeline import follow_up
        from keepset.pipeline.followup import hand_on

        if retrain and not done.training and not hand_on(ws):
            results: Any = follow_up(ws, progress=progress)
            if as_json:
                results = list(results)
            else:
                output.results(results, as_json=False)
    if as_json:
        output.document({"ok": True, "done": True, **done.as_dict()})


def _announce(found: Takedown) -> None:
    for line in found.told():
        print(line)
