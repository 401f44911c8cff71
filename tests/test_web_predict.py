"""The prediction API and page against the real app: good, bad and hostile bodies, load, hot swap, security."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest

import keepset
from keepset.files import write_json
from keepset.predict import load
from keepset.predict.intake import UPLOADS, Refused
from keepset.predict.queueing import Busy, QueueOptions
from keepset.predict.serving import Service
from keepset.reasons import ImageReason
from keepset.web.predict import TOP, TOP_MOST
from keepset.web.security import COOKIE
from keepset.web.uploads import LONGEST_URL, MAX_ITEMS
from tests.factories import config, saved
from tests.predict_fixtures import Served, client
from tests.processes import PATIENCE_S, Silent, serving, wait_for
from tests.test_hostile_images import BAD, GOOD, JPEG
from tests.web_fixtures import asking, served


@pytest.fixture(scope="module")
def site(template_case: Served) -> Iterator[httpx.Client]:
    with asking(template_case.ws.root) as c:
        yield c


def files(*pictures: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("file", (f"{i}.jpg", p, "image/jpeg")) for i, p in enumerate(pictures)]


def conforms(answer: httpx.Response, site: httpx.Client) -> Any:
    """The answer's document, checked against the schema that the API gives for this status."""
    document = site.get("/openapi.json").json()
    method, path = answer.request.method.lower(), answer.request.url.path
    said = document["paths"][path][method]["responses"][str(answer.status_code)]
    if "$ref" in said:
        said = document["components"]["responses"][said["$ref"].rpartition("/")[2]]
    schema = said["content"]["application/json"]["schema"] | {"components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json())
    return answer.json()


def test_the_description_promises_the_limits_that_hold(site: httpx.Client) -> None:
    document = site.get("/openapi.json").json()
    predict = document["paths"]["/api/predict"]["post"]
    top, content = predict["parameters"][0]["schema"], predict["requestBody"]["content"]
    one, many = (s["properties"] for s in content["application/json"]["schema"]["oneOf"])
    assert (top["default"], top["maximum"]) == (TOP, TOP_MOST)
    assert content["image/*"]["schema"]["maxLength"] == UPLOADS.max_bytes
    assert (one["url"]["maxLength"], many["urls"]["maxItems"]) == (LONGEST_URL, MAX_ITEMS)
    assert f"of at most {UPLOADS.max_bytes} bytes and {UPLOADS.max_pixels} pixels" in predict["description"]
    assert f"in one of {', '.join(UPLOADS.formats)}." in predict["description"]
    assert document["info"]["version"] == keepset.__version__


# -- what is answered ------------------------------------------------------------------------------


def test_a_form_raw_bytes_and_python_agree(site: httpx.Client, template_case: Served) -> None:
    wanted = load(template_case.ws.root).predict(template_case.pictures[:3])
    found = conforms(site.post("/api/predict", files=files(*template_case.pictures[:3])), site)
    assert [i["name"] for i in found["items"]] == ["0.jpg", "1.jpg", "2.jpg"]
    for item, one in zip(found["items"], wanted, strict=True):
        assert item["label"] == one.label
        assert item["unsure"] == (one.outcome == "unsure")
        assert (item["unfamiliar"], item["distance"]) == (one.unfamiliar, pytest.approx(one.distance, abs=1e-4))
        assert {t["label"]: t["probability"] for t in item["top"]} == pytest.approx(one.probabilities, abs=1e-4)
    raw = site.post("/api/predict?top=1", content=template_case.pictures[0], headers={"content-type": "image/jpeg"})
    item = conforms(raw, site)["items"][0]
    assert item["label"] == wanted[0].label
    assert len(item["top"]) == 1
    assert found["model"] == {"id": "0" * 16, "revision": 1}


def test_training_pictures_are_familiar_and_noise_is_not(site: httpx.Client, template_case: Served) -> None:
    from PIL import Image

    from tests.factories import jpeg

    noise = jpeg(Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)))
    learned = [r["sha256"] for r in template_case.ws.current_dataset().rows() if r["split"] == "train"]
    pictures = [template_case.ws.blob(s).read_bytes() for s in learned]
    found = site.post("/api/predict", files=files(*pictures, noise)).json()["items"]
    *familiar, strange = found
    assert sum(i["unfamiliar"] for i in familiar) <= 1  # with three pictures per class, one may be unlike the others
    assert strange["unfamiliar"]
    assert strange["distance"] > max(i["distance"] for i in familiar)


