"""The sections of the run config: every key, its default and what it means."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from keepset.sources import SOURCES
from keepset.storage.localfiles import shown
from keepset.text import label_of

__all__ = [
    "ClassConfig",
    "DownloadConfig",
    "GatesConfig",
    "InboxConfig",
    "ReviewConfig",
    "RunConfig",
    "ScrapeConfig",
    "SplitConfig",
    "TrainConfig",
    "ValidateConfig",
    "is_saved",
]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassConfig(_Section):
    """One class and where its pictures come from. At least one source is needed."""

    name: str = Field(min_length=1, max_length=200, description="Class name, as predictions will show it.")
    lists: tuple[str, ...] = Field(
        (),
        description="URL lists (text, CSV, TSV, JSON, Excel or Parquet), relative to the config file. Of a table with "
        "a column label, the rows of this class are taken.",
    )
    urls: tuple[str, ...] = Field((), description="URLs of pictures, here instead of in a file.")
    pages: tuple[str, ...] = Field(
        (),
        description="Web pages whose pictures are taken: addresses, or pages that a browser saved (.html, relative to the "
        "config file), with the folder of their pictures or without.",
    )
    folders: tuple[str, ...] = Field((), description="Local folders of pictures, relative to the config file.")
    tables: tuple[str, ...] = Field(
        (),
        description="Tables (CSV, TSV, JSON, Excel or Parquet) with the columns name or url, and label (fast.ai's "
        "cleaned.csv), whose rows of this class are taken. Names are relative to the table. A column split or is_valid "
        "gives the split.",
    )
    search: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Search text, or several (synonyms, other languages), by source: openverse, wikimedia, inaturalist, "
        "gbif, duckduckgo.",
    )
    exclude: tuple[str, ...] = Field(
        (),
        description="Words: what the web offers with one of them in its title or address is not taken, e.g. cartoon, toy.",
    )

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        name = label_of(value)
        if not name:
            raise ValueError("a class name needs at least one visible character")
        return name

    @field_validator("search", mode="before")
    @classmethod
    def _texts_by_source(cls, value: Any) -> Any:
        if isinstance(value, str | list | tuple):
            text = value if isinstance(value, str) else next(iter(value), "text")
            raise ValueError(f'name the source to search: search = {{ openverse = "{text}" }}')
        if isinstance(value, dict):
            return {source: (texts,) if isinstance(texts, str) else texts for source, texts in value.items()}
        return value

    @field_validator("search")
    @classmethod
    def _can_be_searched(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {source: _texts(source, texts) for source, texts in value.items()}

    @field_validator("exclude")
    @classmethod
    def _plain_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if empty := [w for w in words if not label_of(w)]:
            raise ValueError(f"exclude holds {empty[0]!r}, which would leave out everything; write words")
        return words

    @field_serializer("search")
    def _one_text_as_it_was(self, value: dict[str, tuple[str, ...]]) -> dict[str, str | list[str]]:
        return {source: texts[0] if len(texts) == 1 else list(texts) for source, texts in value.items()}

    @property
    def searches(self) -> list[tuple[str, str]]:
        """Source and text of every search."""
        return [(source, text) for source, texts in self.search.items() for text in texts]

    @field_validator("pages")
    @classmethod
    def _pages_are_addresses(cls, pages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(p if is_saved(p) else _web_address(p, "nor a saved page (.html)") for p in pages)

    @model_validator(mode="after")
    def _has_source(self) -> ClassConfig:
        if not (self.lists or self.urls or self.pages or self.folders or self.tables or self.searches):
            raise ValueError(f"class '{self.name}' is empty: give it lists, urls, pages, folders, tables or search")
        return self


class ScrapeConfig(_Section):
    max_per_class: int = Field(1000, ge=1, description="Maximum URLs per class.")
    licenses: tuple[str, ...] = Field((), description="Licence codes to take; empty takes all, unknown included.")
    api_urls: dict[str, str] = Field(
        default_factory=dict, description="Base URL by source, for a mirror or a test server."
    )
    contact: str = Field("", description="E-mail address or URL for the User-Agent; some APIs require it.")

    @field_validator("contact")
    @classmethod
    def _fits_a_header(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("an HTTP header is one line of text; write an e-mail address or a URL")
        return value.strip()

    @field_validator("api_urls")
    @classmethod
    def _apis_are_addresses(cls, urls: dict[str, str]) -> dict[str, str]:
        return {source: _web_address(url) for source, url in urls.items()}


class DownloadConfig(_Section):
    connections: int = Field(64, ge=1, le=512, description="Requests in flight over all hosts.")
    per_host: int = Field(6, ge=1, le=64, description="Requests in flight to one host.")
    per_host_rate: float = Field(20.0, gt=0, description="Requests per second to one host.")
    deadline_s: float = Field(
        60.0, gt=0, description="Time for one URL, seconds: including redirects and retries, excluding waits."
    )
    min_bytes_per_s: int = Field(1000, ge=0, description="A download slower than this for 10 s is given up, bytes/s.")
    max_bytes: int = Field(50_000_000, ge=1, description="Largest body, bytes, on the wire and unpacked.")
    retries: int = Field(3, ge=0, le=10, description="Retries for transient failures.")
    refresh_days: float | None = Field(
        None,
        ge=0,
        description="Check for changes (If-None-Match) after this many days, failures included. If unset, never.",
    )
    prefilter: Literal["searches", "all", "off"] = Field(
        "searches",
        description="Look at the thumbnails that searches offer, or all sources, and do not fetch copies of pictures that are "
        "here and clear junk. Begins once a model or 200 pictures are in use. off: fetch everything, also what was passed over before.",
    )
    robots: bool = Field(True, description="Obey robots.txt and X-Robots-Tag.")
    allow_private: tuple[str, ...] = Field(
        (), description="Hosts (host:port) that may be fetched although their address is not public."
    )
    shard_size: int = Field(2000, ge=1, description="URLs per shard: what one Dask worker does at a time.")

    def looks_first(self, source: str) -> bool:
        """Whether the thumbnails of this source are looked at before its pictures are fetched."""
        return self.prefilter == "all" or (self.prefilter == "searches" and source in SOURCES)

    @field_validator("allow_private")
    @classmethod
    def _hosts_with_ports(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in filter(None, value):
            if not re.fullmatch(r"[^/\s]+:\d{1,5}", one):
                raise ValueError(f"'{one}' is not host:port, such as intranet.example:80")
        return value


class ValidateConfig(_Section):
    formats: tuple[Literal["jpeg", "png", "gif", "webp", "bmp", "avif"], ...] = Field(
        ("jpeg", "png", "gif", "webp", "bmp", "avif"), description="Formats taken, by content."
    )
    min_side: int = Field(32, ge=1, description="Shorter side must be at least this, pixels.")
    max_aspect: float = Field(8.0, ge=1, description="Longest side over shortest, at most.")
    max_pixels: int = Field(64_000_000, ge=1, description="Width times height, at most.")
    max_frames: int = Field(1000, ge=1, description="Frames of an animation, at most; the first is used.")
    timeout_s: float = Field(15.0, gt=0, description="Time to decode one image, seconds.")
    memory_mb: int = Field(2048, ge=256, description="Address space a decoder process may add, MB.")
    near_bits: int = Field(4, ge=0, le=8, description="Perceptual-hash bits two near-duplicates may differ in.")
    shard_size: int = Field(2000, ge=1, description="Images per shard: what one Dask worker does at a time.")


class GatesConfig(_Section):
    min_images_per_class: int = Field(10, ge=2)
    max_failed_downloads: Fraction = 0.9
    max_rejected_images: Fraction = 0.5
    max_duplicates: Fraction = 0.7
    min_balance: Fraction = Field(0.02, description="Smallest class over largest, at least.")


class SplitConfig(_Section):
    valid: float = Field(0.2, gt=0, lt=1, description="Share of the validation set.")
    test: float = Field(0.0, ge=0, lt=1, description="Share of a frozen test set.")
    valid_folders: tuple[str, ...] = Field(
        (),
        description="Folders whose pictures are the validation set. With a validation set that is given, here or by a "
        "table, nothing is drawn: all other pictures are for training.",
    )
    test_folders: tuple[str, ...] = Field(
        (),
        description="Folders whose pictures are the test set. If no validation set is given with it, `valid` is drawn from "
        "the pictures for training.",
    )
    folds: int = Field(5, ge=2, le=20, description="Folds for out-of-sample scores.")


class TrainConfig(_Section):
    arch: str = Field(
        "lite0+lite1+lite2",
        description="Networks joined by +, side by side. lite0, lite1 and lite2 need no download; lite0 alone is the "
        "fastest. Or any timm classifier by name, e.g. resnet34, or torchvision's: torchvision.resnet34.",
    )
    weights: str = Field(
        "packaged",
        description="packaged (lite0 to lite2, no network), hub (timm's or torchvision's download), none, "
        "or a file: .safetensors, or .pth with nothing but tensors.",
    )
    size: int = Field(256, ge=32, le=1024, description="Side of the square the model sees, pixels.")
    head_epochs: int = Field(1, ge=0, description="Epochs on the head with the body frozen (one-cycle).")
    epochs: int | None = Field(
        None,
        ge=0,
        description="Fine-tuning epochs; 0 keeps the linear head on frozen features. If unset, 2 if that head is wrong "
        "on 10 % of pictures or more, else 0.",
    )
    freeze: Fraction = Field(
        0.65,
        description="Front share of the body's layers that keeps its pretrained weights; 0 trains all, and so does "
        'weights = "none".',
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Batch size. If unset, 8 to 64 depending on the number of images. In pieces if memory is short.",
    )
    lr: float | None = Field(None, gt=0, description="Base learning rate. If unset, the learning-rate finder's.")
    augment: bool = Field(True, description="Fine-tune on flipped, turned, zoomed and relit copies.")
    oversample: bool = Field(False, description="Draw rare classes more often.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: CUDA, else MPS, else the CPU.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Number format of training; auto: bfloat16 where it is known to be faster."
    )
    threads: int = Field(0, ge=0, description="torch threads; 0 takes all cores. Recorded with the model.")


class ReviewConfig(_Section):
    max_candidates: int = Field(200, ge=1, description="Maximum images per cleaning batch.")
    min_score: Fraction = Field(
        0.15,
        description="Show images whose chance to need a change is at least this. At 0.15, one in seven such images is wrong. "
        "Lower values find more and take more looking.",
    )
    random_looks: int = Field(
        12,
        ge=0,
        description="Pictures per batch that nothing speaks against, drawn at random: they tell how many wrong ones are left. "
        "None in sets of fewer than 100.",
    )
    large_share: Fraction = Field(0.2, description="Deleting more of a class than this needs a confirmation.")
    min_per_class: int = Field(10, ge=1, description="Leaving a class smaller than this needs a confirmation.")
    deadline_days: float = Field(14.0, gt=0, description="An unanswered batch expires after this, days.")


class InboxConfig(_Section):
    """Corrections by people who use the prediction page; they change nothing before a reviewer approves."""

    enabled: bool | None = Field(
        None,
        description="Take corrections on the prediction page and by the API. If unset, only while the page is open to this "
        "machine alone.",
    )
    max_pictures: int = Field(500, ge=1, description="Maximum pictures waiting.")
    max_mb: int = Field(500, ge=1, description="Maximum size of all pictures waiting, MB.")
    per_minute: int = Field(30, ge=1, le=10_000, description="Corrections per minute, from all users together.")
    consent: str = Field(
        "The picture is kept with this data set. If a reviewer agrees, it is used to train the model.",
        min_length=1,
        max_length=1000,
        description="What a person agrees to by sending a correction.",
    )


class RunConfig(_Section):
    """A run's facts. Relative paths have been resolved against the config file."""

    name: str = Field("dataset", min_length=1, max_length=100, description="Name of the data set.")
    seed: int = Field(42, ge=0, lt=2**63, description="Same seed: same split, same model.")
    classes: tuple[ClassConfig, ...] = Field(description="At least two classes.")
    scrape: ScrapeConfig = ScrapeConfig()
    download: DownloadConfig = DownloadConfig()
    # `validate` would hide a BaseModel method of that name, so the field has a suffix and an alias.
    validate_: ValidateConfig = Field(ValidateConfig(), alias="validate")
    gates: GatesConfig = GatesConfig()
    split: SplitConfig = SplitConfig()
    train: TrainConfig = TrainConfig()
    review: ReviewConfig = ReviewConfig()
    inbox: InboxConfig = InboxConfig()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in sorted order: the order of a model's outputs."""
        return tuple(sorted(c.name for c in self.classes))

    def part(self, *sections: str) -> dict[str, Any]:
        """The named sections as plain JSON-ready data, for fingerprints and manifest headers."""
        whole = self.as_dict()
        return {s: whole[s] for s in sections}

    def as_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)

    @model_validator(mode="after")
    def _classes_differ(self) -> RunConfig:
        if len(self.classes) < 2:
            raise ValueError("a classifier needs at least two classes")
        _no_two_names(self.classes)
        _no_shared_source(self.classes)
        if self.split.valid + self.split.test >= 1:
            raise ValueError("split: valid + test leaves nothing to train on")
        return self


