"""How many keys and clicks a review costs, in a real Chromium, beside FiftyOne and fastai by their documented controls.

    python -m bench.review.usability [--work DIR] [--only mixed,junk,learning,opening,hundred]

* mixed     20 mixed cards of planted noise, decided by keys
* junk      200 junk pictures among 2,000 photos, deleted with at most 40 actions
* learning  decisions that find 80, 90 and 100 % of what is bad, with and without learning: planted noise at 20 % with several
            seeds, and the labelled bears
* opening   5,000 candidates: answers, first paint, key to paint, memory of the gallery
* hundred   the same for a batch of 100,000 images

The reviewer is simulated (``reviewer.py``): it knows the truth and uses what the page offers. Photos come from
``KEEPSET_PHOTOS`` (or ``../shared/photos``); without any the demo's drawn pictures are used. The first run makes the
sets, which takes some 20 minutes on two cores; they are kept in DIR.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from bench.review import controls
from bench.review.learned import SHARES, decisions
from bench.review.many import many
from bench.review.noise.__main__ import CHECKOUT, OUT, base_of
from bench.review.noise.planting import Condition, Planted, planted
from bench.review.opening import Cost, chromium, everything, opened, serving
from bench.review.peers import distances
from bench.review.reviewer import Reviewer
from bench.review.runs import file_hashes, reviewed
from bench.review.truth import Standing, read_truth, standing
from keepset import manifests
from keepset.importing import find_pictures
from keepset.review import Batch, Mark, list_batches, mark
from keepset.review.ordering import like
from keepset.workspace import Workspace

SEEDS = (11, 12, 13)
MOST = 40
PARTS = ("mixed", "junk", "learning", "opening", "hundred")


@dataclass(frozen=True)
class Known:
    """A reviewed set: its batch of every image, its ordinary batch, and the truth."""

    name: str
    whole: Batch
    batch: Batch
    said: Standing
    labels: dict[str, str]

    def verdicts(self) -> dict[str, tuple[str, str | None]]:
        """What the reviewer does with each bad picture."""
        return {s: ("relabel", self.labels[s]) if s in self.labels else ("delete", None) for s in self.said.bad}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, default=OUT.parent / "usability", help="sets are kept here")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    args = parser.parse_args()
    work = args.work.resolve()
    (work / "cache").mkdir(parents=True, exist_ok=True)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for part in args.only.split(","):
        {"mixed": _mixed, "junk": _junk, "learning": _learning, "opening": _opening, "hundred": _hundred}[part](work)


def _noise(work: Path, seed: int) -> Known:
    condition = Condition("noise20", junk=0.12, swaps=0.04, foreign=0.04, seed=seed)
    made = planted(base_of([]), condition, work / f"noise-{seed}")
    root = work / "workspaces" / f"noise-{seed}"
    if not root.exists():
        reviewed(made.folder, root, epochs=0, cache=work / "cache")
    return _known(f"planted, seed {seed}", root, made.folder, made)


def _known(name: str, root: Path, folder: Path, made: Planted) -> Known:
    found = find_pictures(folder)
    hashes = file_hashes(found)
    batches = list_batches(Workspace.open(root))
    whole = next(b for b in batches if b.record.on_request)
    ordinary = next((b for b in batches if not b.record.on_request), whole)
    rows = whole.rows()
    active = dict(zip(rows, rows.table["label"].to_pylist(), strict=True))
    truth = read_truth(made.truth, made.pairs if made.pairs.exists() else None, found.classes)
    said = standing(truth, hashes, active, list(active))
    labels = {hashes[v.file]: v.note for v in truth.verdicts if v.kind == "swap" and v.note in found.classes}
    return Known(name, whole, ordinary, said, {s: to for s, to in labels.items() if s in said.bad})


def _fresh(batch: Batch) -> Batch:
    """The batch without a mark."""
    if marks := batch.marks():
        mark(batch, [Mark(s, None) for s in marks], who="bench")
    return batch


# -- keys and clicks -------------------------------------------------------------------------------


def _mixed(work: Path) -> None:
    known = _noise(work, SEEDS[0])
    batch = _fresh(known.batch)
    with serving(batch.ws.root) as (url, _), chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        reviewer = Reviewer(page, f"{url}/batches/{batch.id}", batch, known.verdicts())
        reviewer.one_by_one(20)
    marks = batch.marks()
    cards = batch.rows().at(batch.ranks(list(marks)))
    verdicts = known.verdicts()
    wrong = [s for s, m in marks.items() if (str(m.action), m.label) != verdicts.get(s, ("keep", None))]
    changed = {s: f"{verdicts[s][0]} {verdicts[s][1] or ''}" for s in marks if s in verdicts}
    peers = {"fastai": controls.fastai_mixed(cards, changed), "FiftyOne": controls.fiftyone_mixed(changed)}
    print(f"\n## 20 mixed cards ({len(changed)} to change): actions")
    print(f"keepset {len(reviewer.actions)} ({len(wrong)} of {len(marks)} not as the truth has it)")
    for name, count in peers.items():
        print(f"{name} {count}: {count / len(reviewer.actions):.1f} times as many")


def _junk(work: Path) -> None:
    run, made = many(base_of([]), work / "many", images=2000, junk=200, cache=work / "cache")
    known = _known("2,000", run.ws.root, made.folder, made)
    batch = _fresh(known.whole)
    with serving(batch.ws.root) as (url, _), chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        reviewer = Reviewer(page, f"{url}/batches/{batch.id}", batch, known.verdicts())
        reviewer.clear_junk(MOST)
    bad = set(known.said.bad)
    gone = {s for s, m in batch.marks().items() if str(m.action) == "delete"}
    found, actions = len(gone & bad), len(reviewer.actions)
    print(f"\n## {len(bad)} junk pictures among {len(batch.rows())}")
    print(f"keepset: {found} deleted with {actions} actions, precision {found / max(1, len(gone)):.1%}")
    print(f"  {reviewer.curve}")
    shas, loss, knn = _peer_orders(batch)
    by_loss = [batch.rows()[s] for s in loss]
    peers = {
        "fastai": controls.fastai_deletes(by_loss, bad, found),
        "FiftyOne": controls.fiftyone_deletes(knn, lambda s: [shas[r] for r in like(batch, [s])[0]], bad, found),
    }
    for name, count in peers.items():
        print(f"{name}: {count} actions for as many, {count / actions:.1f} times as many")


def _peer_orders(batch: Batch) -> tuple[list[str], list[str], list[str]]:
    """All images by rank, by descending loss, and the least like their neighbours first."""
    import numpy as np

    from keepset.models.features import ModelFeatures

    ws, model = batch.ws, batch.record.model_id
    shas = batch.rows().table["sha256"].to_pylist()
    predictions = manifests.read(ws.models / model / "predictions.parquet", "predictions").rows()
    loss = {r["sha256"]: -r["loss"] for r in predictions}
    known = ModelFeatures.of(ws, model)
    rows = known.all().astype(np.float64)
    far = dict(zip(known.sha256, -distances(rows / np.linalg.norm(rows, axis=1, keepdims=True)), strict=True))
    return shas, sorted(shas, key=lambda s: loss.get(s, 0.0)), sorted(shas, key=lambda s: far.get(s, 0.0))


# -- learning --------------------------------------------------------------------------------------


def _learning(work: Path) -> None:
    sets = [_noise(work, seed) for seed in SEEDS]
    photos = Path(os.environ.get("KEEPSET_PHOTOS", CHECKOUT.parent / "shared" / "photos"))
    if (photos / "bears").is_dir():
        sets.append(_bears(work, photos))
    print("\n## Decisions to find " + ", ".join(f"{s:.0%}" for s in SHARES) + " of what is bad")
    print("| set | images | bad | decided at once | as proposed | learning | ratio |\n|---|---|---|---|---|---|---|")
    for known in sets:
        for at_once in (1, 20, 50):
            d = decisions(known.name, known.whole, known.said, at_once=at_once)
            ratio = ", ".join(f"{a / b:.2f}" for a, b in zip(d.plain, d.learning, strict=True))
            numbers = [", ".join(map(str, n)) for n in (d.plain, d.learning)]
            print(f"| {d.name} | {d.images} | {d.bad} | {at_once} | {' | '.join(numbers)} | {ratio} |", flush=True)


def _bears(work: Path, photos: Path) -> Known:
    truth = photos / "truth"
    made = Planted(photos / "bears", truth / "bears.csv", truth / "bears_pairs.csv", truth / "none.csv")
    root = work / "workspaces" / "bears"
    if not root.exists():
        reviewed(made.folder, root, epochs=0, cache=work / "cache")
    return _known("bears, labelled by people", root, made.folder, made)


# -- time and memory -------------------------------------------------------------------------------


def _opening(work: Path) -> None:
    _open(work, 5_000)


def _hundred(work: Path) -> None:
    _open(work, 100_000)


def _open(work: Path, n: int) -> None:
    found = opened(everything(work / f"made-up-{n}", n))
    print(f"\n## {n:,} candidates, load {os.getloadavg()[0]:.1f}")
    for name, value in vars(found).items():
        print(f"{name:14} {value if isinstance(value, Cost) else round(value, 2)}")


if __name__ == "__main__":
    main()
