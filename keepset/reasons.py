"""Why an item was not taken, or why it is shown to a person: the closed vocabularies.

Values are what stands in the manifests, so they never change their spelling.
``REMEDIES`` says in words what a person can do about each URL, download or image reason.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ON_REQUEST",
    "REMEDIES",
    "Action",
    "CandidateReason",
    "DownloadReason",
    "ImageReason",
    "ImageWarning",
    "ItemStatus",
    "Split",
    "UrlReason",
]


class ItemStatus(StrEnum):
    OK = "ok"
    FAILED = "failed"  # tried, and did not work
    REJECTED = "rejected"  # looked at, and not taken
    SKIPPED = "skipped"  # not tried, on purpose


class Split(StrEnum):
    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


class Action(StrEnum):
    """What a reviewer can decide on one image."""

    KEEP = "keep"
    DELETE = "delete"
    RELABEL = "relabel"


class UrlReason(StrEnum):
    """Why a line of a source is not a URL to download."""

    NOT_A_URL = "not_a_url"
    DATA_URI = "data_uri"
    SCHEME = "scheme_not_allowed"
    DUPLICATE = "duplicate_url"
    OTHER_CLASS = "url_in_another_class"
    LICENSE = "license_not_allowed"
    OVER_CAP = "over_class_cap"


class DownloadReason(StrEnum):
    BLOCKED_SCHEME = "blocked_scheme"
    BLOCKED_ADDRESS = "blocked_address"
    BAD_URL = "bad_url"
    ROBOTS = "robots_disallowed"
    OPTED_OUT = "opted_out"  # X-Robots-Tag noai / noimageai / noindex
    DNS = "dns_failure"
    CONNECT = "connect_failed"
    TLS = "tls_failure"
    TIMEOUT = "timeout"  # the total deadline
    TOO_SLOW = "too_slow"  # under the minimum speed
    TRUNCATED = "truncated"  # fewer bytes than promised
    PROTOCOL = "protocol_error"
    TOO_LARGE = "too_large"
    DECOMPRESSION = "decompression_bomb"
    NOT_FOUND = "not_found"  # 404, 410
    FORBIDDEN = "forbidden"  # 401, 403, 451
    RATE_LIMITED = "rate_limited"  # 429 after all retries
    HTTP_CLIENT = "http_client_error"
    HTTP_SERVER = "http_server_error"  # 5xx after all retries
    TOO_MANY_REDIRECTS = "too_many_redirects"
    NOT_AN_IMAGE = "not_an_image"  # by content, not by extension or header
    EMPTY = "empty_body"
    CHECKSUM = "checksum_mismatch"  # not the file that the source described


class ImageReason(StrEnum):
    NOT_AN_IMAGE = "not_an_image"
    FORMAT = "format_not_allowed"
    TRUNCATED = "truncated"
    BROKEN = "broken"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_SCANS = "too_many_scans"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_SMALL = "too_small"
    ASPECT = "extreme_aspect"
    TIMEOUT = "decode_timeout"
    MEMORY = "decode_memory"
    CRASHED = "decoder_crashed"
    EMPTY = "empty_file"
    MISSING = "file_missing"


class ImageWarning(StrEnum):
    SLOPPY_JPEG = "sloppy_jpeg"
    ANIMATED = "animated_first_frame"
    EXIF_BROKEN = "exif_broken"
    ALPHA = "alpha_on_white"
    ICC = "icc_ignored"
    EXTRA_DATA = "trailing_data"


class CandidateReason(StrEnum):
    """Why an image is shown to the reviewer."""

    LABEL_ISSUE = "label_issue"
    LABEL_CONFLICT = "label_conflict"  # the same picture was found under two classes
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    OUTLIER = "outlier"  # unlike the other pictures of its class
    GRAPHIC = "graphic"  # a drawing, a layout, text: not a photo as the others are
    DARK = "dark"
    BRIGHT = "bright"
    BLURRY = "blurry"
    LOW_INFORMATION = "low_information"
    ODD_SIZE = "odd_size"
    USER_CORRECTION = "user_correction"
    NOT_SUSPECTED = "not_suspected"  # nothing was found; somebody asked for all images
    DECIDED_BEFORE = "decided_before"  # the same, and a person decided it once


ON_REQUEST = frozenset({CandidateReason.NOT_SUSPECTED, CandidateReason.DECIDED_BEFORE})
"""Reasons that propose nothing: the image is shown because somebody asked for all of them."""


REMEDIES: dict[str, str] = {
    UrlReason.NOT_A_URL: "Mend the line in the list, or leave it: it does no harm.",
    UrlReason.DATA_URI: "Save the picture as a file and use the folder source.",
    UrlReason.SCHEME: "Only http and https are fetched; use the folder source for local files.",
    UrlReason.DUPLICATE: "Nothing to do: it was named before.",
    UrlReason.OTHER_CLASS: "Take the URL out of the class where it does not belong.",
    UrlReason.LICENSE: "Add the licence to [scrape] licenses if it is wanted.",
    UrlReason.OVER_CAP: "Raise [scrape] max_per_class if more are wanted.",
    DownloadReason.BLOCKED_SCHEME: "Only http and https are fetched; use the folder source for local files.",
    DownloadReason.BLOCKED_ADDRESS: "The address is not public; for a server of your own, name it in "
    "[download] allow_private.",
    DownloadReason.BAD_URL: "Mend the line in the list.",
    DownloadReason.ROBOTS: "The site's robots.txt forbids it; ask its owner, or take other pictures.",
    DownloadReason.OPTED_OUT: "The site asks not to be used for training; take other pictures.",
    DownloadReason.DNS: "The host is gone, or this machine has no name service; try --retry-failed later.",
    DownloadReason.CONNECT: "The host does not accept connections; try --retry-failed later.",
    DownloadReason.TLS: "The host's certificate is not valid; look at the site in a browser.",
    DownloadReason.TIMEOUT: "Raise [download] deadline_s, or try --retry-failed later.",
    DownloadReason.TOO_SLOW: "Lower [download] min_bytes_per_s, or try --retry-failed later.",
    DownloadReason.TRUNCATED: "The file ends early; try --retry-failed later.",
    DownloadReason.PROTOCOL: "The host does not speak HTTP properly.",
    DownloadReason.TOO_LARGE: "Raise [download] max_bytes if such pictures are wanted.",
    DownloadReason.DECOMPRESSION: "The body unpacks to far more than it sends; leave it out.",
    DownloadReason.NOT_FOUND: "The picture is gone; nothing to do.",
    DownloadReason.FORBIDDEN: "The host wants a login or blocks programs; take other pictures.",
    DownloadReason.RATE_LIMITED: "Lower [download] per_host_rate, then --retry-failed.",
    DownloadReason.HTTP_CLIENT: "The host refuses the request; look at the URL in a browser.",
    DownloadReason.HTTP_SERVER: "The host is in trouble; try --retry-failed later.",
    DownloadReason.TOO_MANY_REDIRECTS: "The URL goes in circles; leave it out.",
    DownloadReason.NOT_AN_IMAGE: "It is no picture, whatever its name says. If it is a web page with pictures, use the page source.",
    DownloadReason.EMPTY: "The host sent nothing; try --retry-failed later.",
    DownloadReason.CHECKSUM: "The file is not the one the source described; look at its landing page.",
    ImageReason.BROKEN: "The file is damaged; leave it out, or find another copy.",
    ImageReason.TOO_MANY_FRAMES: "Raise [validate] max_frames if such animations are wanted.",
    ImageReason.CRASHED: "The decoder broke on it; leave it out, and do not open it elsewhere.",
    ImageReason.EMPTY: "The file is empty; leave it out.",
    ImageReason.MISSING: "The blob is gone from the workspace; run `keepset download` to fetch it again.",
    ImageReason.FORMAT: "Add the format to [validate] formats if it is wanted.",
    ImageReason.TOO_MANY_PIXELS: "Raise [validate] max_pixels if such pictures are wanted.",
    ImageReason.TOO_MANY_SCANS: "A progressive JPEG made to be slow; leave it out.",
    ImageReason.TOO_SMALL: "Lower [validate] min_side if such pictures are wanted.",
    ImageReason.ASPECT: "Raise [validate] max_aspect if such pictures are wanted.",
    ImageReason.TIMEOUT: "Raise [validate] timeout_s if the machine is slow.",
    ImageReason.MEMORY: "Raise [validate] memory_mb if the machine has more.",
}
