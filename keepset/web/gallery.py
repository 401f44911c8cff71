"""The gallery's pages. State is read from the workspace at every request, so any number of processes agree."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from keepset import manifests
from keepset.errors import ManifestError, NeedsConfirmation, ReviewError, StaleBatch
from keepset.models import list_models
from keepset.reasons import Action
from keepset.review import (
    Batch,
    BatchStatus,
    Mark,
    guards,
    list_batches,
    load_batch,
    mark,
    preview,
    redo,
    reopen,
    stop_rule,
    submit,
    undo,
)
from keepset.settings import settings
from keepset.web.pages import page
from keepset.workspace import SHA256, Workspace

__all__ = ["routes"]

PAGE = 120
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def routes(ws: Workspace) -> list[Route]:
    def bound(function: Any) -> Any:
        return functools.partial(function, ws)

    batch = "/batches/{batch_id}"
    return [
        Route("/", bound(_home)),
        Route(batch, bound(_batch)),
        Route(f"{batch}/marks", bound(_marks), methods=["GET"]),
        Route(f"{batch}/marks", bound(_save_marks), methods=["POST"]),
        Route(f"{batch}/undo", bound(_undo), methods=["POST"]),
        Route(f"{batch}/redo", bound(_redo), methods=["POST"]),
        Route(f"{batch}/form", bound(_save_form), methods=["POST"]),
        Route(f"{batch}/submit", bound(_submit_page), methods=["GET"]),
        Route(f"{batch}/submit", bound(_submit), methods=["POST"]),
        Route(f"{batch}/reopen", bound(_reopen), methods=["POST"]),
        Route("/thumbs/{name}", bound(_thumb)),
        Route("/reports/{model_id}", bound(_report)),
        Route("/log", bound(_log)),
    ]


# -- pages -----------------------------------------------------------------------------------------


def _home(ws: Workspace, request: Request) -> Response:
    reports = [m for m in list_models(ws) if (ws.reports / m.id / "report.html").exists()]
    batches = list_batches(ws)[::-1]
    return page(
        "home.html", ws, batches=batches, models=reports[::-1], promoted=ws.promoted(), advice=stop_rule(ws)
    )


def _batch(ws: Workspace, request: Request) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    rows, marks = _rows(batch), batch.marks()
    query = request.query_params
    shown = [r for r in rows if _fits(r, query, marks)]
    pages = max(1, -(-len(shown) // PAGE))
    number = min(max(1, int(query.get("page", "1")) if query.get("page", "1").isdigit() else 1), pages)
    images = _image_facts(ws)
    facts: dict[str, Any] = {
        "batch": batch, "status": str(batch.status), "open": batch.status == BatchStatus.OPEN, "marks": marks,
        "rows": shown[(number - 1) * PAGE : number * PAGE], "total": len(rows), "found": len(shown), "page": number,
        "pages": pages, "images": images, "labels": batch.record.labels, "query": dict(query),
        "reasons": sorted(batch.record.counts), "splits": sorted({r["split"] for r in rows}),
        "advice": stop_rule(ws), "notice": query.get("notice", ""), "approval": batch.approval(),
        "progress": batch.progress(), "events": batch.events()[-200:][::-1],
    }  # fmt: skip
    return page("batch.html", ws, **facts)


def _rows(batch: Batch) -> tuple[dict[str, Any], ...]:
    return _read_rows(batch.folder)


@functools.lru_cache(maxsize=8)
def _read_rows(folder: Path) -> tuple[dict[str, Any], ...]:
    """The candidates as rows; they are immutable, so a cache cannot go stale."""
    return tuple(manifests.read(folder / "candidates.parquet", "candidates").rows())


def _fits(row: dict[str, Any], query: Any, marks: Any) -> bool:
    wanted = query.get("show", "")
    return (
        query.get("label", "") in ("", row["label"])
        and query.get("split", "") in ("", row["split"])
        and (not query.get("reason") or query["reason"] in row["reasons"])
        and (wanted != "undecided" or row["sha256"] not in marks)
        and (wanted != "marked" or row["sha256"] in marks)
    )


def _image_facts(ws: Workspace) -> dict[str, dict[str, Any]]:
    """Size, format and source by sha256, for cards that are compared with their duplicates."""
    try:
        mtime = ws.images.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    return _read_images(ws, mtime)


@functools.lru_cache(maxsize=2)
def _read_images(ws: Workspace, _mtime: int) -> dict[str, dict[str, Any]]:
    try:
        table = manifests.read(ws.images, "images").table
    except ManifestError:
        return {}
    columns = [
        "sha256",
        "width",
        "height",
        "bytes",
        "format",
        "url",
        "landing_page",
        "license",
        "creator",
        "copies",
    ]
    return {r["sha256"]: r for r in table.select(columns).to_pylist()}


def _log(ws: Workspace, request: Request) -> Response:
    heads = [manifests.read_header(ws.dataset(n)) for n in ws.revisions()[::-1]]
    return page("log.html", ws, rows=ws.audit_log()[-500:][::-1], revisions=heads)


def _report(ws: Workspace, request: Request) -> Response:
    model_id = request.path_params["model_id"]
    if model_id not in {m.id for m in list_models(ws)}:
        return PlainTextResponse("There is no such model.", 404)
    path = ws.reports / model_id / "report.html"
    if not path.exists():
        return PlainTextResponse("This model has no report yet: run `keepset interpret`.", 404)
    return FileResponse(path, headers={"content-security-policy": REPORT_POLICY})


def _thumb(ws: Workspace, request: Request) -> Response:
    """A re-encoded picture, found by its hash: a path never comes from the address."""
    sha = request.path_params["name"].removesuffix(".jpg")
    if not SHA256.fullmatch(sha) or sha not in _image_facts(ws) or not (path := ws.thumb(sha)).exists():
        return PlainTextResponse("There is no such picture.", 404)
    return FileResponse(
        path, media_type="image/jpeg", headers={"cache-control": "private, max-age=31536000, immutable"}
    )


# -- marks -----------------------------------------------------------------------------------------


def _state(batch: Batch) -> dict[str, Any]:
    marks = {s: {"action": str(m.action), "label": m.label, "who": m.who} for s, m in batch.marks().items()}
    return {"version": batch.version, "status": str(batch.status), "marks": marks}


def _marks(ws: Workspace, request: Request) -> Response:
    return JSONResponse(_state(load_batch(ws, request.path_params["batch_id"])))


async def _save_marks(ws: Workspace, request: Request) -> Response:
    from starlette.concurrency import run_in_threadpool

    try:
        body = await request.json()
        found = [_from_json(m) for m in body["marks"]]
        version = body.get("version")
    except (ValueError, KeyError, TypeError) as e:
        return JSONResponse(
            {"error": "BadRequest", "message": f"Not a list of marks: {e}", "remedy": ""}, 400
        )

    def save() -> dict[str, Any]:
        batch = load_batch(ws, request.path_params["batch_id"])
        mark(batch, found, who=_who(request), expected_version=version)
        return _state(load_batch(ws, batch.id))

    return JSONResponse(await run_in_threadpool(save))


def _from_json(m: dict[str, Any]) -> Mark:
    action = None if m["action"] is None else Action(m["action"])
    return Mark(str(m["sha256"]), action, str(m["label"]) if m.get("label") else None)


def _who(request: Request) -> str:
    """The reviewer's name, remembered by a cookie once it was given; nothing depends on it but the log."""
    return unquote(request.cookies.get("keepset_who", "")).strip()[:100] or settings().reviewer or "gallery"


