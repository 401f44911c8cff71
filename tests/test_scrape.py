from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepset import manifests
from keepset.config import RunConfig, parse_config
from keepset.errors import SourceError
from keepset.scrape import scrape
from keepset.workspace import Workspace


def config(tmp_path: Path, a: str | bytes, b: str = "http://b.example/1.jpg\n", name: str = "a.txt") -> RunConfig:
    (tmp_path / name).write_bytes(a if isinstance(a, bytes) else a.encode())
    (tmp_path / "b.txt").write_text(b)
    return parse_config({"classes": {"a": {"lists": [name]}, "b": {"lists": ["b.txt"]}}}, base=tmp_path)


def rows(ws: Workspace, label: str = "a") -> list[tuple[str, str]]:
    found = manifests.read(ws.urls, "urls").rows()
    return [(r["url"], r["reason"] or "ok") for r in found if r["label"] == label]


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws", "x")


def test_a_messy_list_is_read_whole_and_nothing_is_dropped_in_silence(ws: Workspace, tmp_path: Path) -> None:
    messy = (
        b'\xef\xbb\xbf\r\n\r\n# a comment\r\nhttps://x.example/a%20b.jpg?q=1%2B1\r\n"https://x.example/2.jpg",\r\n'
        b"null\r\ndata:image/png;base64,AAAA\r\nhttps://x.example/2.jpg\r\nftp://x.example/3.jpg\r\n"
        b"file:///etc/passwd\r\nhttps://x.example/with space.jpg\r\nhttp://[\r\n\xff\xfe garbage\r\n"
    )
    scrape(ws, config(tmp_path, messy))
    found = rows(ws)
    assert found[:6] == [
        ("https://x.example/a%20b.jpg?q=1%2B1", "ok"), ("https://x.example/2.jpg", "ok"), ("null", "not_a_url"),
        ("data:image/png;base64,AAAA", "data_uri"), ("https://x.example/2.jpg", "duplicate_url"),
        ("ftp://x.example/3.jpg", "scheme_not_allowed"),
    ]  # fmt: skip
    assert [r for _, r in found[6:]] == ["scheme_not_allowed", "not_a_url", "not_a_url", "not_a_url"]


def test_csv_and_parquet_carry_provenance(ws: Workspace, tmp_path: Path) -> None:
    table = "title,url,license,creator\nA bear,https://x.example/1.jpg,cc-by-4.0,Ann\n,https://x.example/2.jpg,,\n"
    scrape(ws, config(tmp_path, table, name="a.csv"))
    first, second = manifests.read(ws.urls, "urls").rows()[:2]
    assert (first["title"], first["license"], first["creator"]) == ("A bear", "cc-by-4.0", "Ann")
    assert (second["url"], second["license"]) == ("https://x.example/2.jpg", None)
    pq.write_table(pa.table({"url": ["https://y.example/1.jpg"], "width": [640]}), tmp_path / "a.parquet")
    raw = {"classes": {"a": {"lists": ["a.parquet"]}, "b": {"lists": ["b.txt"]}}}
    scrape(ws, parse_config(raw, base=tmp_path))
    kept = manifests.read(ws.urls, "urls").rows()
    assert [r["width"] for r in kept if r["url"] == "https://y.example/1.jpg"] == [640]


def test_one_url_in_two_classes_belongs_to_the_first(ws: Workspace, tmp_path: Path) -> None:
    done = scrape(ws, config(tmp_path, "http://x.example/1.jpg\n", "http://x.example/1.jpg\nhttp://x.example/2.jpg\n"))
    assert done.message == "2 pictures listed, 2 new; 1 line rejected (1 url_in_another_class)"
    assert rows(ws, "b") == [("http://x.example/1.jpg", "url_in_another_class"), ("http://x.example/2.jpg", "ok")]


def test_again_is_nothing_and_more_is_only_the_new(ws: Workspace, tmp_path: Path) -> None:
    assert scrape(ws, config(tmp_path, "http://x.example/1.jpg\n")).changed
    first = manifests.read(ws.urls, "urls")
    assert not scrape(ws, config(tmp_path, "http://x.example/1.jpg\n")).changed
    more = scrape(ws, config(tmp_path, "http://x.example/0.jpg\nhttp://x.example/1.jpg\n"))
    assert "1 new" in more.message
    found = {r["url"]: r for r in manifests.read(ws.urls, "urls").rows()}
    old = {r["url"]: r for r in first.rows()}
    assert found["http://x.example/1.jpg"]["url_id"] == old["http://x.example/1.jpg"]["url_id"]
    assert found["http://x.example/1.jpg"]["discovered_at"] == old["http://x.example/1.jpg"]["discovered_at"]


