"""img2dataset's share: two processes of 32 threads, pictures kept in ratio at 256 pixels, files and Parquet."""

from __future__ import annotations

import sys
from pathlib import Path


def main(urls: Path, out: Path) -> None:
    import pyarrow.parquet as pq
    from img2dataset import download

    download(
        url_list=str(urls), input_format="txt", output_folder=str(out / "set"), output_format="files",
        image_size=256, resize_mode="keep_ratio", resize_only_if_bigger=True, processes_count=2, thread_count=32,
        number_sample_per_shard=1000, compute_hash="sha256", enable_wandb=False, retries=1, timeout=10,
    )  # fmt: skip
    rows = [r for f in sorted((out / "set").glob("*.parquet")) for r in pq.read_table(f).to_pylist()]
    kept = sorted(r["url"] for r in rows if r["status"] == "success")
    (out / "kept.txt").write_text("\n".join(kept))
    silent = sum(r["status"] != "success" and not r["error_message"] for r in rows)
    (out / "silent.txt").write_text(str(silent))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