def _no_two_names(classes: tuple[ClassConfig, ...]) -> None:
    seen: dict[str, str] = {}
    for c in classes:
        key = " ".join(unicodedata.normalize("NFKC", c.name).casefold().split())
        if key in seen:
            raise ValueError(f"'{seen[key]}' and '{c.name}' are two names for one class; keep one of them")
        seen[key] = c.name


def _texts(source: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts with single spaces, each once. Raises ``ValueError``."""
    if source not in SOURCES:
        raise ValueError(f"there is no source '{source}'; known are {', '.join(SOURCES)}")
    plain = tuple(dict.fromkeys(label_of(text) for text in texts))
    if "" in plain:
        raise ValueError(f"the search text for {source} is empty; write what the pictures show")
    longest = SOURCES[source].longest
    if long := [text for text in plain if len(text) > longest]:
        raise ValueError(
            f"a search text for {source} has {len(long[0])} characters ('{long[0][:30]}...'), and it takes at most {longest}; "
            "give several short ones"
        )
    return plain


def _no_shared_source(classes: tuple[ClassConfig, ...]) -> None:
    searched: dict[tuple[str, str], str] = {}
    for c in classes:
        for source, text in c.searches:
            other = searched.setdefault((source, text.casefold()), c.name)
            if other != c.name:
                raise ValueError(
                    f"'{other}' and '{c.name}' both search {source} for '{text}': each picture can have one class only; "
                    "give one of them another text"
                )
    seen: dict[str, str] = {}
    for c in classes:
        sources = {*c.lists, *c.pages, *c.folders}
        for source in sorted(sources):
            if source in seen:
                raise ValueError(
                    f"'{seen[source]}' and '{c.name}' both take {shown(source)}; "
                    "remove it from one of them (a table with a class per row belongs under tables)"
                )
            seen[source] = c.name


def is_saved(page: Any) -> bool:
    """Whether an entry of ``pages`` is a file that a browser saved."""
    return isinstance(page, str) and "://" not in page.removeprefix("file://") and page.lower().endswith(_SAVED)


_SAVED = (".html", ".htm", ".xhtml")


def _web_address(text: str, nor: str = "") -> str:
    """Raises ``ValueError``."""
    try:
        parts = urlsplit(text.strip())
        if parts.scheme.lower() in ("http", "https") and parts.hostname:
            return text.strip()
    except ValueError:
        pass
    raise ValueError(f"'{text}' is not a web address (http://... or https://...){', ' + nor if nor else ''}")
