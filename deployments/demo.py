"""`make demo`: the whole pipeline on drawn pictures with planted errors, through Prefect, on this machine alone.

It stops at the cleaning batch and waits for a person in the gallery; with ``--approve suggested`` it approves what
is suggested, says so, and ends by itself. Run again, it goes on from what is there.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keepset.cli import output
from keepset.demo.pictures import Planted, plant
from keepset.demo.score import score
from keepset.demo.server import serve
from keepset.errors import KeepsetError, OrchestratorError
from keepset.machine.programs import spell
from keepset.models import list_models
from keepset.models.promote import outcome
from keepset.orchestrator import FlowRun, Orchestrator
from keepset.orchestrator.names import FlowName, deployment_of
from keepset.pipeline.atwork import Work, progress_of
from keepset.pipeline.followup import State, hand_over, standing
from keepset.review import Batch, BatchStatus, list_batches, load_batch, submit
from keepset.text import share, span
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from deployments.stack import EmbeddedStack

__all__ = ["main"]

SEED = 7
PICTURE_PORT = 8799  # fixed, so that a second run finds the URLs it knows
POLL_S = 0.5


def main(argv: Sequence[str] | None = None) -> None:
    options = _parse(argv)
    try:
        _demo(options)
    except KeepsetError as e:
        output.fail(e, as_json=False)
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        output.say("\nStopped. What was finished is kept: `make demo` goes on from there.")
        sys.exit(130)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where everything goes")
    parser.add_argument("--per-class", type=int, default=50, help="good pictures per class (three classes)")
    parser.add_argument("--approve", choices=["ask", "suggested"], default="ask", help="who approves the batch")
    parser.add_argument("--fresh", action="store_true", help="forget an earlier demo in that folder first")
    return parser.parse_args(argv)


def _demo(options: argparse.Namespace) -> None:
    from deployments.stack import EmbeddedStack

    begin = time.monotonic()
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    _say("Drawing pictures and planting errors among them")
    planted = plant(SEED, options.per_class)
    with _pictures(planted) as base:
        config = _write_config(options.folder, planted, base)
        ws = Workspace.create(options.folder / "workspace", "demo")
        _say(f"{len(planted)} URLs are served at {base}. Starting Prefect, the flow runner and the gallery")
        with EmbeddedStack(ws.root, prefect_port=0, web_port=0) as stack:
            _say(f"Prefect UI: {stack.ui_url}   Gallery: {stack.web_url}")
            _story(ws, config, options, planted, base, stack)
    _say(f"Done in {time.monotonic() - begin:.0f} s. Everything is in {options.folder}. To look around again:")
    command = "keepset" if shutil.which("keepset") else Path(sys.executable).with_name("keepset")
    for words in (("up",), ("status",), ("review", "log")):
        print(f"  {spell(command, *words, '-w', ws.root)}")


@contextlib.contextmanager
def _pictures(planted: Sequence[Planted]) -> Iterator[str]:
    with contextlib.ExitStack() as held:
        try:
            base = held.enter_context(serve(planted, PICTURE_PORT))
        except OSError:
            output.say(f"Port {PICTURE_PORT} is taken; the demo's pictures get another one and are fetched again.")
            base = held.enter_context(serve(planted, 0))
        yield base


def _write_config(folder: Path, planted: Sequence[Planted], base: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ['name = "demo"', f"seed = {SEED}"]
    for label in dict.fromkeys(p.label for p in planted):
        urls = [base + p.path for p in planted if p.label == label]
        (folder / f"urls_{label}.txt").write_text("\n".join(urls) + "\n", encoding="utf-8")
        lines += ["", f"[classes.{label}]", f'lists = ["urls_{label}.txt"]']
    host = base.removeprefix("http://")
    lines += ["", "[download]", f'allow_private = ["{host}"]   # the demo\'s own server', "per_host_rate = 200.0"]
    lines += ["", "[train]", "epochs = 0   # the linear head alone: quick, and enough for these pictures"]
    path = folder / "demo.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _story(
    ws: Workspace,
    config: Path,
    options: argparse.Namespace,
    planted: Sequence[Planted],
    base: str,
    stack: EmbeddedStack,
) -> None:
    if not list_batches(ws):
        parameters = {"workspace": str(ws.root), "config": str(config.resolve())}
        _follow(stack.prefect, ws, stack.prefect.start_deployment(deployment_of(FlowName.PIPELINE), parameters))
    if not (batches := list_batches(ws)):
        raise OrchestratorError("No cleaning batch was opened.", "Look at the runs in the Prefect UI.")
    batch = batches[0]
    output.table(
        "\nPlanted and found, before anybody approved anything",
        ["planted trouble", "planted", "found", "found means"],
        [(x.kind, x.planted, x.found, x.meaning) for x in score(ws, planted, base, batch.id)],
    )
    print(f"\nReport: {ws.reports / batch.record.model_id / 'report.html'}")
    if batch.status == BatchStatus.OPEN:
        _approve(ws, batch, options.approve, stack.web_url)
    _wait_for_retraining(ws, batch)
    _before_and_after(ws)


def _follow(prefect: Orchestrator, ws: Workspace, run: FlowRun) -> None:
    """Show each stage's result as it comes, until the run ends. Raises ``OrchestratorError`` if it failed."""
    shown = 0
    while True:
        state, results = prefect.state(run), progress_of(ws, Work.RUN).get("results", [])
        for result in results[shown:]:
            _say(f"  ✓ {result['stage']:<10} {result['message']}")
        shown = len(results)
        if state.failed:
            raise OrchestratorError(
                f"The pipeline ended as {state.name}: {state.message}", "Look at its logs in the Prefect UI."
            )
        if state.over:
            return
        time.sleep(POLL_S)


