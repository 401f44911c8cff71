"""URL lists as people make them: separators, headers, encodings, wrappers, other formats, and files that are none."""

from __future__ import annotations

import codecs
import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepset import manifests
from keepset.config import parse_config
from keepset.errors import SourceError
from keepset.scrape import scrape
from keepset.workspace import Workspace
from tests.factories import Told

A, B, C = (f"http://x.example/{i}.jpg" for i in "123")
Row = dict[str, Any]


def read(content: str | bytes, name: str = "a.csv") -> tuple[list[Row], Told]:
    """The rows of class a, whose list this is; class b has one that is in order, and must not suffer."""
    with tempfile.TemporaryDirectory() as folder:
        root, notes = Path(folder), Told()
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (root / "b.txt").write_text("http://b.example/1.jpg\n")
        raw = {"classes": {"a": {"lists": [name]}, "b": {"lists": ["b.txt"]}}}
        ws = Workspace.create(root / "ws", "x")
        scrape(ws, parse_config(raw, base=root), progress=notes)
        rows = manifests.read(ws.urls, "urls").rows()
        assert [r["status"] for r in rows if r["label"] == "b"] == ["ok"]
        return [r for r in rows if r["label"] == "a"], notes


def urls(rows: list[Row]) -> list[str]:
    return [r["url"] for r in rows if r["status"] == "ok"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", f"url;caption\n{A};Ein Bär\n{B};\n", "separated by ';'"),
        ("a.csv", f"\ufeffsep=;\r\nurl;caption\r\n{A};Ein Bär\r\n{B};x\r\n", "separated by ';'"),
        ("a.csv", f"image_url,caption\n{A},Ein Bär\n{B},x, \n", "the column 'image_url'"),
        ("a.csv", f"Image URL,caption\n{A},Ein Bär\n{B},x\n", "the column 'Image URL'"),
        ("a.csv", f"page_url,imageUrl\nhttp://x.example/p,{A}\nhttp://x.example/p,{B}\n", "the column 'imageUrl'"),
        ("a.csv", f"Bildadresse,Titel\n{A},Ein Bär\n{B},x\n", "the column 'Bildadresse'"),
        ("a.csv", f"{A},a cat\n{B},a dog\n", "column 1"),
        ("a.csv", f"BMW;url\nx;{A}\ny;{B}\n", ""),
        ("a.csv", f"a cat,{A}\na dog,{B}\n", "column 2"),
        ("a.txt", f"{A}\ta cat\n{B}\ta dog, or two\n", "separated by tabs"),
        ("a.tsv", f"url\ttitle\n{A}\tEin Bär\n{B}\tx\n", ""),
        ("a.csv", f"url|title\n{A}|Ein Bär\n{B}|x\n", "separated by '|'"),
        ("a.csv", f"url,title\r{A},Ein Bär\r{B},x\r", ""),
        ("a.txt", f"'{A}',\n<{B}>\n", ""),
        ("a.txt", f"\u200b{A}\u200b\n“{B}”;\n", ""),
        ("a.txt", f"* {A}\n![a bear]({B})\n", ""),
        ("a.txt", f'<img src="{A}">\n`{B}`\n', ""),
        ("a.txt", f"{A}, {B}", ""),
        ("a.txt", f'[\n"{A}",\n"{B}",\n]\n', ""),
        ("a.txt", f"['{A}', '{B}']", ""),
        ("a.json", json.dumps([A, B]), ""),
        ("a.json", json.dumps({"results": [{"image": A, "url": "http://x.example/p"}, {"image": B}]}), "column 'image'"),
        ("a.jsonl", f'{{"url": "{A}"}}\n{{"url": "{B}"}}\n', ""),
        ("a.txt", f'{{"url": "{A}"}}\n{{"url": "{B}"}}\n', ""),
    ],
)  # fmt: skip
def test_lists_as_people_make_them(name: str, content: str, said: str) -> None:
    rows, notes = read(content, name)
    assert urls(rows) == [A, B]
    assert not said or said in notes


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"url": [A, B], "title": ["Ein Bär", None], "width": [640, None]})
    written = {
        "a.csv": frame.to_csv(index=False).encode(),
        "b.csv": frame.to_csv(index=False, sep=";").encode("utf-16"),
        "c.csv": frame.to_csv(index=False, sep=";").encode("cp1252"),
        "d.csv": frame.to_csv(index=False).encode("utf-16-le"),
        "a.tsv": codecs.BOM_UTF8 + frame.to_csv(index=False, sep="\t").encode(),
        "a.json": frame.to_json(orient="records").encode(),
        "b.json": frame.to_json().encode(),
        "a.jsonl": frame.to_json(orient="records", lines=True).encode(),
    }
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    written |= {n: (tmp_path / n).read_bytes() for n in ("a.parquet", "a.xlsx")}
    for name, content in written.items():
        rows, _ = read(content, name)
        found = [(r["url"], r["title"], r["width"]) for r in rows]
        assert found == [(A, "Ein Bär", 640), (B, None, None)], name