def test_model_health_description_and_metrics(site: httpx.Client, template_case: Served) -> None:
    model = conforms(site.get("/api/model"), site)
    assert model["classes"] == list(template_case.config.labels)
    assert conforms(site.get("/healthz"), site) == {"ok": True, "model": "0" * 16}
    before = _count(site, 'keepset_images_total{outcome="not_an_image"}')
    site.post("/api/predict", files=files(b"no picture", b"nor this"))
    assert _count(site, 'keepset_images_total{outcome="not_an_image"}') == before + 2
    assert _count(site, "keepset_pending_images") == 0


def _count(site: httpx.Client, name: str) -> float:
    lines = dict(x.rsplit(" ", 1) for x in site.get("/metrics").text.splitlines() if not x.startswith("#"))
    return float(lines.get(name, 0))


# -- bad input -------------------------------------------------------------------------------------


def test_every_hostile_file_is_refused_in_words_and_every_good_kind_is_taken(site: httpx.Client) -> None:
    fine_here = {"tiny", "thin"}  # too small for a data set, but there is no reason not to look at them
    bad = {k: v for k, (v, _) in BAD.items() if k not in fine_here}
    found = conforms(site.post("/api/predict", files=files(*GOOD.values(), *bad.values())), site)["items"]
    assert ["label" in i for i in found] == [True] * len(GOOD) + [False] * len(bad)
    by_name = dict(zip(bad, found[len(GOOD) :], strict=True))
    assert {by_name[n]["error"] for n in ("html", "zeros")} == {"not_an_image"}
    assert {by_name[n]["error"] for n in ("svg", "tiff")} == {"format_not_supported"}
    assert by_name["huge"]["error"] == "too_many_pixels"
    assert by_name["scans"]["error"] == "too_many_scans"
    for data in bad.values():
        alone = site.post("/api/predict", content=data, headers={"content-type": "image/png"})
        assert alone.status_code == 422
        assert conforms(alone, site)["items"][0]["message"]


# Starlette leaves a part that was cut off to the garbage collector, which closes it with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_mutated_files_and_bodies_are_never_a_500(site: httpx.Client) -> None:
    rng = np.random.default_rng(1)
    for data in [GOOD[k] for k in ("jpeg", "png", "gif", "webp", "bmp", "avif")]:
        broken = []
        for _ in range(5):
            one = bytearray(data)
            for at in rng.integers(0, len(one), 12):
                one[at] = int(rng.integers(256))
            broken.append(bytes(one))
        assert site.post("/api/predict", files=files(*broken)).status_code in (200, 422)
    form = site.build_request("POST", "/api/predict", files=files(JPEG))
    body, head = form.read(), {"content-type": form.headers["content-type"]}
    for _ in range(60):
        one = bytearray(body)
        for at in rng.integers(0, min(len(one), 300), 3):
            one[at] = int(rng.integers(256))
        cut = bytes(one[: int(rng.integers(1, len(one)))])
        answer = site.post("/api/predict", content=cut, headers=head)
        assert 200 <= answer.status_code < 500, answer.text
        conforms(answer, site)


