"""One bucket of an object store, and the few requests that a workspace sends to it.

obstore sends them: to S3 (``s3://``), Google Cloud Storage (``gs://``) and Azure (``az://``, a container). Nothing is
remembered between two requests, so what another machine wrote is seen at once. These stores are strongly consistent,
listings included; a file appears whole or not at all; and a conditional write lets exactly one of several writers win.
"""

from __future__ import annotations

import contextlib
import functools
import mimetypes
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from keepset.errors import WorkspaceError, WorkspaceNotWritable, WorkspaceUnreachable

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta, PutMode, UpdateVersion

__all__ = ["Bucket", "Conflict", "Facts", "bucket"]

T = TypeVar("T")
PART_BYTES = 8 * 2**20
"""Larger files go up in parts of this size, four at a time; a part that fails is sent again, not the file."""
_PAGE = 1000  # objects in an answer to a listing


class Conflict(Exception):
    """The object is not in the state that the writer expected: another writer was first."""


@dataclass(frozen=True)
class Facts:
    """What the store knows of an object. ``version`` is the condition for replacing it (``Bucket.swap``)."""

    size: int
    etag: str
    modified: datetime
    version: UpdateVersion
    writer: str


@functools.cache
def bucket(scheme: str, name: str) -> Bucket:
    return Bucket(scheme, name)


