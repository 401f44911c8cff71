"""What a takedown would touch: the lines, pictures, models, reports and exports that one creator, address, file or licence
is in. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from keepset import manifests
from keepset.blocklist import BlockList, digest, masked
from keepset.clean.purging import size_of
from keepset.errors import KeepsetError, ReviewError
from keepset.models import list_models
from keepset.review import BatchStatus, list_batches
from keepset.review.naming import whole
from keepset.scrape.license import code, taken
from keepset.text import many
from keepset.train import check, usable
from keepset.workspace import Workspace

__all__ = ["Takedown", "Wanted", "holding", "match", "rows_of"]


@dataclass(frozen=True)
class Wanted:
    """What is to be taken down: everything of one ``creator``, ``url``, ``sha256`` or ``license``."""

    by: str
    value: str

    @classmethod
    def one_of(cls, **named: str) -> Wanted:
        """Raises ``ReviewError`` unless exactly one is given."""
        given = {k: v.strip() for k, v in named.items() if v.strip()}
        if len(given) != 1:
            raise ReviewError(
                "Nothing to remove was named." if not given else f"Both {' and '.join(given)} were named.",
                "Give one of --creator, --url, --sha256 and --licence.",
            )
        ((by, value),) = given.items()
        return cls(by, (code(value) or value) if by == "license" else value)

    @property
    def digest(self) -> str:
        return digest(self.value)

    def test(self) -> Callable[[Mapping[str, Any]], bool]:
        """Whether a row of ``urls`` or ``images`` is meant; a row of ``urls`` has no sha256."""
        mine, known = self.digest, dict[str, str]()

        def same(text: Any) -> bool:
            if not text:
                return False
            if text not in known:
                if len(known) > 100_000:
                    known.clear()
                known[text] = digest(text)
            return known[text] == mine

        tests: dict[str, Callable[[Mapping[str, Any]], bool]] = {
            "creator": lambda r: same(r["creator"]),
            "url": lambda r: same(r["url"]) or same(r["landing_page"]),
            "sha256": lambda r: r.get("sha256") == self.value,
            "license": lambda r: bool(r["license"]) and taken(r["license"], [self.value]),
        }
        return tests[self.by]


@dataclass(frozen=True)
class Takedown:
    """What one takedown means. ``pictures`` and ``near`` (near copies, which stay) are sha256s, the former in use where they
    are in ``active``; ``lines``: ids of rows of ``urls``; ``urls``: digests of their addresses; ``bytes``: of the files;
    ``training``: why no model could be trained on what is left, else empty."""

    wanted: Wanted
    pictures: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    revisions: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    bytes: int = 0
    training: str = ""
    message: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> Iterator[str]:
        """Lines for people."""
        if not self.pictures and not self.lines:
            yield f"Nothing in this workspace is of this {self.wanted.by}. With --yes it is kept from ever being fetched."
            return
        yield f"{many(len(self.pictures), 'picture')}, {len(self.active)} of them in use ({self.bytes / 1e6:.1f} MB of files)"
        for sha in self.pictures[:20]:
            yield f"  {sha[:12]}"
        if len(self.pictures) > 20:
            yield f"  and {len(self.pictures) - 20} more"
        if self.lines:
            yield f"{many(len(self.lines), 'line')} of sources that will not be fetched again"
        facts = {
            "revisions that hold them": [str(n) for n in self.revisions], "models that learnt from them": self.models,
            "reports to delete": self.reports, "open batches that show them": self.batches,
            "exports that hold them; delete those yourself": self.exports,
            "near copies, which stay unless you remove them by --sha256": [s[:12] for s in self.near],
        }  # fmt: skip
        for title, names in facts.items():
            if names:
                yield f"{title}: {', '.join(names)}"
        if self.training:
            yield f"no model can be trained on what is left: {self.training}"


def match(ws: Workspace, wanted: Wanted) -> Takedown:
    """Everything that ``wanted`` means now. Raises ``ReviewError`` for a sha256 that names no picture, or a licence that none has."""
    if wanted.by == "sha256":
        wanted = Wanted("sha256", whole([wanted.value], _known(ws), "this workspace")[0])
    test = wanted.test()
    lines = {r["url_id"]: digest(r["url"]) for r in _urls(ws) if test(r) and r["url"] != masked(r["url"])}
    pictures = {r["sha256"] for r in _downloads(ws) if r["url_id"] in lines}
    images = [
        r for r in rows_of(ws, "images", _IMAGE) if r["pixel_hash"] or r["dup_of"] or r["sha256"] in pictures or test(r)
    ]
    images = [r for r in images if r["url"] != masked(r["url"])]
    pictures |= {r["sha256"] for r in images if test(r)} | ({wanted.value} if wanted.by == "sha256" else set())
    if wanted.by == "license" and not (lines or pictures or _is_licence(ws, wanted.value)):
        here = sorted({str(code(r["license"])) for r in rows_of(ws, "images", ("license",)) if r["license"]})
        have = f"Licences here: {', '.join(here)}." if here else "No picture here came with a licence."
        raise ReviewError(f"No picture here is under the licence '{wanted.value}'.", have)
    pictures, near = _with_copies(images, pictures)
    ids = {r["url_id"] for r in _downloads(ws) if r["sha256"] in pictures}
    lines |= {r["url_id"]: digest(r["url"]) for r in _urls(ws) if r["url_id"] in ids}
    urls = {*lines.values(), *(digest(r["url"]) for r in images if r["sha256"] in pictures)}
    urls |= {wanted.digest} if wanted.by == "url" else set()
    named = {"pictures": sorted(pictures), "lines": sorted(lines), "urls": sorted(urls), "near": sorted(near)}
    found: dict[str, Any] = {k: tuple(v) for k, v in (named | holding(ws, pictures)).items()}
    return Takedown(
        wanted, **found,
        bytes=sum(size_of(ws, s) for s in pictures), training=_training(ws, pictures),
    )  # fmt: skip


def _training(ws: Workspace, pictures: set[str]) -> str:
    """What stops training on the current revision without the pictures; empty if nothing does, or before the first revision."""
    if not ws.newest().exists():
        return ""
    rows = manifests.each(ws.newest(), "dataset", ("sha256", "label", "split", "active", "dup_of", "dup_kind"))
    try:
        check(usable([r for r in rows if r["sha256"] not in pictures]), ws.config().labels)
    except KeepsetError as e:
        return f"{e.message} {e.remedy}"
    return ""


def _is_licence(ws: Workspace, name: str) -> bool:
    """Whether it may be blocked before anything of it was found: words such as "unknown" name none."""
    return name.startswith(("cc", "pdm")) or name in BlockList.of(ws).licenses


def holding(ws: Workspace, pictures: set[str]) -> dict[str, list[Any]]:
    """What holds any of the pictures: ``active`` (those in use now), ``revisions``, ``models`` (trained or measured on them),
    ``reports`` of such models, open ``batches``, and ``exports`` (format, place and revision)."""
    found: dict[str, list[Any]] = {k: [] for k in ("active", "revisions", "models", "reports", "batches", "exports")}
    if not pictures:
        return found
    sides: dict[int, set[str]] = {}
    for number in ws.revisions():
        rows = manifests.picked(ws.dataset(number), "dataset", ("sha256", "split", "active"), pictures)
        here = [r for r in rows if r["active"]]
        sides[number] = {r["split"] for r in here}
        found["active"] = sorted(r["sha256"] for r in here)
    found["revisions"] = [n for n, here in sides.items() if here]
    for model in list_models(ws):
        path = ws.models / model.id / "predictions.parquet"
        if path.exists() and any(True for _ in manifests.picked(path, "predictions", ("sha256",), pictures)):
            found["models"].append(model.id)
            found["reports"] += [model.id] if (ws.reports / model.id / "report.html").exists() else []
    open_ones = (b for b in list_batches(ws) if b.status == BatchStatus.OPEN)
    found["batches"] = [b.id for b in open_ones if not pictures.isdisjoint(b.markable())]
    for row in ws.audit_log():
        what = row["what"]
        if row["action"] != "export":
            continue
        if what.get("model") in found["models"]:
            found["exports"].append(f"{what['to']} ({what['format']} of model {what['model'][:8]})")
        elif sides.get(what.get("revision"), set()) & set(what.get("splits", ())):
            found["exports"].append(f"{what['to']} ({what['format']}, revision {what['revision']})")
    return found


_IMAGE = ("sha256", "url", "creator", "license", "landing_page", "pixel_hash", "dup_of", "dup_kind")


def _with_copies(images: list[dict[str, Any]], pictures: set[str]) -> tuple[set[str], set[str]]:
    """The pictures with their exact copies, and the near copies of those."""
    found = set(pictures)
    while True:
        pixels = {r["pixel_hash"] for r in images if r["sha256"] in found and r["pixel_hash"]}
        more = {r["sha256"] for r in images if r["pixel_hash"] in pixels}
        for r in images:
            if r["dup_kind"] == "exact" and r["dup_of"] and (r["sha256"] in found or r["dup_of"] in found):
                more |= {r["sha256"], r["dup_of"]}
        if more <= found:
            break
        found |= more
    linked = {s for r in images if r["dup_kind"] == "near" for s in _other(r, found)}
    return found, linked - found


def _other(row: Mapping[str, Any], found: set[str]) -> set[str]:
    pair = {row["sha256"], row["dup_of"]}
    return pair - found if pair & found else set()


def _downloads(ws: Workspace) -> Iterator[dict[str, Any]]:
    return (r for r in rows_of(ws, "downloads", ("url_id", "sha256")) if r["sha256"])


def _urls(ws: Workspace) -> Iterator[dict[str, Any]]:
    return rows_of(ws, "urls", ("url_id", "url", "creator", "license", "landing_page"))


def rows_of(ws: Workspace, name: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a manifest before the split; none if it is not there."""
    path = ws.stage_manifests[name]
    return manifests.each(path, name, columns) if path.exists() else iter(())


def _known(ws: Workspace) -> set[str]:
    known = {r["sha256"] for r in rows_of(ws, "images", ("sha256",))}
    try:
        return known | {r["sha256"] for r in manifests.each(ws.newest(), "dataset", ("sha256",))}
    except KeepsetError:
        return known