@pytest.mark.parametrize(
    ("body", "kind", "status", "error"),
    [
        (b"", "image/png", 422, None), (b"{", "application/json", 400, "bad_json"),
        (b"[" * 100_000, "application/json", 400, "bad_json"), (b'{"url": 3}', "application/json", 400, "bad_json"),
        (b'{"urls": []}', "application/json", 400, "bad_json"), (b'{"url": "ftp://e.org/x"}', "application/json", 400, "bad_url"),
        (b'{"url": "file:///etc/passwd"}', "application/json", 400, "bad_url"), (b"\xff\xfe", "application/json", 400, "bad_json"),
        (b'{"urls": ["http://e.org", 1]}', "application/json", 400, "bad_json"), (b"x", "text/plain", 415, "unsupported_media_type"),
        (b"x", "", 415, "unsupported_media_type"), (b"x", "multipart/form-data", 400, "bad_form"),
        (b"x", "multipart/form-data; boundary=", 400, "bad_form"), (b"x", "multipart/form-data; boundary=y; charset=base64", 400, None),
        (b'--y\r\nContent-Disposition: form-data; name="url"\r\n\r\nhttp://e.org/a\r\n--y\r\n', "multipart/form-data; boundary=y", 400, "bad_form"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"), (b" " * 300_000, "application/json", 413, "too_large"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_a_code(
    site: httpx.Client, body: bytes, kind: str, status: int, error: str | None
) -> None:
    answer = site.post("/api/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    found = conforms(answer, site)
    assert error is None or found["error"] == error


@pytest.mark.parametrize("top", ["0", "-1", "x", "1001", "9" * 5000, "", "²"])
def test_a_wrong_top_is_refused(site: httpx.Client, top: str) -> None:
    answer = site.post("/api/predict", params={"top": top}, files=files(JPEG))
    assert answer.status_code == 400
    assert conforms(answer, site)["error"] == "bad_query"


def test_large_bodies_files_and_numbers_are_refused(site: httpx.Client) -> None:
    raw = {"content-type": "image/jpeg"}
    assert site.post("/api/predict", content=b"x" * 21_000_000, headers=raw).status_code == 413
    start = b'--y\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    chunks = (start if i == 0 else b"x" * 1_000_000 for i in range(70))
    form = {"content-type": "multipart/form-data; boundary=y"}
    answer = site.post("/api/predict", content=chunks, headers=form)
    assert answer.status_code == 413
    assert conforms(answer, site)["error"] == "too_large"
    one_large = conforms(site.post("/api/predict", files=files(JPEG, b"x" * 20_000_001)), site)["items"]
    assert "label" in one_large[0]
    assert one_large[1]["error"] == "too_large"
    assert site.post("/api/predict", files=files(*[JPEG] * 51)).status_code in (400, 413)
    urls = {"urls": ["http://10.0.0.1/"] * 51}
    assert conforms(site.post("/api/predict", json=urls), site)["error"] == "too_many"


def test_wrong_methods_and_paths_are_json_for_the_api(site: httpx.Client) -> None:
    answer = site.get("/api/predict")
    assert (answer.status_code, answer.json()["error"], answer.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert site.get("/api/nothing").json()["error"] == "not_found"


# -- URLs ------------------------------------------------------------------------------------------


class _Pictures(Silent):
    protocol_version = "HTTP/1.0"
    hits: list[str] = []  # noqa: RUF012 - of the class on purpose

    def do_GET(self) -> None:
        _Pictures.hits.append(self.path)
        if self.path == "/inside":
            self.send_response(302)
            self.send_header("location", "http://127.0.0.1:1/secret")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/gone" else 200)
        self.send_header("content-type", "image/jpeg")
        self.end_headers()
        self.wfile.write(b"<html>" if self.path == "/page" else JPEG)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with serving(_Pictures) as port:
        yield f"127.0.0.1:{port}"


def test_urls_are_fetched_with_the_guards_of_the_downloader(model_case: Served, elsewhere: str) -> None:
    own = config(model_case.ws.root.parent, download={"allow_private": [elsewhere]})
    _Pictures.hits.clear()
    with asking(model_case.ws.root) as c:
        answer = c.post("/api/predict", json={"url": f"http://{elsewhere}/a"})
        assert answer.json()["items"][0]["error"] == "blocked_address"
        assert _Pictures.hits == []
    model_case.ws.save_config(own)
    with asking(model_case.ws.root) as c:
        paths = ["a", "gone", "page", "inside"]
        given = {
            "urls": [f"http://{elsewhere}/{p}" for p in paths]
            + ["http://169.254.169.254/", "http://[::1]/", "http://\x00/"]
        }
        answer = c.post("/api/predict", json=given)
        found = conforms(answer, c)["items"]
        assert "label" in found[0]
        assert [i.get("error") for i in found[1:4]] == ["not_found", "not_an_image", "blocked_address"]
        assert {i["error"] for i in found[4:]} <= {"blocked_address", "bad_url", "dns_failure"}
        form = c.post("/predict", files={"file": ("", b"")}, data={"url": f"http://{elsewhere}/a"})
        assert form.status_code == 200
        assert "data:image/webp;base64," in form.text


def test_fetched_bytes_count_towards_what_may_be_in_flight(model_case: Served, elsewhere: str) -> None:
    import asyncio

    from starlette.requests import Request

    from keepset.predict.intake import UPLOADS
    from keepset.web.uploads import Intake

    body = b'{"url": "http://%s/a"}' % elsewhere.encode()

    async def take(budget: int) -> int:
        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        intake = Intake(UPLOADS, (elsewhere,), lambda _: b"", budget)
        try:
            async with intake.given(Request({"type": "http", "headers": head}, receive), form=False) as found:
                assert intake.budget.used == len(body) + len(JPEG)
                return len(found[0].data)
        finally:
            assert intake.budget.used == 0

    assert asyncio.run(take(1_000_000)) == len(JPEG)
    assert asyncio.run(take(10)) == len(JPEG)  # larger than all that there is, but alone


def test_bodies_wait_their_turn_within_bounds() -> None:
    import asyncio

    from keepset.web.budget import Budget

    async def play() -> None:
        budget, order = Budget(100, patience=PATIENCE_S, waiting=3), []

        async def settled() -> None:
            for _ in range(20):  # every task that can go on has
                await asyncio.sleep(0)

        async def ask(name: str, n: int) -> None:
            await budget.take(n)
            order.append(name)

        await ask("first", 60)
        tasks = [asyncio.create_task(ask(name, n)) for name, n in (("big", 500), ("small", 10), ("third", 10))]
        await settled()
        assert order == ["first"]  # small fits, but big was there before it
        with pytest.raises(Busy):
            await budget.take(1)  # three wait already
        tasks[2].cancel()
        await settled()
        budget.give(60)
        await settled()
        assert (order, budget.used) == (["first", "big"], 500)
        budget.give(500)
        await tasks[1]
        assert (order[-1], budget.used, budget.waiting) == ("small", 10, 0)
        hurried = Budget(10, patience=0.01, waiting=3)
        await hurried.take(10)
        with pytest.raises(Busy):
            await hurried.take(1)

    asyncio.run(play())


# -- load ------------------------------------------------------------------------------------------


def test_many_at_once_are_answered_right_and_in_their_order(model_case: Served) -> None:
    service = Service(model_case.ws, QueueOptions(workers=2, patience=PATIENCE_S))
    try:
        serving = service.model()
        wanted = [p.label for p in serving.predictor.predict(model_case.pictures)]
        found = [f.result().prediction.label for f in service.submit(serving, model_case.pictures * 4)]
        assert found == wanted * 4
    finally:
        service.close()


def test_too_much_work_is_refused_at_once_and_all_that_was_taken_is_answered(model_case: Served) -> None:
    service = Service(model_case.ws, QueueOptions(workers=1, capacity=6, patience=PATIENCE_S, decode=PATIENCE_S))
    try:
        serving = service.model()
        taken = service.submit(serving, [_big_png(), *model_case.pictures[:5]])  # none is done before the first
        with pytest.raises(Busy) as e:  # one that waited for room would be taken
            service.submit(serving, model_case.pictures[:1])
        assert 1 <= e.value.retry_after <= 30
        assert all(f.result().prediction.label for f in taken)
        assert service.submit(serving, model_case.pictures[:6])[5].result()
    finally:
        service.close()
    with pytest.raises(Busy):
        service.submit(serving, model_case.pictures[:1])


def test_overload_gives_only_answers_and_503s(template_case: Served) -> None:
    with served(template_case.ws.root) as url, ThreadPoolExecutor(24) as pool:

        def ask(i: int) -> httpx.Response:
            with client(url) as c:
                return c.post("/api/predict", files=files(*template_case.pictures[:12]))

        answers = list(pool.map(ask, range(48)))
    statuses = [a.status_code for a in answers]
    assert set(statuses) == {200, 503}
    busy = answers[statuses.index(503)]
    assert busy.json()["error"] == "busy"
    assert int(busy.headers["retry-after"]) >= 1


def _big_png() -> bytes:
    """49 million pixels in 870 kB: within the caps, and about a second of decoding."""
    from PIL import Image

    return saved(Image.new("RGBA", (7000, 7000), (3, 4, 5, 6)), "PNG", compress_level=1)


def _reason(service: Service, data: bytes) -> ImageReason | None:
    try:
        service.submit(service.model(), [data])[0].result()
    except Refused as e:
        return ImageReason(e.reason)
    return None


def _answers_soon(service: Service) -> bool:
    """A worker may have to start first."""
    until = time.monotonic() + PATIENCE_S
    while (reason := _reason(service, JPEG)) is not None:
        assert reason == ImageReason.TIMEOUT
        assert time.monotonic() < until
    return True


def _is_answered(service: Service) -> bool:
    with contextlib.suppress(Busy):
        return _reason(service, JPEG) is None
    return False


def test_a_stuck_or_greedy_decoder_is_stopped_and_the_next_picture_is_answered(model_case: Served) -> None:
    service = Service(model_case.ws, QueueOptions(workers=1, decode=0.4))
    try:
        assert _answers_soon(service)
        assert _reason(service, _big_png()) == ImageReason.TIMEOUT
        assert _answers_soon(service)
    finally:
        service.close()
    service = Service(model_case.ws, QueueOptions(workers=1, decode_mb=170))
    try:
        assert [_reason(service, _big_png()), _reason(service, JPEG)] == [ImageReason.MEMORY, None]
    finally:
        service.close()


def test_what_waited_too_long_is_refused_not_done(model_case: Served) -> None:
    service = Service(model_case.ws, QueueOptions(workers=1, patience=0.5))
    try:
        waiting = service.submit(service.model(), [_big_png(), _big_png(), JPEG])
        with pytest.raises(Busy):
            waiting[2].result()
        wait_for(lambda: _is_answered(service), "the next picture to be answered")
    finally:
        service.close()


# -- which model -----------------------------------------------------------------------------------


def test_a_promotion_swaps_the_model_without_a_lost_request(model_case: Served) -> None:
    answers: list[httpx.Response] = []
    done = threading.Event()

    def keep_asking(url: str) -> None:
        with client(url) as c:
            while not done.is_set():
                answers.append(c.post("/api/predict", files=files(*model_case.pictures[:2])))

    def answers_of(model_id: str) -> int:
        return sum(a.is_success and a.json()["model"]["id"] == model_id for a in list(answers))

    model_case.add("1" * 16, seed=1)
    model_case.ws.promote("0" * 16, "not yet")
    with asking(model_case.ws.root) as c:
        assert c.get("/api/model").json()["id"] == "0" * 16
        threads = [threading.Thread(target=keep_asking, args=(str(c.base_url),)) for _ in range(3)]
        for t in threads:
            t.start()
        wait_for(lambda: answers_of("0" * 16) > 0, "an answer of the old model")
        model_case.ws.promote("1" * 16, "better")
        wait_for(lambda: answers_of("1" * 16) > 2, "answers of the new one")
        assert c.get("/healthz").json()["model"] == "1" * 16
        done.set()
        for t in threads:
            t.join()
    assert {a.status_code for a in answers} == {200}
    assert {a.json()["model"]["id"] for a in answers} == {"0" * 16, "1" * 16}
    said = [a.json() for a in answers]
    for model_id in ("0" * 16, "1" * 16):  # an answer is of the model it names
        wanted = load(model_case.ws.models / model_id).predict(model_case.pictures[:2])
        for items in (d["items"] for d in said if d["model"]["id"] == model_id):
            assert [i["label"] for i in items] == [w.label for w in wanted]
            assert items[0]["probability"] == pytest.approx(wanted[0].probability, abs=1e-4)


def test_a_damaged_promotion_leaves_the_old_model_in_use(model_case: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[None] = []
    refresh = Service.refresh
    monkeypatch.setattr(Service, "refresh", lambda self: (refresh(self), looked.append(None)))
    monkeypatch.setattr("keepset.predict.serving.WATCH_S", 0.02)
    with asking(model_case.ws.root) as c:
        assert c.get("/api/model").status_code == 200
        broken = model_case.ws.models / ("2" * 16)
        broken.mkdir()
        (broken / "model.onnx").write_bytes(b"nonsense")
        for damage in ({"model_id": "2" * 16}, {"model_id": "3" * 16}, {"nothing": 1}, [], "x"):
            write_json(model_case.ws.models / "promoted.json", damage)
            seen = len(looked)
            wait_for(lambda n=seen: len(looked) > n + 1, "the service to have looked at it", every_s=0.02)
            assert c.post("/api/predict", files=files(JPEG)).json()["model"]["id"] == "0" * 16
            assert c.get("/healthz").status_code == 200
    with asking(model_case.ws.root) as c:  # and without an old one it says so
        answer = c.post("/api/predict", files=files(JPEG))
        assert answer.status_code == 503
        assert conforms(answer, c)["remedy"]
        assert c.get("/healthz").status_code == 200


def test_without_a_model_it_says_what_to_do_until_there_is_one(model_case: Served, tmp_path: Path) -> None:
    ws = model_case.ws
    (ws.models / "promoted.json").rename(tmp_path / "promoted.json")
    with asking(ws.root) as c:
        for answer in (c.post("/api/predict", files=files(JPEG)), c.get("/api/model")):
            assert answer.status_code == 503
            found = conforms(answer, c)
            assert "no model in use" in found["message"]
            assert "keepset train" in found["remedy"]
        page = c.get("/predict")
        assert page.status_code == 200
        assert "keepset train" in page.text
        assert conforms(c.get("/healthz"), c) == {"ok": True, "model": None}
        ws.promote("0" * 16, "ready")
        assert c.post("/api/predict", files=files(JPEG)).status_code == 200


# -- security --------------------------------------------------------------------------------------


def test_a_token_guards_prediction_by_header_or_cookie(template_case: Served) -> None:
    with asking(template_case.ws.root, "geheim") as c:
        for path in ("/api/model", "/metrics", "/predict", "/openapi.json"):
            assert c.get(path).status_code == 401
        refused = c.post("/api/predict", files=files(JPEG))
        assert (refused.status_code, refused.json()["error"]) == (401, "token_needed")
        assert c.post("/api/predict", files=files(JPEG), headers={"authorization": "Bearer no"}).status_code == 401
        head = {"authorization": "Bearer geheim"}
        assert c.post("/api/predict", files=files(JPEG), headers=head).status_code == 200
        assert c.get("/predict", headers={"cookie": f"{COOKIE}=geheim"}).status_code == 200
        assert c.get("/healthz").status_code == 200


def test_other_sites_and_host_names_are_refused(site: httpx.Client) -> None:
    for headers, status in (({"sec-fetch-site": "cross-site"}, 403), ({"origin": "http://evil.example"}, 403),
                            ({"host": "evil.example"}, 421)):  # fmt: skip
        answer = site.post("/api/predict", files=files(JPEG), headers=headers)
        assert answer.status_code == status
        assert conforms(answer, site)["message"]


def test_the_page_shows_strangers_text_as_text_and_nothing_inline(site: httpx.Client) -> None:
    evil = "<img src=x onerror=alert(1)>.jpg"
    page = site.post("/predict", files=[("file", (evil, JPEG, "image/jpeg")), ("file", (evil, b"no", "image/jpeg"))])
    assert page.status_code == 200
    assert "<img src=x" not in page.text
    assert "&lt;img src=x" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for word in ("<script>", "style=", "onclick", "javascript:"):
        assert word not in page.text
    assert b"alert(1)" not in site.post("/predict", files=files(GOOD["comment"])).content  # pixels alone come back


def test_a_half_sent_body_holds_nothing_up(site: httpx.Client) -> None:
    host, port = site.base_url.host, site.base_url.port
    assert port
    head = (
        f"POST /api/predict HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n"
    )
    with socket.create_connection((host, port)) as s:
        s.sendall(head.encode() + b"x" * 10)
        assert site.post("/api/predict", files=files(JPEG)).status_code == 200
    assert site.post("/api/predict", files=files(JPEG)).status_code == 200
