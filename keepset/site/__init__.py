"""A model as a folder of static files that classifies in the browser: no server, no upload, no connection once loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keepset import __version__, manifests
from keepset.export.model_file import model_to_send
from keepset.export.onnx import export_model
from keepset.export.place import apart, finish, place, remember, standing
from keepset.machine.programs import spell
from keepset.models import ModelRecord
from keepset.predict.intake import DEFAULT_LIMITS
from keepset.predict.model import Predictor
from keepset.site.fitting import Fitted, fitted
from keepset.site.pictures import SitePictures, credits_of, site_pictures
from keepset.site.runtime import VERSION, Runtime, browser_runtime
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.workspace import Workspace

__all__ = ["SiteOptions", "export_site"]

MOST = 25_000_000
"""Bytes of a site: what a phone loads in some seconds."""
PICTURES = 1_500_000
"""Bytes of it for small copies of training pictures."""
_STATIC = Path(__file__).with_name("static")
_WEB = Path(__file__).parents[1] / "web"
_SHARED = _WEB / "static"
_TEMPLATES = tuple(_WEB / "templates" / f"{name}.html" for name in ("site", "site_about", "drop", "answer"))
_SCRIPTS = (
    *(_STATIC / name for name in ("page.js", "worker.js", "prepare.js", "icon.svg", "onnxruntime-license.txt")),
    *(_SHARED / "predict" / name for name in ("intake.js", "cards.js")),
)
_STYLES = (_SHARED / "gallery.css", _SHARED / "predict" / "predict.css")


@dataclass(frozen=True)
class SiteOptions:
    """``all_pictures``: show training pictures whatever their licence. ``runtime``: the package onnxruntime-web."""

    all_pictures: bool = False
    runtime: Path | None = None


def export_site(
    ws: Workspace, to: Path, options: SiteOptions | None = None, *, progress: Progress = SILENT
) -> StageResult:
    """Put the model in use into the folder ``to`` as a web site, whole or not at all; an older site there is replaced.

    ``changed`` is false if the folder holds this very site. Raises ``WorkspaceError`` for a folder that holds anything
    else, ``ModelError`` without a model in use that may be sent, ``StageError`` without the runtime, ``WorkspaceBusy``.
    """
    options = options or SiteOptions()
    to = apart(ws, to)
    record = model_to_send(ws)
    facts = _facts(ws, record, options)
    if there := standing(to, facts["fingerprint"]):
        return _result(ws, to, there, changed=False)
    with place(to, facts) as part:
        progress.start("exporting the site", 3)
        runtime = browser_runtime(options.runtime)
        model = export_model(ws, record.id)
        progress.advance()
        small = fitted(ws, record, model, MOST - PICTURES - len(runtime.wasm) - 500_000)
        progress.advance()
        credit = credits_of(ws, every=options.all_pictures)
        pictures = site_pictures(ws, record, Predictor(model).reference, credit, PICTURES)
        _write(part, ws, record, runtime, small, pictures)
        progress.advance()
        facts |= _told(part, small, pictures)
        facts = finish(part, facts)
    remember(ws, "site", to, model=record.id)
    return _result(ws, to, facts, changed=True)


def _facts(ws: Workspace, record: ModelRecord, options: SiteOptions) -> dict[str, Any]:
    data = manifests.read_header(ws.dataset(ws.revisions()[-1]))
    ours = (*_SCRIPTS, *_STYLES, *_TEMPLATES, _STATIC / "offline.js")
    code = hashlib.sha256(b"".join(p.read_bytes() for p in ours))
    parents = {"model": record.id, "dataset": data.content_hash, "code": code.hexdigest(), "name": ws.name}
    choice = {"all_pictures": options.all_pictures, "runtime": VERSION}
    return {
        "format": "site", "keepset": __version__, "workspace": ws.id, "name": ws.name, "model": record.id,
        "revision": record.dataset_revision, "classes": list(record.classes),
        "fingerprint": manifests.fingerprint("export", parents, choice, 1),
    }  # fmt: skip


def _write(
    part: Path, ws: Workspace, record: ModelRecord, runtime: Runtime, small: Fitted, pictures: SitePictures
) -> None:
    files = {p.name: p.read_bytes() for p in _SCRIPTS} | {
        "style.css": b"\n".join(p.read_bytes() for p in _STYLES), "model.onnx": small.model,
        "onnxruntime.js": runtime.script, "onnxruntime-loader.js": runtime.loader,
        "onnxruntime.wasm.bin": runtime.wasm, "pictures.bin": bytes(pictures.pack),
    }  # fmt: skip
    files |= {f"sample-{i}.jpg": data for i, data in enumerate(pictures.samples, 1)}
    files["site.json"] = _json(_served(record, small, pictures, files))
    files["manifest.webmanifest"] = _json(_installable(ws.name))
    files |= _pages(ws, record, small, pictures)
    files["offline.js"] = _offline(ws, files)
    for name, data in files.items():
        (part / name).write_bytes(data)
    from keepset.site.readme import write_readme

    write_readme(part, ws, record, pictures.credits)


def _served(record: ModelRecord, small: Fitted, pictures: SitePictures, files: Mapping[str, bytes]) -> dict[str, Any]:
    """What the page's scripts need to know."""
    limits = DEFAULT_LIMITS
    return {
        "classes": record.classes, "preprocess": asdict(record.preprocess), "temperature": record.temperature,
        "far": small.far, "unsure_below": small.unsure_below, "model": record.id, "pictures": pictures.known,
        "limits": {"max_bytes": limits.max_bytes, "max_pixels": limits.max_pixels},
        "download": {name: len(files[name]) for name in ("model.onnx", "onnxruntime.wasm.bin")},
    }  # fmt: skip


