"""The type of a row of each manifest. Written by docs/generate.py from ``keepset.manifests.schemas``; change it there."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

__all__ = [
    "BatchInputRow",
    "BatchPredictionRow",
    "CandidateRow",
    "DatasetRow",
    "DownloadRow",
    "ImageRow",
    "PredictionRow",
    "UrlRow",
]


class UrlRow(TypedDict):
    url_id: str
    url: str
    label: str
    status: str
    reason: str | None
    detail: str | None
    source: str
    title: str | None
    creator: str | None
    license: str | None
    license_url: str | None
    landing_page: str | None
    query: str | None
    rank: int
    width: int | None
    height: int | None
    sha1: str | None
    thumbnail: str | None
    discovered_at: datetime


class DownloadRow(TypedDict):
    url_id: str
    url: str
    label: str
    status: str
    reason: str | None
    detail: str | None
    sha256: str | None
    bytes: int | None
    format: str | None
    http_status: int | None
    final_url: str | None
    content_type: str | None
    etag: str | None
    last_modified: str | None
    attempts: int
    seconds: float | None
    finished_at: datetime | None


class ImageRow(TypedDict):
    sha256: str
    label: str
    other_labels: list[str]
    status: str
    reason: str | None
    detail: str | None
    warnings: list[str]
    url: str
    copies: int
    source: str
    title: str | None
    creator: str | None
    license: str | None
    license_url: str | None
    landing_page: str | None
    format: str | None
    mode: str | None
    width: int | None
    height: int | None
    frames: int | None
    bytes: int
    phash: int | None
    pixel_hash: str | None
    brightness: float | None
    contrast: float | None
    sharpness: float | None
    entropy: float | None
    group_id: str | None
    dup_of: str | None
    dup_kind: str | None
    dup_how: str | None
    jpeg_quality: int | None
    year: int | None


class DatasetRow(TypedDict):
    sha256: str
    label: str
    given_label: str
    other_labels: list[str]
    split: str
    fold: int
    group_id: str
    dup_of: str | None
    dup_kind: str | None
    active: bool
    added_in: int
    changed_in: int | None
    changed_by: str | None
    origin_id: str | None


class PredictionRow(TypedDict):
    sha256: str
    label: str
    split: str
    predicted: str
    loss: float
    model_probs: list[float]
    cv_predicted: str
    cv_loss: float
    cv_probs: list[float]
    ood_distance: float


class CandidateRow(TypedDict):
    sha256: str
    rank: int
    score: float
    reasons: list[str]
    explanation: str
    suggestion: str
    suggested_label: str | None
    label: str
    predicted: str
    probability: float
    given_probability: float
    loss: float
    split: str
    group_id: str
    group_members: list[str]
    drawn: float | None


class BatchInputRow(TypedDict):
    input: str
    place: str
    stamp: str


class BatchPredictionRow(TypedDict):
    input: str
    status: str
    reason: str | None
    detail: str | None
    label: str | None
    probability: float | None
    outcome: str | None
    unfamiliar: bool | None
    distance: float | None
    probs: list[float]
    model_id: str
    predicted_at: datetime
