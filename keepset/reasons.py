"""Why an item was not taken, or why it is shown to a person: the closed vocabularies.

Values are what stands in the manifests, so they never change their spelling.
``REMEDIES`` says what a person can do about each, by the manifest it is in: a truncated download may be whole the next
time, a truncated file never.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "LOCAL_SOURCES",
    "ON_REQUEST",
    "PREFILTERED",
    "REMEDIES",
    "UNPROPOSED",
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


LOCAL_SOURCES = frozenset({"folder", "table", "inbox"})
"""Sources that are files of this machine: a row's URL is the file's address, and ``download`` copies the file in."""


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
    OUTSIDE = "outside_its_folder"  # a table may name files below its own folder only
    NO_LABEL = "no_label"
    UNREADABLE = "unreadable"  # a row of a table, an entry of a folder or an item of an API
    EXCLUDED = "excluded_word"  # its title or address holds a word that the class excludes
    TAKEN_DOWN = "taken_down"  # `keepset remove`


class DownloadReason(StrEnum):
    BLOCKED_SCHEME = "blocked_scheme"
    OUTSIDE = "outside_its_folder"
    BLOCKED_ADDRESS = "blocked_address"
    BAD_URL = "bad_url"
    ROBOTS = "robots_disallowed"
    OPTED_OUT = "opted_out"  # X-Robots-Tag noai / noimageai / noindex
    DNS = "dns_failure"
    CONNECT = "connect_failed"
    PROXY = "proxy_failure"
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
    FORMAT = "format_not_supported"  # a picture, but of a format that Keepset does not decode
    CHECKSUM = "checksum_mismatch"  # not the file that the source described
    PURGED = "purged"  # a person had this very file deleted for good
    PREFILTERED_COPY = "prefiltered_copy"  # its thumbnail is a copy of a picture that is here
    PREFILTERED_JUNK = "prefiltered_junk"  # its thumbnail is clear junk


PREFILTERED = frozenset({DownloadReason.PREFILTERED_COPY, DownloadReason.PREFILTERED_JUNK})
"""Reasons for which a picture was not fetched, after a look at the thumbnail that its source offers."""


class ImageReason(StrEnum):
    NOT_AN_IMAGE = "not_an_image"
    FORMAT = "format_not_allowed"
    UNSUPPORTED = "format_not_supported"
    TRUNCATED = "truncated"
    BROKEN = "broken"
    TOO_LARGE = "too_large"
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
    PLACEHOLDER = "placeholder"  # many URLs gave this very file: "photo unavailable" and the like
    LABEL_CONFLICT = "label_conflict"  # the same picture was found under two classes
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    OUTLIER = "outlier"  # unlike the other pictures of its class
    GRAPHIC = "graphic"  # a drawing, a layout, text: not a photo as the others are
    LOW_INFORMATION = "low_information"  # one colour, or nearly
    USER_CORRECTION = "user_correction"
    NOT_SUSPECTED = "not_suspected"  # nothing was found; somebody asked for all images
    DECIDED_BEFORE = "decided_before"  # the same, and a person decided it once
    RANDOM_LOOK = "random_look"  # nothing was found; drawn at random, to learn how many wrong ones are left


ON_REQUEST = frozenset({CandidateReason.NOT_SUSPECTED, CandidateReason.DECIDED_BEFORE})
"""Reasons of images that are shown because somebody asked for all of them."""

UNPROPOSED = ON_REQUEST | {CandidateReason.RANDOM_LOOK}
"""Reasons that propose nothing: what nobody marks of such images stays as it is, and undecided."""


_AGAIN = "then run `keepset download --retry-failed`."
_ALL_THE_SAME = 'To fetch these all the same, set [download] prefilter = "off", then run again.'
_LATER = "Try `keepset download --retry-failed` later."
_CONVERT = (
    "Keepset does not read this format. Convert the file to JPEG or PNG (ImageMagick: magick IN OUT.jpg), put it into a "
    "folder and name that in the class's `folders`."
)

REMEDIES: dict[str, dict[str, str]] = {
    "urls": {
        UrlReason.NOT_A_URL: "Correct the line in the list, or ignore it: it does no harm.",
        UrlReason.DATA_URI: "Save the picture as a file and use the folder source.",
        UrlReason.SCHEME: "Only http and https are fetched; use the folder source for local files.",
        UrlReason.DUPLICATE: "Nothing to do: the list names this URL twice.",
        UrlReason.OTHER_CLASS: "Remove the URL from the class where it does not belong.",
        UrlReason.LICENSE: "Add the licence to [scrape] licenses if you want these pictures.",
        UrlReason.OVER_CAP: "Raise [scrape] max_per_class if you want more.",
        UrlReason.OUTSIDE: "A table may name files below its own folder only. Move the files there, or the table above them.",
        UrlReason.NO_LABEL: "Write the class into the row, then run again.",
        UrlReason.EXCLUDED: "Its title or address holds a word of the class's `exclude`. Remove the word if you want it.",
        UrlReason.TAKEN_DOWN: "Nothing to do: `keepset remove` took it down for good, and it is not fetched again.",
        UrlReason.UNREADABLE: "Correct the row or file that `keepset failures --each` shows, then run again.",
    },
    "downloads": {
        DownloadReason.BLOCKED_SCHEME: "The URL redirects to something other than http or https. Remove it from the list.",
        DownloadReason.OUTSIDE: "Only files below the class's own folders and tables are read. Add the file's folder to the "
        f"class's `folders`, {_AGAIN}",
        DownloadReason.BLOCKED_ADDRESS: "The address is not public. For a server of your own, add host:port to [download] "
        f"allow_private, {_AGAIN}",
        DownloadReason.BAD_URL: "Correct the line in the list.",
        DownloadReason.ROBOTS: "The site's robots.txt forbids it. Ask its owner, or use other pictures.",
        DownloadReason.OPTED_OUT: "The site asks not to be used for training. Use other pictures.",
        DownloadReason.DNS: "The host name is unknown. Check the spelling and this machine's DNS (behind a proxy: set "
        f"HTTPS_PROXY). {_LATER}",
        DownloadReason.CONNECT: f"The host does not accept connections. {_LATER}",
        DownloadReason.PROXY: "The proxy of HTTP_PROXY or HTTPS_PROXY refuses or does not answer. `keepset doctor` shows it. "
        f"Correct it, {_AGAIN}",
        DownloadReason.TLS: "The host's certificate is not trusted. If your network inspects TLS, set SSL_CERT_FILE to its "
        f"certificates, {_AGAIN} Otherwise open the site in a browser to see what is wrong.",
        DownloadReason.TIMEOUT: f"{_LATER} If the files are large or the host is slow, raise [download] deadline_s first.",
        DownloadReason.TOO_SLOW: f"{_LATER} If the host is always slow, lower [download] min_bytes_per_s first.",
        DownloadReason.TRUNCATED: f"The host stopped before the end. {_LATER}",
        DownloadReason.PROTOCOL: "The host does not speak HTTP properly. Use another copy of the picture.",
        DownloadReason.TOO_LARGE: f"If you want such large files, raise [download] max_bytes, {_AGAIN}",
        DownloadReason.DECOMPRESSION: "The body unpacks to far more than was sent. Remove it from the list.",
        DownloadReason.NOT_FOUND: "The picture is gone. Nothing to do; for a local file, put it back.",
        DownloadReason.FORBIDDEN: "The host wants a login or blocks programs: use other pictures. For a local file, give this "
        f"user read access, {_AGAIN}",
        DownloadReason.RATE_LIMITED: f"Lower [download] per_host_rate, {_AGAIN}",
        DownloadReason.HTTP_CLIENT: "The host refuses the request. Open the URL in a browser.",
        DownloadReason.HTTP_SERVER: f"The host has a fault. {_LATER}",
        DownloadReason.TOO_MANY_REDIRECTS: "The URL redirects in circles. Remove it from the list.",
        DownloadReason.NOT_AN_IMAGE: "Not an image, despite its name. If it is a web page with pictures, use the page source.",
        DownloadReason.FORMAT: _CONVERT,
        DownloadReason.EMPTY: f"The file has 0 bytes. Replace it; if it is on the web: {_LATER[0].lower()}{_LATER[1:]}",
        DownloadReason.CHECKSUM: "The file is not the one that the source described. See its landing page.",
        DownloadReason.PREFILTERED_COPY: f"Nothing to do: the picture is here already. {_ALL_THE_SAME}",
        DownloadReason.PREFILTERED_JUNK: f"`keepset failures --each` says what each one looked like. {_ALL_THE_SAME}",
        DownloadReason.PURGED: "Nothing to do: `keepset purge` or `remove` deleted this picture for good, and it is not fetched again.",
    },
    "images": {
        ImageReason.NOT_AN_IMAGE: "Not an image, despite its name. Replace it, or leave it out.",
        ImageReason.BROKEN: "The file is damaged. Replace it with another copy, or leave it out.",
        ImageReason.TRUNCATED: "The file is damaged (it ends early). Replace it with another copy, or leave it out.",
        ImageReason.TOO_MANY_FRAMES: "Raise [validate] max_frames if you want such animations.",
        ImageReason.CRASHED: "The decoder crashed on it. Leave it out, and do not open it elsewhere.",
        ImageReason.EMPTY: "The file has 0 bytes. Replace it, or leave it out.",
        ImageReason.MISSING: "The file is missing from the workspace. Run `keepset download` to fetch it again.",
        ImageReason.FORMAT: "Add the format to [validate] formats if you want it.",
        ImageReason.UNSUPPORTED: _CONVERT,
        ImageReason.TOO_LARGE: "Raise [download] max_bytes if you want such large files.",
        ImageReason.TOO_MANY_PIXELS: "Raise [validate] max_pixels if you want such pictures.",
        ImageReason.TOO_MANY_SCANS: "A progressive JPEG made to be slow. Leave it out.",
        ImageReason.TOO_SMALL: "Lower [validate] min_side if you want such pictures.",
        ImageReason.ASPECT: "Raise [validate] max_aspect if you want such pictures.",
        ImageReason.TIMEOUT: "Raise [validate] timeout_s if this machine is slow.",
        ImageReason.MEMORY: "Raise [validate] memory_mb if this machine has more.",
    },
}