def _undo(ws: Workspace, request: Request) -> Response:
    return _step(ws, request, undo)


def _redo(ws: Workspace, request: Request) -> Response:
    return _step(ws, request, redo)


def _step(ws: Workspace, request: Request, function: Any) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    function(batch, who=_who(request))
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(_state(load_batch(ws, batch.id)))
    return RedirectResponse(f"/batches/{batch.id}", 303)


async def _save_form(ws: Workspace, request: Request) -> Response:
    """The page's one form, for browsers without JavaScript: a radio group a card."""
    from starlette.concurrency import run_in_threadpool

    form = await request.form(max_fields=20_000)
    given = {str(k): str(v) for k, v in form.items()}

    def save() -> Response:
        batch = load_batch(ws, request.path_params["batch_id"])
        try:
            found = [_from_form(k[2:], v) for k, v in given.items() if k.startswith("m:") and v]
            version = int(given["version"])
        except (ValueError, KeyError):
            return PlainTextResponse("This form is not one of ours.", 400)
        standing = {s: (str(m.action), m.label) for s, m in batch.marks().items()}
        new = [m for m in found if standing.get(m.sha256) != (str(m.action), m.label)]
        if new:
            try:
                mark(batch, new, who=_who(request), expected_version=version)
            except StaleBatch as e:
                return page("stale.html", ws, 409, batch=batch, trouble=e)
        goes_on = "submit" if given.get("then") == "submit" else ""
        return RedirectResponse(f"/batches/{batch.id}" + (f"/{goes_on}" if goes_on else ""), 303)

    return await run_in_threadpool(save)


