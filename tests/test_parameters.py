"""The form of Prefect's UI, without Prefect: what is told there becomes a run config that a stage can work with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.parameters import DatasetForm, begin
from flows.review_batch import review_batch
from keepset import manifests
from keepset.errors import ConfigError
from keepset.scrape import scrape


def form(**first: object) -> DatasetForm:
    other = {"name": "teddy", "urls": "https://x.example/3.jpg"}
    return DatasetForm.model_validate({"name": "toys", "classes": [{"name": "bear", **first}, other]})


def test_urls_told_in_the_form_are_collected_and_more_told_later_are_added(tmp_path: Path) -> None:
    told = form(urls=" https://x.example/1.jpg \r\n\nhttps://x.example/2.jpg\nnot one\n")
    ws = begin(str(tmp_path / "toys"), None, told)
    assert scrape(ws, ws.config()).changed
    found = [(r["url"], r["label"], r["reason"] or "ok") for r in manifests.read(ws.urls, "urls").rows()]
    assert found == [
        ("https://x.example/1.jpg", "bear", "ok"),
        ("https://x.example/2.jpg", "bear", "ok"),
        ("not one", "bear", "not_a_url"),
        ("https://x.example/3.jpg", "teddy", "ok"),
    ]
    assert not scrape(ws, ws.config()).changed
    ws = begin(str(ws.root), None, form(urls="https://x.example/1.jpg\nhttps://x.example/4.jpg"))
    assert scrape(ws, ws.config()).changed
    assert "https://x.example/4.jpg" in [r["url"] for r in manifests.read(ws.urls, "urls").rows()]


def test_a_class_without_any_source_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="class 'bear' is empty: give it lists, urls"):
        begin(str(tmp_path / "toys"), None, form())
    assert not (tmp_path / "toys").exists()
    with pytest.raises(ValidationError, match="classes"):
        DatasetForm.model_validate({"name": "toys", "classes": [{"name": "bear", "urls": "u"}]})


def test_the_form_of_a_review_says_what_all_images_means() -> None:
    told = review_batch.parameters.properties["all_images"]
    assert (told["type"], told["default"]) == ("boolean", False)
    assert "every image in use" in told["description"]
