"""The audit log and the revisions in plain sentences, on the pages and on the command line."""

from __future__ import annotations

import httpx
import pytest

from keepset.clean import clean, purge, restore
from keepset.reasons import Action
from keepset.review import Mark, mark, submit
from keepset.status.history import revisions, sentence
from keepset.text import many
from tests.review_fixtures import Case, case
from tests.test_cli import run
from tests.web_fixtures import served

__all__ = ["case"]


def test_each_step_of_a_cleaning_is_a_sentence(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    batch = case.open_batch()
    first, second, *_ = batch.candidates().rows()
    mark(batch, [Mark(first["sha256"], Action.DELETE), Mark(second["sha256"], Action.KEEP)], who="ann")
    submit(batch, "approve", who="ann", note="a boat", confirm=True, via="gallery")
    clean(case.ws, case.config)
    restore(case.ws, batch.id, who="bob")
    mine = [sentence(r) for r in case.ws.audit_log()]
    assert mine == [
        "Model 00000000 is in use.",
        f"Opened {batch.id}: 4 pictures of revision 1 to review.",
        f"Approved {batch.id} in the gallery: delete 1, relabel 0, keep 1; the rest unchanged.",
        f"Applied {batch.id} as revision 2: deleted 1, relabelled 0.",
        "Restored 1 picture as revision 3.",
    ]
    assert [(r.number, r.images, r.out) for r in revisions(case.ws)] == [(1, 36, 0), (2, 35, 1), (3, 36, 0)]
    with served(case.ws.root) as url:
        page = httpx.get(f"{url}/log", trust_env=False).text
        home = httpx.get(url, trust_env=False).text
    assert mine[2] in page
    assert "<td>2</td><td>35</td><td>1</td>" in page
    assert "deleted 1, relabelled 0, kept 1, 2 not decided" in home
    assert run(capsys, "purge", "-w", case.ws.root)[1].startswith("· purge ")
    code, out, _ = run(capsys, "review", "log", "-w", case.ws.root)
    assert code == 0
    assert "Restored 1 picture as revision 3." in " ".join(out.split())


def test_a_purge_says_how_much_is_gone_and_a_row_of_another_version_is_still_told(case: Case) -> None:
    batch = case.open_batch()
    mark(batch, [Mark(batch.candidates().rows()[0]["sha256"], Action.DELETE)], who="ann")
    submit(batch, "approve", who="ann", confirm=True)
    clean(case.ws, case.config)
    purge(case.ws, who="ann", dry_run=False)
    assert sentence(case.ws.audit_log()[-1]).startswith("Deleted the files of 1 picture (")
    assert sentence({"action": "clean", "what": {"batch": "b1"}}) == "batch: b1"
    assert sentence({"action": "later", "what": {"new_fact": 3, "none": None}}) == "new fact: 3"
    assert (many(1, "error"), many(0, "error")) == ("1 error", "0 errors")
