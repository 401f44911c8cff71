"""A picture that a site sends in place of many others is counted where it comes in, and suspected where it is reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepset import manifests, split, validate
from keepset.download import download
from keepset.reasons import Action
from keepset.review import review
from tests.download_fixtures import hostile_web
from tests.review_fixtures import Case, edit_images
from tests.test_download import workspace
from tests.test_review_candidates import by_sha, keep_all


def test_the_summary_says_where_the_urls_went(tmp_path: Path) -> None:
    with hostile_web() as (base, _):
        urls = [f"{base}/good/{i}" for i in range(3)]
        urls += [f"{base}/elsewhere?{lead}/good/gone" for lead in ("", base, base.replace("http", "HTTP"))]
        ws, config = workspace(tmp_path, urls, base)
        download(ws, config)
        done = validate.validate(ws, config)
    rows = manifests.read(ws.downloads, "downloads").rows()
    good = [r["sha256"] for r in rows if r["status"] == "ok"]
    assert done.summary["same_file"] == len(good) - len(set(good)) == 2
    assert "2 more URLs returned the same file as another URL" in done.message
    split.split(ws, config)
    images = {r["sha256"]: r["copies"] for r in manifests.read(ws.images, "images").rows()}
    assert sum(images.values()) == len(good)


@pytest.mark.parametrize(
    ("copies", "others", "source", "suspected"),
    [(40, ["pear"], "list", True), (4, ["pear"], "page", True), (3, ["pear"], "list", False), (10, [], "list", True),
     (9, [], "list", False), (40, ["pear"], "folder", False)],
)  # fmt: skip
def test_what_many_urls_gave_is_suspected_whatever_the_model_says(
    case: Case, copies: int, others: list[str], source: str, suspected: bool
) -> None:
    sha = case.clean_ones(1)[0]
    edit_images(case, {sha: {"copies": copies, "other_labels": others, "source": source}})
    found = by_sha(case).get(sha)
    assert (found is not None and "placeholder" in found["reasons"]) == suspected
    if suspected and found:
        assert found["suggestion"] == str(Action.DELETE)
        assert f"{copies} URLs returned this same file" in found["explanation"]
        keep_all(case)  # a person looked at it, and it is a picture after all
        again = review(case.ws, case.config).outputs.get("batch_id")
        assert again is None or sha not in by_sha(case)