class Bucket:
    """Requests to one bucket. ``FileNotFoundError`` means that the object is not there.

    Everything else that the store refuses is a ``WorkspaceError`` with its remedy: ``WorkspaceUnreachable`` if it
    does not answer even after the retries, ``WorkspaceNotWritable`` if it lets this user read but not write.
    """

    def __init__(self, scheme: str, name: str) -> None:
        self.scheme, self.name = scheme, name
        self.url = f"{scheme}://{name}"

    # -- reading -----------------------------------------------------------------------------------

    def head(self, key: str) -> Facts | None:
        try:
            return _facts(self._ask(key, lambda store: obstore.get(store, key, options={"head": True})))
        except FileNotFoundError:
            return None

    def download(self, key: str, to: Path, *, known: str = "") -> str | None:
        """Write the object's bytes to the file ``to`` and return its etag; None if its etag is still ``known``."""

        def fetch(store: Any) -> str | None:
            try:
                answer = obstore.get(store, key, options={"if_none_match": known} if known else {})
            except exceptions.NotModifiedError:
                return None
            with to.open("wb") as f:
                for piece in answer.stream(2**20):
                    f.write(piece)
            return answer.meta["e_tag"] or ""

        return self._ask(key, fetch)

    def read(self, key: str) -> tuple[bytes, Facts]:
        def fetch(store: Any) -> tuple[bytes, Facts]:
            answer = obstore.get(store, key)
            return bytes(answer.bytes()), _facts(answer)

        return self._ask(key, fetch)

    def children(self, prefix: str) -> list[str]:
        """The names directly under ``prefix`` (which ends with a slash), of objects and of folders."""
        found = self._ask("", lambda store: obstore.list_with_delimiter(store, prefix or None))
        paths = [*found["common_prefixes"], *(o["path"] for o in found["objects"])]
        return [path.rpartition("/")[2] for path in paths]

    def sizes(self, prefix: str, after: str = "") -> Iterator[tuple[str, int]]:
        """Key and bytes of every object whose key begins with ``prefix`` and comes after ``after``, in order."""
        while page := self._page(prefix, after):
            yield from ((o["path"], o["size"]) for o in page)
            if len(page) < _PAGE:
                return
            after = page[-1]["path"]

    def has_any(self, prefix: str) -> bool:
        return bool(self._page(prefix, ""))

    def _page(self, prefix: str, after: str) -> Sequence[ObjectMeta]:
        """The next objects in order; fewer than ``_PAGE`` only at the end."""

        def ask(store: Any) -> Sequence[ObjectMeta]:
            return next(obstore.list(store, prefix or None, offset=after or None, chunk_size=_PAGE), ())

        return self._ask("", ask)

    # -- writing -----------------------------------------------------------------------------------

    def put(self, key: str, data: bytes | Path, *, exclusive: bool = False) -> str:
        """Put bytes or a local file, in parts if it is large; return its etag.

        With ``exclusive``, raise ``FileExistsError`` if the object is there already: the store decides who is first.
        It then goes up in one request, which no store takes for more than 5 GB.
        """
        try:
            return self._put(key, data, "create" if exclusive else "overwrite").get("e_tag") or ""
        except Conflict as e:
            raise FileExistsError(f"{self.url}/{key}") from e

    def swap(self, key: str, data: bytes, *, expected: UpdateVersion | None) -> UpdateVersion:
        """Put ``data`` if the object's version is ``expected`` (None: if there is no object); return the new one.

        Raises ``Conflict``.
        """
        return self._put(key, data, expected or "create")

    def delete(self, key: str) -> None:
        """Nothing happens if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            self._ask(key, lambda store: obstore.delete(store, key), writing=True)

    def probe(self, key: str) -> None:
        """Check by writing to ``key`` that this user may write, and that the store obeys conditions.

        Raises ``WorkspaceNotWritable`` or ``WorkspaceError``.
        """
        self.put(key, b"written to check write access\n")
        try:
            self.swap(key, b"this must be refused\n", expected=None)
        except Conflict:
            return
        raise WorkspaceError(
            f"{self.url} ignores conditional writes: two machines could overwrite each other's work.",
            "Use a store that obeys If-None-Match and If-Match on PUT (`keepset docs storage`), or a folder.",
        )

    def _put(self, key: str, data: bytes | Path, mode: PutMode) -> UpdateVersion:
        """If an answer is lost, the repeated request is refused because the first one had arrived. That is found out by
        the mark that each writer leaves on its object."""
        writer = secrets.token_hex(8)
        marks = {"Content-Type": mimetypes.guess_type(key)[0] or "application/octet-stream", "writer": writer}
        options: Any = {"attributes": marks, "mode": mode, "chunk_size": PART_BYTES, "max_concurrency": 4}
        for pause in (0.1, 0.2, 0.4, 0.8, 1.6, 0.0):
            try:
                return self._ask(key, lambda store: _version(obstore.put(store, key, data, **options)), writing=True)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError, FileNotFoundError) as e:
                found = self.head(key)
                if found is not None and found.writer == writer:
                    return found.version
                # Worth another try: two conditional writes met, which S3 answers with 409; or an upload in parts is
                # not known any more, because the answer to its end was lost and another writer came after it.
                if not pause or (mode != "overwrite" and "409 Conflict" not in str(e)):
                    raise Conflict(key) from e
            time.sleep(pause)
        raise Conflict(key)

    def _ask(self, key: str, work: Callable[[Any], T], *, writing: bool = False) -> T:
        """``work(store)``, again if an answer breaks off half-way: obstore repeats all other requests itself."""
        place = f"{self.url}/{key}".rstrip("/")
        pause = 0.2
        while True:
            try:
                return work(_store(self.scheme, self.name))
            except WorkspaceError:
                raise
            except Exception as e:
                if pause > 10 or "response body error" not in str(e):
                    found = _mapped(place, e, writing=writing)
                    if found is e:
                        raise
                    raise found from e
            time.sleep(pause)
            pause *= 2


# -- errors ----------------------------------------------------------------------------------------

_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "InvalidResourceName"}
_NO_LOGIN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (`keepset docs storage`).",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account (`keepset docs storage`).",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (`keepset docs storage`).",
}
_RIGHTS = (
    "Keepset must be allowed to list, read, write and delete objects there (on S3: s3:ListBucket, s3:GetObject, "
    "s3:PutObject and s3:DeleteObject)."
)


def _mapped(place: str, e: Exception, *, writing: bool) -> Exception:
    """What obstore and the disk raise, as this project's errors. A missing object and a refused condition stay."""
    if isinstance(e, OSError) and e.errno:
        return WorkspaceNotWritable.of_cache(e)
    if not isinstance(e, exceptions.BaseError | FileNotFoundError):
        return e
    scheme, (code, said) = place.partition(":")[0], _answer(e)
    if code in _NO_BUCKET:
        bucket = "/".join(place.split("/")[:3])
        return WorkspaceError(f"There is no such bucket: {bucket}.", f"{_endpoint()} Create it, or correct its name.")
    if isinstance(e, FileNotFoundError | exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return e
    if isinstance(e, exceptions.UnauthenticatedError) or code in _NO_LOGIN:
        return WorkspaceError(f"{place}: the store does not accept the login: {said}.", _CREDENTIALS[scheme])
    if isinstance(e, exceptions.PermissionDeniedError) or "403 Forbidden" in str(e):
        denied = WorkspaceNotWritable if writing else WorkspaceError
        return denied(f"{place}: access is denied: {said}.", _RIGHTS)
    return WorkspaceUnreachable(
        f"{place}: the store does not answer: {said}.",
        f"{_endpoint()} Check that it is up, then run the same command again: finished work is kept.",
    )


def _answer(e: Exception) -> tuple[str, str]:
    """The store's own error code, "" if it gave none, and what it said in a line."""
    said = str(e).partition("\n\nDebug source")[0].replace("\n", " ")
    if found := re.search("<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", said):
        return found[1], f"{found[1]}: {found[2]}".rstrip(".")
    return "", said.rpartition(" - ")[2].rstrip(". ")


def _endpoint() -> str:
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return f"AWS_ENDPOINT_URL is {address}." if address else "AWS_ENDPOINT_URL is not set."


def _facts(answer: GetResult) -> Facts:
    meta = answer.meta
    writer = answer.attributes.get("writer", "")
    return Facts(meta["size"], meta["e_tag"] or "", meta["last_modified"], _version(meta), writer)


def _version(of: Mapping[str, Any]) -> UpdateVersion:
    """What a store needs to replace this very version: S3 and Azure the etag, Google its own number."""
    return cast("UpdateVersion", {name: of[name] for name in ("e_tag", "version") if of[name]})


# -- clients ---------------------------------------------------------------------------------------


def _store(scheme: str, name: str) -> Any:
    said = ((k, v) for k, v in os.environ.items() if k.startswith(("AWS_", "GOOGLE_", "AZURE_")))
    return _store_as_told(scheme, name, *said)


@functools.lru_cache(maxsize=4)
def _store_as_told(scheme: str, name: str, *_environment: object) -> Any:
    """A client; another one as soon as the environment names another login or endpoint."""
    tries = int(os.environ.get("AWS_MAX_ATTEMPTS", "9"))
    common: dict[str, Any] = {
        "client_options": {"allow_http": True, "connect_timeout": "10s", "read_timeout": "2min", "timeout": "1h"},
        "retry_config": {"max_retries": tries - 1, "retry_timeout": timedelta(minutes=1)},
    }
    if scheme == "s3":
        return S3Store(name, credential_provider=_amazon_login(name), **common)
    return GCSStore(name, **common) if scheme == "gs" else AzureStore(name, **common)


def _amazon_login(name: str) -> Any:
    """Login and region as boto3 finds them, as every AWS tool does: variables, ``~/.aws`` with profiles and SSO, roles."""
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider(ttl=timedelta(minutes=5))
    except (BotoCoreError, ValueError) as e:
        raise WorkspaceError(f"s3://{name}: there is no login for the store: {e}.", _CREDENTIALS["s3"]) from e