def test_a_class_is_capped(ws: Workspace, tmp_path: Path) -> None:
    cfg = config(tmp_path, "".join(f"http://x.example/{i}.jpg\n" for i in range(5)))
    scrape(ws, cfg.model_copy(update={"scrape": cfg.scrape.model_copy(update={"max_per_class": 3})}))
    assert [r for _, r in rows(ws)] == ["ok"] * 3 + ["over_class_cap"] * 2


def test_the_cap_holds_over_several_runs(ws: Workspace, tmp_path: Path) -> None:
    def run(lines: str, most: int) -> list[tuple[str, str]]:
        cfg = config(tmp_path, lines)
        scrape(ws, cfg.model_copy(update={"scrape": cfg.scrape.model_copy(update={"max_per_class": most})}))
        return rows(ws)

    first = "".join(f"http://x.example/{i}.jpg\n" for i in range(3))
    assert [r for _, r in run(first, 3)] == ["ok"] * 3
    more = "http://x.example/new.jpg\n" + first
    assert dict(run(more, 3))["http://x.example/new.jpg"] == "over_class_cap"
    assert sorted(r for _, r in run(more, 4)) == ["ok"] * 4
    assert [r for _, r in run(more, 1)] == ["ok"] * 4  # what is known is never taken away by a cap


def test_lines_that_are_gone_or_moved_leave_nothing_double(ws: Workspace, tmp_path: Path) -> None:
    scrape(ws, config(tmp_path, "http://x.example/1.jpg\nnull\nhttp://x.example/2.jpg\n"))
    assert [r for _, r in rows(ws)] == ["ok", "not_a_url", "ok"]
    scrape(ws, config(tmp_path, "http://x.example/1.jpg\n", "http://x.example/2.jpg\n"))  # the user moved a line
    assert rows(ws) == [("http://x.example/1.jpg", "ok")]
    assert rows(ws, "b") == [("http://b.example/1.jpg", "ok"), ("http://x.example/2.jpg", "ok")]
    (tmp_path / "a.txt").rename(tmp_path / "new.txt")
    raw = {"classes": {"a": {"lists": ["new.txt"]}, "b": {"lists": ["b.txt"]}}}
    scrape(ws, parse_config(raw, base=tmp_path))
    assert rows(ws) == [("http://x.example/1.jpg", "ok")]


def test_a_stricter_licence_filter_holds_for_what_is_known(ws: Workspace, tmp_path: Path) -> None:
    table = "url,license\nhttps://x.example/1.jpg,cc-by-4.0\nhttps://x.example/2.jpg,cc-by-nc-4.0\n"
    cfg = config(tmp_path, table, name="a.csv")
    scrape(ws, cfg)
    strict = cfg.model_copy(update={"scrape": cfg.scrape.model_copy(update={"licenses": ("cc-by",)})})
    scrape(ws, strict)
    wanted = {"https://x.example/1.jpg": "ok", "https://x.example/2.jpg": "license_not_allowed"}
    assert (len(rows(ws)), dict(rows(ws))) == (2, wanted)
    (tmp_path / "a.csv").write_text("url,license\n")  # and also if the list says nothing of it any more
    scrape(ws, cfg)
    scrape(ws, strict)
    assert [r for u, r in rows(ws) if u == "https://x.example/1.jpg"] == ["ok"]


def test_two_lists_of_one_name_keep_all_their_lines(ws: Workspace, tmp_path: Path) -> None:
    for i, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(f"null\nhttp://x.example/{i}.jpg\n")
    (tmp_path / "b.txt").write_text("http://b.example/1.jpg\n")
    cfg = parse_config(
        {"classes": {"a": {"lists": ["one/a.txt", "two/a.txt"]}, "b": {"lists": ["b.txt"]}}}, base=tmp_path
    )
    scrape(ws, cfg)
    assert sorted(r for _, r in rows(ws)) == ["not_a_url", "not_a_url", "ok", "ok"]
    ids = [r["url_id"] for r in manifests.read(ws.urls, "urls").rows()]
    assert len(set(ids)) == len(ids)
    assert not scrape(ws, cfg).changed


def test_a_damaged_list_is_named(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.parquet"):
        scrape(ws, config(tmp_path, b"PAR1 not really", name="a.parquet"))
    assert not ws.urls.exists()


def test_the_real_messy_lists_are_read(ws: Workspace, photos: Path) -> None:
    found = sorted((photos / "url-lists").rglob("*.csv"))
    assert len(found) >= 10
    other = ws.root.parent / "other.txt"
    other.write_text("http://b.example/1.jpg\n")
    for path in found:
        raw = {"classes": {"a": {"lists": [str(path)]}, "b": {"lists": [str(other)]}}}
        scrape(ws, parse_config(raw, base=photos))
        table = manifests.read(ws.urls, "urls").rows()
        lines = [x for x in path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if x.strip()]
        mine = [r for r in table if r["query"] == path.name]
        assert len(mine) >= len(lines) > 0