def _from_form(sha: str, value: str) -> Mark:
    if value.startswith("relabel:"):
        return Mark(sha, Action.RELABEL, value.removeprefix("relabel:"))
    return Mark(sha, Action(value), None)


# -- deciding --------------------------------------------------------------------------------------


def _submit_page(ws: Workspace, request: Request, trouble: str = "", status: int = 200) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    undecided = request.query_params.get("undecided", "keep")
    marks = batch.marks()
    counts = {str(a): sum(m.action == a for m in marks.values()) for a in Action}
    rows = _rows(batch)
    rest = [r for r in rows if r["sha256"] not in marks]
    suggested = {str(a): sum(r["suggestion"] == a for r in rest) for a in Action}
    found = guards(batch, undecided=undecided if undecided in ("keep", "suggested") else "keep")
    all_guards = list(dict.fromkeys([*found, *guards(batch, undecided="suggested")]))
    return page(
        "submit.html", ws, status, batch=batch, counts=counts, rest=len(rest), suggested=suggested, guards=found,
        all_guards=all_guards, undecided=undecided, trouble=trouble, preview=preview(batch), open=batch.status == BatchStatus.OPEN,
        who=unquote(request.cookies.get("keepset_who", "")) or settings().reviewer, version=batch.version,
    )  # fmt: skip


async def _submit(ws: Workspace, request: Request) -> Response:
    from starlette.concurrency import run_in_threadpool

    form = {str(k): str(v) for k, v in (await request.form()).items()}
    return await run_in_threadpool(_decide, ws, request, form)


def _decide(ws: Workspace, request: Request, form: dict[str, str]) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    try:
        submit(
            batch, form.get("decision", ""), who=form.get("who", ""), note=form.get("note", ""),
            undecided=form.get("undecided", "keep"), confirm=form.get("confirm") == "yes",
            expected_version=int(form["version"]) if form.get("version", "").isdigit() else None, via="gallery",
        )  # fmt: skip
    except NeedsConfirmation as e:
        return _submit_page(ws, request, str(e), 400)
    except ReviewError as e:
        return _submit_page(ws, request, str(e), 409)
    from keepset.waiting import notify_decision

    woken = notify_decision(ws, load_batch(ws, batch.id))
    answer = RedirectResponse(f"/batches/{batch.id}?notice={'woken' if woken else 'on-disk'}", 303)
    answer.set_cookie("keepset_who", quote(form.get("who", "")[:100]), samesite="strict", max_age=31_536_000)
    return answer


def _reopen(ws: Workspace, request: Request) -> Response:
    batch = load_batch(ws, request.path_params["batch_id"])
    reopen(batch, who=_who(request))
    from keepset.waiting import notify_reopened

    notify_reopened(ws, load_batch(ws, batch.id))
    return RedirectResponse(f"/batches/{batch.id}", 303)
