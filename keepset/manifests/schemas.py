"""The schema of every manifest, once.

The reader and writer (``keepset.manifests``), the Great Expectations suites, ``docs/manifests.md`` and
the test factories all come from here. A field's metadata holds its ``doc`` string (with its unit) and,
where true, ``volatile``: clocks, durations and attempt counts differ between two runs that found the
same thing, so they are left out of a manifest's content hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from keepset import reasons as r
from keepset.errors import WorkspaceVersionError
from keepset.stages import Stage

__all__ = ["SCHEMAS", "SCHEMA_VERSION", "ManifestSchema", "check_version"]

SCHEMA_VERSION = 1
"""Version of the workspace and of all manifests; raised when an old reader could not read the new."""


def check_version(what: str, found: object) -> None:
    """Raise ``WorkspaceVersionError`` unless ``found``, the schema version of ``what``, is this Keepset's."""
    if found == SCHEMA_VERSION:
        return
    newer = isinstance(found, int) and found > SCHEMA_VERSION
    raise WorkspaceVersionError(
        f"{what} has schema version {found}, of {'a newer' if newer else 'another'} Keepset; this one works with "
        f"version {SCHEMA_VERSION}. Nothing was touched.",
        "Upgrade Keepset."
        if newer
        else "Use the Keepset that wrote it; to move to this one, `keepset export` the data set there and "
        "`keepset import` it here into a new workspace.",
    )


_TIME = pa.timestamp("us", tz="UTC")
_STRINGS = pa.list_(pa.string())


@dataclass(frozen=True)
class ManifestSchema:
    """A manifest's name, the stage that begins it, what it is for, its key and its columns."""

    name: str
    stage: str
    doc: str
    key: tuple[str, ...]
    fields: list[pa.Field]
    choices: dict[str, type] = field(default_factory=dict)
    """Columns whose values come from an enum in ``keepset.reasons``: column -> enum."""

    @cached_property
    def arrow(self) -> pa.Schema:
        return pa.schema(self.fields)

    @property
    def stable_columns(self) -> list[str]:
        """Columns that belong to the content hash."""
        return [f.name for f in self.arrow if b"volatile" not in (f.metadata or {})]

    @property
    def row_type(self) -> str:
        """The name of its TypedDict in ``keepset.manifests.rows``: ``batch_inputs`` has ``BatchInputRow``."""
        return "".join(part.capitalize() for part in self.name.removesuffix("s").split("_")) + "Row"

    def doc_of(self, column: str) -> str:
        return bytes(self.arrow.field(column).metadata[b"doc"]).decode()


def _f(name: str, kind: pa.DataType, doc: str, *, null: bool = False, volatile: bool = False) -> pa.Field:
    meta = {"doc": doc} | ({"volatile": "1"} if volatile else {})
    return pa.field(name, kind, nullable=null, metadata=meta)


def _provenance() -> list[pa.Field]:
    return [
        _f("source", pa.string(), "source that found it: list, page, folder, openverse ..."),
        _f("title", pa.string(), "title given by the source", null=True),
        _f("creator", pa.string(), "author to credit", null=True),
        _f("license", pa.string(), "licence code, e.g. cc-by-4.0", null=True),
        _f("license_url", pa.string(), "URL of the licence text", null=True),
        _f("landing_page", pa.string(), "page that shows the picture", null=True),
    ]


def _outcome() -> list[pa.Field]:
    return [
        _f("status", pa.string(), "ok, failed, rejected or skipped (reasons.ItemStatus)"),
        _f("reason", pa.string(), "why it is not ok, from the stage's enum", null=True),
        _f("detail", pa.string(), "the reason in plain language", null=True),
    ]