def test_an_encoding_that_was_guessed_is_reported() -> None:
    rows, notes = read(f"url;title\n{A};Bär\n".encode("cp1252"))
    assert rows[0]["title"] == "Bär"
    assert "is not UTF-8 and is read as Windows-1252" in notes


@pytest.mark.parametrize(
    "url",
    [
        "http://x.example/a,b.jpg", "http://x.example/full/800,600/0/default.jpg", "http://x.example/a;b.jpg",
        "http://x.example/Bear_(animal).jpg", "http://x.example/a%2Cb%3Bc.jpg", "http://x.example/i?sig=AbC%2B%2F%3D",
        "http://x.example/i?a=1&copy=2&b[]=3", "http://x.example/~a/'1'.jpg",
    ],
)  # fmt: skip
def test_an_address_stays_as_it_is(url: str) -> None:
    assert urls(read(f"{url}\n{url}2\n", "a.txt")[0]) == [url, f"{url}2"]


def test_markup_in_an_address_is_undone() -> None:
    assert urls(read("http://x.example/i?a=1&amp;b=2&#038;c=3\n", "a.txt")[0]) == ["http://x.example/i?a=1&b=2&c=3"]


@pytest.mark.parametrize(
    ("content", "says", "remedy"),
    [
        (b"\x1f\x8b\x08\0\0", "gzip archive", "Unpack"),
        (b"PK\x03\x04nothing", "ZIP archive", "Unpack"),
        (b"x" * 257 + b"ustar" + bytes(50), "tar archive", "Unpack"),
        (b"\xd0\xcf\x11\xe0", "old Excel", ".xlsx or CSV"),
        (b"PAR1 not really", "damaged Parquet", "Save it again"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a picture", "folder"),
        (b"<!DOCTYPE html><p>", "web page", "`pages`"),
        (bytes(range(256)) * 20, "not a text file", "CSV"),
        (b"title,price\nbear,3\n", "its columns are: 'title', 'price'", "'url'"),
        (b"p,q\nhttp://x.example/p,http://x.example/1\nhttp://x.example/p,http://x.example/2\n", "'p', 'q'", "'url'"),
        (b"url,label\nhttp://x.example/1.jpg,dog\n", "no row of the class 'a'; its column 'label' holds: dog", "rename"),
        (b'{"url": ', "not valid JSON", "as CSV"),
        (b'{"images": [], "annotations": [], "categories": []}', "COCO", "name and label"),
        (b'{"a": {"b": 1}}', "JSON, but not a table", "list of objects"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_one_sentence_about_the_file(content: bytes, says: str, remedy: str) -> None:
    with pytest.raises(SourceError) as e:
        read(content)
    assert "a.csv" in e.value.message
    assert says in e.value.message
    assert remedy in e.value.remedy


def test_the_remedies_work() -> None:
    """As the errors above say: name the column url, write the class as the column does, rename the column."""
    assert urls(read(b"p,url\nhttp://x.example/p,http://x.example/1\n")[0]) == ["http://x.example/1"]
    assert urls(read(b"link,price\nhttp://x.example/1,3\n")[0]) == ["http://x.example/1"]
    assert urls(read(f"url,label\n{A},a\n")[0]) == [A]
    assert urls(read(f"url,kind\n{A},dog\n")[0]) == [A]


def test_words_that_are_no_list_are_rows_and_one_sentence() -> None:
    rows, notes = read("hello world\nthis is no list\n", "a.txt")
    assert [r["reason"] for r in rows] == ["not_a_url"] * 2
    assert "none of its 2 lines is a web address" in notes
    assert "it is empty" in read("", "a.txt")[1]


def test_rows_of_other_classes_are_not_taken() -> None:
    rows, notes = read(f"url,Label \n{A}, a\n{B},dog\n{C},\n")
    assert [(r["url"], r["reason"], r["detail"]) for r in rows] == [
        (A, None, None),
        (B, "url_in_another_class", "its label is 'dog'"),
        (C, "url_in_another_class", "it has no label"),
    ]
    assert "1 are of others (dog)" in notes


def test_odd_cells_end_nothing() -> None:
    huge = "data:image/png;base64," + "A" * 200_000
    rows, _ = read(f'url,width,title\n"{huge}",1,x\n{A},²,x\n{B},640.0,"5 inch\n{C},640,"two\nlines"\n')
    assert [(r["reason"], r["width"]) for r in rows] == [("data_uri", 1), (None, None), (None, 640), (None, 640)]
    assert len(rows[0]["url"]) == 200
    assert rows[3]["title"] == "two lines"


def test_a_damaged_excel_file_is_named() -> None:
    with pytest.raises(SourceError, match=r"a\.xlsx is a damaged Excel file"):
        read(b"PK\x03\x04nothing", "a.xlsx")


def test_a_few_damaged_bytes_spoil_their_own_line_only() -> None:
    rows, _ = read(f"{A}\n{B}\0\0\n{C}\n" + "# a long list\n" * 50, "a.txt")
    assert [r["reason"] for r in rows] == [None, "not_a_url", None]


def test_a_row_with_too_many_cells_is_not_guessed_at() -> None:
    rows, _ = read(f"url,license\n{A},cc0, public\n{B},cc0,,\n")
    assert [r["detail"] for r in rows] == ["line 2 has 3 cells, the header has 2", None]


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r\t"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 99), CELL), min_size=1, max_size=8, unique_by=lambda r: r[0]),
       sep=st.sampled_from(",;\t|"), header=st.booleans(), end=st.sampled_from(["\n", "\r\n"]))  # fmt: skip
def test_a_written_table_loses_no_address(rows: list[tuple[int, str]], sep: str, header: bool, end: str) -> None:
    out = io.StringIO(newline="")
    table = csv.writer(out, delimiter=sep, lineterminator=end, quoting=csv.QUOTE_ALL)
    table.writerows([("url", "note")] * header + [(f"http://x.example/{n}.jpg", cell) for n, cell in rows])
    found, _ = read(out.getvalue())
    assert urls(found) == [f"http://x.example/{n}.jpg" for n, _ in rows]


@settings(max_examples=60, deadline=None)
@given(st.one_of(
    st.binary(max_size=80),
    st.text(st.sampled_from('htp:/.,;"\'\t\n{}[]<>url\u200b#xé1'), max_size=80).map(str.encode),
    st.recursive(st.none() | st.text(max_size=5) | st.integers() | st.floats(), lambda x: st.lists(x, max_size=3)
                 | st.dictionaries(st.sampled_from(["url", "label", "a"]), x, max_size=3)).map(lambda v: json.dumps(v).encode()),
))  # fmt: skip
def test_whatever_a_list_holds_ends_in_rows_or_one_error(content: bytes) -> None:
    remedy, rows = "none needed", []
    try:
        rows, _ = read(content, "a.txt")
    except SourceError as e:
        remedy = e.remedy
    assert remedy
    assert all(r["reason"] or r["url"].lower().startswith("http") for r in rows)


def test_one_odd_value_of_a_parquet_file_is_one_row(tmp_path: Path) -> None:
    values = pa.array([A.encode(), b"http://x.example/caf\xe9.jpg"])
    raw = pa.Array.from_buffers(pa.string(), 2, values.buffers())  # as writers that do not check it leave it
    pq.write_table(pa.table({"url": raw}), tmp_path / "a.parquet")
    rows, _ = read((tmp_path / "a.parquet").read_bytes(), "a.parquet")
    assert urls(rows) == [A, "http://x.example/café.jpg"]