def _installable(name: str) -> dict[str, Any]:
    """Web app manifest (W3C): what a phone needs to put the site on its home screen."""
    icon = {"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}
    return {"name": name, "short_name": name[:24], "start_url": "./", "display": "standalone", "icons": [icon]}


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _pages(ws: Workspace, record: ModelRecord, small: Fitted, pictures: SitePictures) -> dict[str, bytes]:
    from keepset.web.pages import templates

    named = [c for c in pictures.credits if c["license"] or c["creator"] or c["landing_page"]]
    blank = {
        "preview": "icon.svg", "name": "", "label": "", "probability": 0, "top": [("", 0)],
        "similar": [{"link": "", "src": "icon.svg", "label": "", "credit": ""}],
    }  # fmt: skip
    facts = {
        "title": ws.name, "classes": record.classes, "blank": blank, "credits": named, "runtime": VERSION,
        "samples": [f"sample-{i}.jpg" for i, _ in enumerate(pictures.samples, 1)], "valid": record.metrics.get("valid"),
        "model_id": record.id, "revision": record.dataset_revision, "precision": small.precision,
        "unsure_below": small.unsure_below,
    }  # fmt: skip
    pages = {"index.html": "site.html", "about.html": "site_about.html"}
    return {name: templates().get_template(template).render(**facts).encode() for name, template in pages.items()}


def _offline(ws: Workspace, files: Mapping[str, bytes]) -> bytes:
    """The service worker, which knows each file by its sha256."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    whole = hashlib.sha256(_json(digests)).hexdigest()[:16]
    text = (_STATIC / "offline.js").read_text(encoding="utf-8")
    site = f"keepset-{ws.id}-"
    text = text.replace("@VERSION@", site + whole).replace("@SITE@", site)
    return text.replace("@FILES@", json.dumps(digests, indent=2)).encode()


def _told(part: Path, small: Fitted, pictures: SitePictures) -> dict[str, Any]:
    size = sum(p.stat().st_size for p in part.iterdir())
    shown = sum(k is not None for k in pictures.known)
    notes = [*small.notes]
    if size > MOST:
        notes.append(
            f'Larger than {MOST / 1e6:.0f} MB: phones may load it slowly. [train] arch = "lite0" makes a smaller model.'
        )
    if shown < len(pictures.known):
        notes.append(
            f"{shown} of {len(pictures.known)} training pictures can be shown as similar ones: the others have no licence "
            "that allows it, or there was no room. Add --all-pictures if you may publish them."
        )
    return {"bytes": size, "precision": str(small.precision), "shown": shown, "notes": notes}


def _result(ws: Workspace, to: Path, facts: Mapping[str, Any], *, changed: bool) -> StageResult:
    what = (
        f"model {facts['model'][:8]} ({len(facts['classes'])} classes, {facts['bytes'] / 1e6:.1f} MB, "
        f"weights as {facts['precision']}) as a web site in {to}"
    )
    try_it = spell("python", "-m", "http.server", "--directory", to)
    lines = [
        what if changed else f"up to date: {what}",
        *facts["notes"],
        f"Try it: {try_it}",
        f"Publish it: {to / 'README.md'}",
    ]
    summary = {k: facts[k] for k in ("model", "bytes", "precision", "shown", "notes")}
    return StageResult(Stage.EXPORT, changed, "\n  ".join(lines), summary, {"folder": str(to)})