_EVERY = [
    ManifestSchema(
        "urls",
        Stage.SCRAPE,
        "One row per line of a source, in the order found; lines that are not a URL keep their reason.",
        ("url_id",),
        [
            _f("url_id", pa.string(), "16 hex digits: sha256 of source, place and URL"),
            _f("url", pa.string(), "the URL as it will be asked for (the raw line if rejected)"),
            _f("label", pa.string(), "class it was found for"),
            *_outcome(),
            *_provenance(),
            _f("query", pa.string(), "list file, page or search text", null=True),
            _f("rank", pa.int32(), "place in the source's answer, from 0"),
            _f("width", pa.int32(), "width the source claims, pixels", null=True),
            _f("height", pa.int32(), "height the source claims, pixels", null=True),
            _f("sha1", pa.string(), "sha1 of the file, where the source gives it", null=True),
            _f("thumbnail", pa.string(), "URL of a smaller form of it, where there is one", null=True, volatile=True),
            _f("discovered_at", _TIME, "when it was first found", volatile=True),
        ],
        {"status": r.ItemStatus, "reason": r.UrlReason},
    ),
    ManifestSchema(
        "downloads",
        Stage.DOWNLOAD,
        "One row per URL that was to be fetched (the ok rows of urls), in their order.",
        ("url_id",),
        [
            _f("url_id", pa.string(), "as in urls"),
            _f("url", pa.string(), "as in urls"),
            _f("label", pa.string(), "as in urls"),
            *_outcome(),
            _f("sha256", pa.string(), "content address of the blob, 64 hex digits", null=True),
            _f("bytes", pa.int64(), "size of the body, bytes", null=True),
            _f("format", pa.string(), "image format by its first bytes: jpeg, png ...", null=True),
            _f("http_status", pa.int16(), "last HTTP status", null=True),
            _f("final_url", pa.string(), "URL after redirects", null=True),
            _f("content_type", pa.string(), "Content-Type header as sent", null=True),
            _f("etag", pa.string(), "ETag, for asking again", null=True, volatile=True),
            _f("last_modified", pa.string(), "Last-Modified header", null=True, volatile=True),
            _f("attempts", pa.int16(), "requests made for it", volatile=True),
            _f("seconds", pa.float64(), "wall seconds spent on it", null=True, volatile=True),
            _f("finished_at", _TIME, "when it was finished", null=True, volatile=True),
        ],
        {"status": r.ItemStatus, "reason": r.DownloadReason},
    ),
    ManifestSchema(
        "images",
        Stage.VALIDATE,
        "One row per distinct file (sha256) that was downloaded, in the order first seen; then those that the data set holds of earlier downloads.",
        ("sha256",),
        [
            _f("sha256", pa.string(), "content address of the blob, 64 hex digits"),
            _f("label", pa.string(), "class of the first URL that led to it"),
            _f("other_labels", _STRINGS, "further classes it was also found under"),
            *_outcome(),
            _f("warnings", _STRINGS, "reasons.ImageWarning values; the image is still used"),
            _f("url", pa.string(), "first URL that led to it"),
            _f("copies", pa.int32(), "URLs that led to these same bytes"),
            *_provenance(),
            _f("format", pa.string(), "jpeg, png, gif, webp, bmp or avif, by content", null=True),
            _f("mode", pa.string(), "Pillow mode as stored, e.g. RGB, CMYK, I;16", null=True),
            _f("width", pa.int32(), "width after EXIF orientation, pixels", null=True),
            _f("height", pa.int32(), "height after EXIF orientation, pixels", null=True),
            _f("frames", pa.int32(), "frames in the file", null=True),
            _f("bytes", pa.int64(), "size of the file, bytes"),
            _f("phash", pa.uint64(), "64-bit perceptual hash", null=True),
            _f(
                "pixel_hash",
                pa.string(),
                "sha256 of the upright pixels, if another of its size looks the same",
                null=True,
            ),
            _f("brightness", pa.float32(), "mean luma, 0 black to 1 white", null=True),
            _f("contrast", pa.float32(), "standard deviation of luma, 0 to 0.5", null=True),
            _f("sharpness", pa.float32(), "variance of the Laplacian of the thumbnail's luma", null=True),
            _f("entropy", pa.float32(), "entropy of the luma histogram, bits, 0 to 8", null=True),
            _f("group_id", pa.string(), "smallest sha256 of its copies and of other pictures of its scene", null=True),
            _f("dup_of", pa.string(), "the better copy to keep, if this is a duplicate", null=True),
            _f(
                "dup_kind",
                pa.string(),
                "with dup_of: exact (same pixels) or near; without: scene (another frame)",
                null=True,
            ),
            _f("dup_how", pa.string(), "how this copy differs from dup_of, e.g. crop, 62 %", null=True),
            _f("jpeg_quality", pa.int16(), "quality that a JPEG was saved with, 1 to 100, estimated", null=True),
            _f("year", pa.int16(), "year of the earliest date in its EXIF", null=True),
        ],
        {"status": r.ItemStatus, "reason": r.ImageReason},
    ),
    ManifestSchema(
        "dataset",
        Stage.SPLIT,
        "One revision of the data set: one row per image ever taken. Deleting sets active to false.",
        ("sha256",),
        [
            _f("sha256", pa.string(), "content address of the blob"),
            _f("label", pa.string(), "class in this revision"),
            _f("given_label", pa.string(), "class it was found under"),
            _f("other_labels", _STRINGS, "further classes it was found under"),
            _f("split", pa.string(), "train, valid or test; never changes"),
            _f("fold", pa.int8(), "fold for out-of-sample scores, from 0; changes only where duplicate groups merge"),
            _f("group_id", pa.string(), "duplicate group at the time it was added"),
            _f("dup_of", pa.string(), "better copy in the group, if any", null=True),
            _f("dup_kind", pa.string(), "exact or near, if dup_of is set; scene if not", null=True),
            _f("active", pa.bool_(), "false once deleted by an approved batch"),
            _f("added_in", pa.int32(), "revision that added it"),
            _f("changed_in", pa.int32(), "revision that last changed it", null=True),
            _f("changed_by", pa.string(), "batch that last changed it", null=True),
            _f(
                "origin_id",
                pa.string(),
                "what stays on one side with it: copies, and pictures of one page, observation or creator; empty "
                "if it was split before Keepset looked at that",
                null=True,
            ),
        ],
        {"split": r.Split},
    ),
    ManifestSchema(
        "predictions",
        Stage.TRAIN,
        "What a model says of every active image, with out-of-sample scores for each.",
        ("sha256",),
        [
            _f("sha256", pa.string(), "content address of the blob"),
            _f("label", pa.string(), "class in the revision that was trained on"),
            _f("split", pa.string(), "train, valid or test"),
            _f("predicted", pa.string(), "class with the highest model_probs"),
            _f("loss", pa.float32(), "cross-entropy of model_probs, nats"),
            _f("model_probs", pa.list_(pa.float32()), "kept model, one per class in model order; in sample for train"),
            _f("cv_predicted", pa.string(), "class with the highest cv_probs"),
            _f("cv_loss", pa.float32(), "cross-entropy of cv_probs, nats"),
            _f("cv_probs", pa.list_(pa.float32()), "linear head of the other folds: out of sample for every image"),
            _f("ood_distance", pa.float32(), "mean cosine distance to the 5 nearest other training images, 0 to 2"),
        ],
        {"split": r.Split},
    ),
    ManifestSchema(
        "candidates",
        Stage.REVIEW,
        "The images of one cleaning batch, the likeliest trouble first. Never rewritten.",
        ("sha256",),
        [
            _f("sha256", pa.string(), "content address of the blob"),
            _f("rank", pa.int32(), "place in the batch, from 0"),
            _f("score", pa.float32(), "how likely it needs a change, 0 to 1"),
            _f("reasons", _STRINGS, "reasons.CandidateReason values, the strongest first"),
            _f("explanation", pa.string(), "the reasons in plain language, for the reviewer"),
            _f("suggestion", pa.string(), "delete, relabel or keep (reasons.Action)"),
            _f("suggested_label", pa.string(), "class to relabel to", null=True),
            _f("label", pa.string(), "class in the revision under review"),
            _f("predicted", pa.string(), "out-of-sample predicted class"),
            _f("probability", pa.float32(), "out-of-sample probability of predicted, 0 to 1"),
            _f("given_probability", pa.float32(), "out-of-sample probability of label, 0 to 1"),
            _f("loss", pa.float32(), "out-of-sample cross-entropy, nats"),
            _f("split", pa.string(), "train, valid or test"),
            _f("group_id", pa.string(), "duplicate group"),
            _f("group_members", _STRINGS, "its other active copies, the best first"),
            _f("drawn", pa.float32(), "of a random look: the probability with which it was drawn", null=True),
        ],
        {"suggestion": r.Action, "split": r.Split},
    ),
    ManifestSchema(
        "batch_inputs",
        Stage.PREDICT,
        "What a batch prediction was asked for, one row per picture, in the order of its source.",
        ("input",),
        [
            _f("input", pa.string(), "path, URL or sha256, as the source gives it"),
            _f("place", pa.string(), "where its bytes are: an absolute path, or a URL"),
            _f("stamp", pa.string(), "size and time of a file when it was listed, else empty"),
        ],
    ),
    ManifestSchema(
        "batch_predictions",
        Stage.PREDICT,
        "What a model says of the pictures of a batch prediction, in their order.",
        ("input",),
        [
            _f("input", pa.string(), "path, URL or sha256, as the source gives it"),
            *_outcome(),
            _f("label", pa.string(), "the likeliest class", null=True),
            _f("probability", pa.float32(), "its calibrated probability, 0 to 1", null=True),
            _f("outcome", pa.string(), "sure or unsure", null=True),
            _f("unfamiliar", pa.bool_(), "unlike the training images", null=True),
            _f("distance", pa.float32(), "mean cosine distance to the 5 nearest training images, 0 to 2", null=True),
            _f(
                "probs", pa.list_(pa.float32()), "per class, in the order of `classes` in the metadata; empty if not ok"
            ),
            _f("model_id", pa.string(), "model that was asked"),
            _f("predicted_at", _TIME, "when", volatile=True),
        ],
        {"status": r.ItemStatus},
    ),
]

SCHEMAS = {schema.name: schema for schema in _EVERY}
