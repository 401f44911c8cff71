"""Names that people and tools give to columns, by what they mean."""

from __future__ import annotations

import re
import unicodedata

from keepset.text import without_surrogates

__all__ = ["ALIASES", "known", "normal"]

ALIASES: dict[str, tuple[str, ...]] = {
    "url": (
        "image_url", "img_url", "picture_url", "photo_url", "file_url", "media_url", "original_url", "download_url",
        "image_link", "img_link", "image_uri", "image_src", "img_src", "image", "img", "picture", "photo", "url", "urls", "uri", "src", "href", "link",
        "links", "address", "identifier",
    ),
    "name": (
        "name", "file_name", "filename", "file_names", "filenames", "file", "files", "path", "paths", "file_path",
        "filepath", "file_paths", "filepaths", "relative_path", "image_path", "img_path", "image_name", "img_name",
        "image_file", "image_filename", "image", "images", "img", "picture", "photo", "image_id",
    ),
    "label": (
        "class_name", "classname", "label_name", "category_name", "label", "labels", "class", "class_label", "category",
        "target", "species", "breed",
    ),
    "split": ("split", "splits"),
    "maybe_split": ("set", "subset", "partition", "data_set", "dataset", "usage", "phase"),
    "is_valid": ("is_valid", "is_val", "is_validation"),
    "is_test": ("is_test",),
    "is_train": ("is_train", "is_training", "is_training_image"),
    "title": ("title", "caption", "description", "alt", "alt_text", "text"),
    "creator": ("creator", "author", "artist", "photographer", "rights_holder"),
    "license": ("license", "licence", "license_code", "rights"),
    "license_url": ("license_url", "licence_url"),
    "landing_page": (
        "landing_page", "landing_url", "foreign_landing_url", "original_landing_url", "page_url", "references",
    ),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "sha1": ("sha1",),
    "thumbnail": ("thumbnail", "thumbnail_url", "thumb", "thumb_url", "preview_url"),
}  # fmt: skip
_KNOWN = frozenset(alias for aliases in ALIASES.values() for alias in aliases)


def normal(name: str) -> str:
    """``Image URL``, ``imageUrl`` and ``image-url`` are one name: ``image_url``."""
    plain = unicodedata.normalize("NFKC", without_surrogates(name))
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain)
    return re.sub(r"[\W_]+", "_", split).strip("_").casefold()


def known(names: list[str]) -> int:
    """How many of the names are known."""
    return len({normal(n) for n in names} & _KNOWN)
