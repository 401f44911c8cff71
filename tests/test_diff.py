"""`keepset diff`: on random histories, the diff applied to one revision gives the other, and names who decided."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from keepset import manifests
from keepset.clean.revising import Change, write_revision
from keepset.errors import ConfigError
from keepset.history.diff import Diff, Kind, State, diff
from keepset.workspace import Workspace
from tests.factories import add_revision, dataset_row
from tests.review_fixtures import Case
from tests.test_cli import run
from tests.test_history import cleaned
from tests.web_fixtures import asking

LABELS = ("a", "b", "c")


def taken_in(ws: Workspace, new: int, rng: random.Random) -> None:
    """A revision with ``new`` more pictures; some of the others may get another side, which only a merge of copies does."""
    number = (ws.revisions() or [0])[-1] + 1
    rows = ws.current_dataset().rows() if number > 1 else []
    for i in range(new):
        sha = hashlib.sha256(f"{number} {i}".encode()).hexdigest()
        label = rng.choice(LABELS)
        rows.append(dataset_row(sha, label, i, 3) | {"added_in": number, "active": rng.random() > 0.1})
    if number > 1:
        for row in rng.sample(rows, 2):
            row |= {"split": rng.choice(["train", "valid"]), "changed_in": number}
    add_revision(ws, rows)


def decided(ws: Workspace, rng: random.Random, n: int) -> None:
    """A revision that deletes, relabels and brings back; sometimes what was changed before, back to what it was."""
    rows = rng.sample(ws.current_dataset().rows(), 5)
    cause = rng.choice([f"batch:b{n:04d}-00000000", "restore:images", f"remove:t{n:04d}-00000000"])
    changes = {r["sha256"]: Change(rng.choice(LABELS), rng.random() > 0.4, cause) for r in rows}
    write_revision(ws, lambda _: (changes, {}), cause=cause, who=f"reviewer {n}", why=f"because {n}")


def state_of(ws: Workspace, revision: int) -> dict[str, State]:
    rows = manifests.each(ws.dataset(revision), "dataset", ("sha256", "label", "split", "active"))
    return {r["sha256"]: (r["label"], r["split"]) for r in rows if r["active"]}


def applied(found: Diff, state: dict[str, State]) -> dict[str, State]:
    became = state | {c.sha256: c.after for c in found.changes}
    return {sha: s for sha, s in became.items() if s is not None}


@pytest.mark.parametrize("seed", range(4))
def test_a_diff_applied_to_one_revision_gives_the_other(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    ws = Workspace.create(tmp_path / "ws", "x")
    taken_in(ws, 12, rng)
    for n in range(6):
        taken_in(ws, rng.randrange(4), rng) if rng.random() < 0.3 else decided(ws, rng, n)
    states = {n: state_of(ws, n) for n in ws.revisions()}
    headers = {n: manifests.read_header(ws.dataset(n)).extra for n in ws.revisions()}
    assert len(states) == 7
    differing = 0
    for first in states:
        for second in states:
            found = diff(ws, first, second)
            assert applied(found, states[first]) == states[second]
            assert sum(len(found.of(k)) for k in Kind) == len(found.changes)
            assert all(
                (c.before, c.after) == (states[first].get(c.sha256), states[second].get(c.sha256))
                for c in found.changes
            )
            for d in (c.decision for c in found.changes):
                assert min(first, second) < d.revision <= max(first, second)
                assert (d.who, d.why) == (headers[d.revision].get("who", "keepset"), headers[d.revision].get("why", ""))
            differing += len(found.changes)
    assert differing > 100
    with pytest.raises(ConfigError, match=r"no revision 99[\s\S]*revisions 1 to 7"):
        diff(ws, 1, 99)


def test_the_terminal_and_the_gallery_show_what_changed_and_who_said_so(
    case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = cleaned(case)
    code, out, _ = run(capsys, "diff", "-w", case.ws.root, "--json")
    found = json.loads(out)
    assert (code, found["first"], found["second"]) == (0, 1, 2)
    assert found["counts"] == {"came": 0, "went": 1, "relabelled": 3, "moved": 0}
    changes = batch.approval().changes()  # type: ignore[union-attr]
    assert {c["sha256"] for c in found["changes"]} == set(changes)
    assert {c["decision"]["who"] for c in found["changes"]} == {"Ann"}
    assert found["models"] == ["0" * 16, "1" * 16]
    said = found["predictions"]
    assert {s["verdict"] for s in said} <= {"fixed", "broken", "other"}
    old, new = (
        {r["sha256"]: r for r in manifests.read(case.ws.models / m / "predictions.parquet", "predictions").rows()}
        for m in found["models"]
    )
    held_out = [s for s in old if s in new and old[s]["split"] == "valid" and case.row(s)["active"]]
    wanted = {s for s in held_out if old[s]["predicted"] != new[s]["predicted"]}
    assert {s["sha256"] for s in said if s["side"] == "valid"} == wanted
    code, out, _ = run(capsys, "diff", "1", "2", "-w", case.ws.root)
    assert "Revision 1 → 2: 1 removed, 3 relabelled" in out
    assert out.count("removed") == 2  # the sum, and the picture: one word for one thing
    assert f"batch:{batch.id}, by Ann" in out
    assert "no picture differs" in run(capsys, "diff", "2", "2", "-w", case.ws.root)[1]
    assert "no revision 7" in run(capsys, "diff", "7", "-w", case.ws.root)[2]
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with asking(case.ws.root) as c:
        assert 'href="/diff"' in c.get("/log").text
        page = c.get("/diff").text
        assert all(f"/thumbs/{sha}.jpg" in page for sha in changes)
        assert "Decided by <b>Ann</b>" in page
        assert "&lt;b&gt;boats&lt;/b&gt;" in page
        assert f"/batches/{batch.id}" in page
        assert ("They say the same of every picture" in page) == (not said)
        backwards = c.get("/diff?from=2&to=1").text
        assert '<b class="keep">added</b>' in backwards
        assert c.get("/diff?from=1&to=9").status_code == 404
        one = f"/pictures/{next(iter(changes))}"
        assert f'href="{one}?trace"' in c.get(one).text
        traced = c.get(f"{one}?trace").text
        assert f" in {batch.id} (" in traced
        assert "<dt>Models</dt><dd><div>0000000000000000</div>" in traced
