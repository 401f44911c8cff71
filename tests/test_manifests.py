from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepset import manifests
from keepset.errors import ManifestError, ManifestMissing, WorkspaceVersionError
from keepset.manifests import Header, tables
from keepset.manifests.schemas import SCHEMAS
from tests.factories import EPOCH


def url_row(i: int, **changes: Any) -> dict[str, Any]:
    row = {
        "url_id": f"{i:016x}", "url": f"http://127.0.0.1/{i}.jpg", "label": "black", "status": "ok",
        "source": "list", "rank": i, "discovered_at": EPOCH,
    }  # fmt: skip
    return row | changes


def header(**changes: Any) -> Header:
    return Header(**({"schema": "urls", "stage": "scrape", "fingerprint": "f"} | changes))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "urls.parquet"
    written = manifests.write(path, [url_row(0), url_row(1)], header(parents={"a": "1"}, extra={"n": 2}))
    got = manifests.read(path, "urls")
    assert got.rows() == written.rows()
    assert got.header == written.header
    assert (got.header.rows, got.header.parents, got.header.extra) == (2, {"a": "1"}, {"n": 2})
    assert list(tmp_path.rglob("*.part")) == []


def test_volatile_columns_and_chunking_do_not_touch_the_content_hash() -> None:
    rows = [url_row(i) for i in range(10)]
    table = manifests.table_from_rows("urls", rows)
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    later = manifests.table_from_rows("urls", [r | {"discovered_at": EPOCH.replace(year=2027)} for r in rows])
    changed = manifests.table_from_rows("urls", [r | {"label": "teddy"} for r in rows])
    whole = manifests.content_hash("urls", table)
    assert manifests.content_hash("urls", chunked) == whole
    assert manifests.content_hash("urls", later) == whole
    assert manifests.content_hash("urls", changed) != whole


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"surprise": 1}, "unknown ['surprise']"), ({"label": None}, "'label' with null values"),
        ({"rank": "first"}, "urls"), ({"rank": 2**40}, "urls"), ({"status": "fine"}, "'status'"),
        ({"reason": "because"}, "'reason'"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as e:
        manifests.write(tmp_path / "urls.parquet", [url_row(0, **change)], header())
    assert says in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_required_column_is_named() -> None:
    row = url_row(0)
    del row["label"]
    with pytest.raises(ManifestError, match="label"):
        manifests.table_from_rows("urls", [row])


def test_missing_damaged_foreign_and_other_manifests_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissing, match="keepset scrape"):
        manifests.read(tmp_path / "urls.parquet", "urls")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(ManifestError, match="damaged"):
        manifests.read(tmp_path / "broken.parquet", "urls")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(ManifestError, match="not a Keepset manifest"):
        manifests.read(tmp_path / "foreign.parquet", "urls")
    manifests.write(tmp_path / "urls.parquet", [], header())
    with pytest.raises(ManifestError, match="holds the manifest 'urls', not 'images'"):
        manifests.read(tmp_path / "urls.parquet", "images")


@pytest.mark.parametrize(("version", "remedy"), [(0, "keepset export"), (99, "Upgrade")])
def test_another_schema_version_is_refused(tmp_path: Path, version: int, remedy: str) -> None:
    manifests.write(tmp_path / "urls.parquet", [], header())
    table = pq.read_table(tmp_path / "urls.parquet")
    old = table.schema.metadata[b"keepset"].replace(b'"version": 1', f'"version": {version}'.encode())
    pq.write_table(table.replace_schema_metadata({b"keepset": old}), tmp_path / "urls.parquet")
    with pytest.raises(WorkspaceVersionError, match=f"version {version}, of") as e:
        manifests.read(tmp_path / "urls.parquet", "urls")
    assert remedy in e.value.remedy


def test_of_two_exclusive_writers_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "urls.parquet"
    manifests.write(path, [url_row(0)], header(), exclusive=True)
    with pytest.raises(FileExistsError):
        manifests.write(path, [url_row(1)], header(), exclusive=True)
    assert manifests.read(path, "urls").rows()[0]["rank"] == 0
    assert os.listdir(tmp_path) == ["urls.parquet"]  # noqa: PTH208


def test_up_to_date_compares_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "urls.parquet"
    mark = manifests.fingerprint("scrape", {"a": "1"}, {"seed": 1})
    assert manifests.up_to_date(path, mark) is None
    manifests.write(path, [], header(fingerprint=mark))
    assert manifests.up_to_date(path, mark) is not None
    assert manifests.up_to_date(path, manifests.fingerprint("scrape", {"a": "2"}, {"seed": 1})) is None


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_has_a_doc_and_keys_exist(name: str) -> None:
    schema = SCHEMAS[name]
    assert all(schema.doc_of(c) for c in schema.arrow.names)
    assert set(schema.key) <= set(schema.arrow.names)
    assert set(schema.choices) <= set(schema.arrow.names)
    assert schema.key[0] in schema.stable_columns


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_manifest_written_in_pieces_is_the_one_written_whole(data: st.DataObject) -> None:
    maybe = st.one_of(st.none(), st.text(max_size=5))
    rows = [
        url_row(i, title=data.draw(maybe), width=data.draw(st.one_of(st.none(), st.integers(1, 9))))
        for i in range(data.draw(st.integers(0, 25)))
    ]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "GROUP_ROWS", 8)
        path = Path(folder) / "urls.parquet"
        with manifests.writing(path, "urls") as out:
            for start, stop in itertools.pairwise([0, *cuts, len(rows)]):
                out.add(rows[start:stop])
            done = out.commit(header())
        table = manifests.table_from_rows("urls", rows)
        assert done.content_hash == manifests.content_hash("urls", table)
        assert manifests.content_hash("urls", manifests.read(path, "urls").table) == done.content_hash
        assert manifests.read(path, "urls").table.equals(table)
        start = data.draw(st.integers(0, len(rows) + 1))
        read = [r for b in manifests.batches(path, "urls", size=3, start=start) for r in b.to_pylist()]
        assert read == table.slice(start).to_pylist()


def test_what_is_not_committed_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "urls.parquet"
    manifests.write(path, [url_row(1)], header())
    with manifests.writing(path, "urls") as out:
        out.add([url_row(2)])
    with contextlib.suppress(RuntimeError), manifests.writing(path, "urls") as out:
        out.commit(header())
        raise RuntimeError
    assert manifests.read(path, "urls").rows()[0]["url_id"] == f"{1:016x}"
    assert [p.name for p in tmp_path.iterdir()] == ["urls.parquet"]
