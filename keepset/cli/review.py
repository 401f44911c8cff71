"""`keepset review ...`: cleaning batches, decided by a person."""

from __future__ import annotations

from dataclasses import asdict
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
from keepset.machine.programs import spell
from keepset.text import certainty

if TYPE_CHECKING:
    from keepset.forecast import Forecast
    from keepset.review import Batch
    from keepset.workspace import Workspace

__all__ = ["register"]

BatchArgument = Annotated[str | None, typer.Argument(help="Batch id. Default: the newest open one.")]

group = typer.Typer(
    help="Cleaning batches: propose (no subcommand), list, show, approve, reject ...\n\n"
    "`keepset review` opens a batch of what is likely wrong; look at it in the gallery "
    "(`keepset web`) or with `review show`, then approve, reject or send it back. Only an approval "
    "changes the data set; `keepset restore --batch` undoes it.",
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    group.callback()(propose)
    group.command("list")(list_)
    group.command()(show)
    group.command()(approve)
    group.command()(reject)
    group.command("send-back")(send_back)
    group.command()(reopen)
    group.command()(log)
    app.add_typer(group, name="review", rich_help_panel=Panel.DATA)


def propose(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Every image in use, what is proposed first; the rest stays unless you mark it."),
    ] = False,
    looks: Annotated[
        int | None,
        typer.Option("--random", min=1, help="So many random pictures too: they tell how many wrong ones are left."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Open a cleaning batch for the newest model, or report that there is nothing to review."""
    if context.invoked_subcommand is not None:
        for given, flag in ((everything, "--all"), (looks, "--random")):
            if given:
                where = context.invoked_subcommand
                raise typer.BadParameter(f"it opens a batch, so it goes without '{where}'.", param_hint=flag)
        return
    from keepset.review import review

    ws, cfg = open_workspace(workspace)
    with output.progress(as_json=as_json) as progress:
        done = output.results([review(ws, cfg, everything=everything, looks=looks, progress=progress)], as_json=as_json)
    if as_json:
        return
    if done[0].outputs.get("batch_id"):
        print(f"Look at it: {spell('keepset', 'web', '-w', ws.root)}   (the gallery)")
        print(f"        or: {spell('keepset', 'review', 'show', '-w', ws.root)}")
    elif not everything:
        print(f"To look through every image: {spell('keepset', 'review', '--all', '-w', ws.root)}")


def list_(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """All batches, the newest last."""
    from keepset.review import list_batches

    ws, _ = open_workspace(workspace)
    rows = [_summary(b) for b in list_batches(ws)]
    if as_json:
        output.document({"ok": True, "batches": rows})
    elif not rows:
        print("No batch yet; `keepset review` proposes one.")
    else:
        shown = [list((r | {"model": r["model"][:8]}).values()) for r in rows]
        output.table("Cleaning batches", list(rows[0]), shown)


def _summary(batch: Batch) -> dict[str, Any]:
    r = batch.record
    return {
        "batch": batch.id,
        "status": str(batch.status),
        "revision": r.revision,
        "model": r.model_id,
        "candidates": batch.candidates().header.rows,
        "marked": len(batch.marks()),
        "deadline": str(batch.deadline)[:16],
    }


def show(
    batch: BatchArgument = None,
    workspace: WorkspaceOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Rows to show.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """A batch's candidates with the reason for each, and what is marked so far, or was decided."""
    from keepset.forecast import forecast
    from keepset.review import BatchStatus, preview

    ws, _ = open_workspace(workspace)
    found = _batch(ws, batch)
    rows, marks, approval = found.candidates().rows(), found.marks(), found.approval()
    foreseen = forecast(found) if marks and found.status == BatchStatus.OPEN else None
    if as_json:
        marked = {sha: {"action": str(m.action), "label": m.label} for sha, m in marks.items()}
        expected = asdict(foreseen) if foreseen else None
        output.document({"ok": True, **_summary(found), "rows": rows, "marks": marked, "forecast": expected})
        return
    decided = {s: (d["action"], d["label"]) for s, d in approval.decisions.items()} if approval else {}
    done = decided or {s: (str(m.action), m.label) for s, m in marks.items()}
    random = found.unproposed()
    shown = [
        (r["rank"] + 1, r["sha256"][:8], f"{r['label']} → {r['predicted']} {certainty(r['probability'])}",
         "" if r["sha256"] in random else _suggestion(r["suggestion"], r["suggested_label"]),
         _suggestion(*done[r["sha256"]]) if r["sha256"] in done else "", r["explanation"])
        for r in rows[:limit]
    ]  # fmt: skip
    held = f"{len(rows)} images, {found.proposed} proposed"
    output.table(
        f"{found.id}: {found.status}, {held}, {len(marks)} marked",
        ["#", "image", "given → predicted", "suggested", "decided" if decided else "marked", "why"],
        shown,
    )
    if len(rows) > limit:
        print(f"... and {len(rows) - limit} more (--limit, or the gallery: keepset web)")
    for guard in preview(found).guards if found.status == BatchStatus.OPEN else ():
        print(f"Confirmation required (--confirm): {guard}")
    if foreseen:
        _foretell(foreseen)


def _foretell(foreseen: Forecast) -> None:
    """What the batch will do to the model."""
    from keepset.forecast.words import table

    print(f"What this will do: {foreseen.words}")
    if foreseen.columns:
        print(table(foreseen.columns))
    for note in foreseen.notes:
        print(note)
    for mark in foreseen.disputed:
        print(
            f"Look again at {mark.sha256[:8]} (→ {mark.label}): trained on all your other marks, the model says {mark.said}."
        )


def _suggestion(action: str, label: str | None) -> str:
    return f"→ {label}" if label else action


def approve(
    batch: BatchArgument = None,
    workspace: WorkspaceOption = None,
    suggested: Annotated[
        bool, typer.Option("--suggested", help="Do what is suggested for images without a mark.")
    ] = False,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Image to keep: 8 digits of its sha256. Repeatable.")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm large deletions.")] = False,
    retrain: Annotated[bool, typer.Option(help="Apply and retrain here and now, unless Prefect does it.")] = True,
    who: WhoOption = "",
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Approve a batch: a new data-set revision follows, then a retrained model is compared with the old one.

    What was marked in the gallery is done; what was not stays, or is done as suggested with --suggested. Where a stack
    runs (`keepset up`), the Prefect run that waits for the batch goes on; else it is done here and now.
    """
    from keepset.forecast import forecast
    from keepset.review import BatchStatus

    ws, _ = open_workspace(workspace)
    undecided = "suggested" if suggested else "keep"
    options = {"undecided": undecided, "keep": tuple(keep or ()), "confirm": confirm}
    found = _batch(ws, batch)
    if found.status == BatchStatus.OPEN and not as_json:
        _foretell(forecast(found, undecided=undecided, keep=tuple(keep or ())))
    decided, taken_up = _decide(ws, batch, "approve", who, note, **options)
    if taken_up or not retrain:
        _report(decided, taken_up, as_json)
        return
    from keepset.pipeline import follow_up

    with output.progress(as_json=as_json) as progress:
        done = output.results(follow_up(ws, progress=progress), as_json=as_json)
    if not as_json:
        output.what_next(ws, done)


def reject(
    batch: BatchArgument = None, workspace: WorkspaceOption = None, who: WhoOption = "",
    note: NoteOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Reject a batch: nothing changes, and the decision is in the audit log."""
    ws, _ = open_workspace(workspace)
    _report(*_decide(ws, batch, "reject", who, note), as_json)


def send_back(
    batch: BatchArgument = None, workspace: WorkspaceOption = None, who: WhoOption = "",
    note: NoteOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Send a batch back undecided, with a note; `keepset review reopen` takes it up again."""
    ws, _ = open_workspace(workspace)
    _report(*_decide(ws, batch, "send_back", who, note), as_json)


def reopen(
    batch: Annotated[str, typer.Argument(help="Batch id.")],
    workspace: WorkspaceOption = None,
    who: WhoOption = "",
    as_json: JsonOption = False,
) -> None:
    """Open a batch again that was sent back or has expired, with its marks and a new deadline."""
    from keepset.orchestrator.waiting import notify_reopened
    from keepset.review import load_batch
    from keepset.review import reopen as open_again

    ws, _ = open_workspace(workspace)
    found = load_batch(ws, batch)
    open_again(found, who=who_or_default(who))
    found = load_batch(ws, batch)
    waits = notify_reopened(ws, found)
    if as_json:
        output.document({"ok": True, "batch": found.id, "status": str(found.status), "flow_run_waits": waits})
        return
    print(f"{found.id} is open until {found.deadline:%Y-%m-%d %H:%M} UTC; {len(found.marks())} marks stand.")
    if waits:
        print("A Prefect run waits for the decision.")


def log(
    workspace: WorkspaceOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Newest rows to show.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The history: who did what, when and why, and what it did to the error. With --json the audit log itself."""
    from keepset.history.timeline import timeline

    ws, _ = open_workspace(workspace)
    if as_json:
        output.document({"ok": True, "log": ws.audit_log()[-limit:]})
        return
    shown = [(e.at[:19].replace("T", " "), e.who, e.words, e.note, e.effect) for e in timeline(ws)[:limit][::-1]]
    output.table("History", ["when (UTC)", "who", "what", "why", "effect"], shown)


def _batch(ws: Workspace, batch_id: str | None) -> Batch:
    from keepset.errors import ReviewError
    from keepset.review import BatchStatus, list_batches, load_batch

    if batch_id:
        return load_batch(ws, batch_id)
    open_ones = [b for b in list_batches(ws) if b.status == BatchStatus.OPEN]
    if not open_ones:
        raise ReviewError("No batch is open.", "`keepset review` proposes one; `keepset review list` shows all.")
    return open_ones[-1]


def _decide(
    ws: Workspace, batch_id: str | None, decision: str, who: str, note: str, **options: Any
) -> tuple[Batch, bool]:
    """The decided batch, and whether a flow run that waits for it took the decision up."""
    from keepset.orchestrator.waiting import notify_decision
    from keepset.review import load_batch, submit

    found = _batch(ws, batch_id)
    submit(found, decision, who=who_or_default(who), note=note, via="cli", **options)
    found = load_batch(ws, found.id)
    return found, notify_decision(ws, found)


def _report(batch: Batch, taken_up: bool, as_json: bool) -> None:
    from keepset.review import BatchStatus

    if as_json:
        output.document({"ok": True, "batch": batch.id, "status": str(batch.status), "flow_run_resumed": taken_up})
        return
    next_step = {
        BatchStatus.APPROVED: f"Next: {spell('keepset', 'run', '-w', batch.ws.root)}   (applies it and retrains)",
        BatchStatus.SENT_BACK: f"To open it again: {spell('keepset', 'review', 'reopen', batch.id, '-w', batch.ws.root)}",
        BatchStatus.REJECTED: "Nothing changes.",
    }.get(batch.status, "")
    words = "Prefect takes it up." if taken_up else next_step
    print(f"{batch.id} is {str(batch.status).replace('_', ' ')}. {words}".rstrip())