def _approve(ws: Workspace, batch: Batch, how: str, web_url: str) -> None:
    waiting = len(batch.rows())
    if how == "suggested":
        _say(f"APPROVE=suggested: approving what is suggested for the {waiting} candidates, as reviewer 'demo'")
        submit(batch, "approve", who="demo", note="make demo APPROVE=suggested", undecided="suggested", confirm=True)
        hand_over(ws, load_batch(ws, batch.id))
        return
    address = f"{web_url}/batches/{batch.id}"
    print(f"\n{waiting} pictures wait for you. Open the gallery, decide, and submit:\n\n  {address}\n")
    _say("Waiting for your approval (Ctrl-C stops; `make demo` comes back to this point)")
    while load_batch(ws, batch.id).status == BatchStatus.OPEN:
        time.sleep(POLL_S)


def _wait_for_retraining(ws: Workspace, batch: Batch) -> None:
    """Until the approved batch is applied and the retrained model is compared with the first one."""
    status = load_batch(ws, batch.id).status
    if status not in (BatchStatus.APPROVED, BatchStatus.APPLIED):
        _say(f"The batch is {status}: nothing changes, so nothing is retrained")
        return
    _say("Applying the decisions as a new revision; the event sets off the retraining")
    deadline = time.monotonic() + 600
    while (now := standing(ws)).pending:
        if now.state == State.FAILED:
            raise OrchestratorError(f"The retraining failed: {now.progress['trouble']['message']}")
        if time.monotonic() > deadline:
            raise OrchestratorError("No retraining within ten minutes.", "Look at the runs in the Prefect UI.")
        time.sleep(POLL_S)


def _before_and_after(ws: Workspace) -> None:
    rows, models = [], list_models(ws)
    for m in models:
        valid = m.metrics["valid"]
        error = f"{share(valid['error_rate'])} ({span(valid['low'], valid['high'], 1)})"
        used = "in use" if m.id == ws.promoted() else ""
        rows.append((m.dataset_revision, m.id[:8], f"{valid['errors']} of {valid['n']}", error, m.winner, used))
    columns = ["revision", "model", "validation errors", "error rate (95 %)", "kept", ""]
    output.table("\nBefore and after", columns, rows)
    print(f"{outcome(ws, models[-1].id)}\nReport: {ws.reports / models[-1].id / 'report.html'}\n")


def _say(message: str) -> None:
    print(f"• {message}", flush=True)


if __name__ == "__main__":
    main()
