"""The API's description, OpenAPI 3.1, written by hand next to the numbers it promises."""

from __future__ import annotations

from typing import Any

from keepset import __version__
from keepset.predict.intake import Limits

__all__ = ["TOP", "TOP_MOST", "describe"]

TOP, TOP_MOST = 5, 1000
Json = dict[str, Any]


def describe(limits: Limits, most: int, longest_url: int) -> Json:
    """The whole document. ``most``: pictures a request; ``longest_url`` in characters."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keepset prediction", "version": __version__,
            "description": "What is on a picture, by the model in use. Probabilities are calibrated.",
        },
        "security": [{}, {"bearer": []}, {"cookie": []}],
        "paths": {
            "/api/predict": {"post": _predict(limits, most, longest_url)},
            "/api/corrections": {"post": _correct(limits, longest_url)},
            "/api/model": {"get": _get("The model in use.", "Model", {"503": "There is no model in use yet."})},
            "/healthz": {"get": {**_get("Whether the server runs; needs no token.", "Health", {}), "security": []}},
            "/metrics": {"get": _metrics()},
            "/openapi.json": {"get": {
                "operationId": "openapi", "summary": "This document.",
                "responses": {"200": _json("This document.", {"type": "object"}), **_guarded()},
            }},
        },
        "components": {
            "schemas": _schemas(most),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "keepset_token"},
            },
        },
    }  # fmt: skip


def _predict(limits: Limits, most: int, longest_url: int) -> Json:
    url = {"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://", "maxLength": longest_url}
    urls = {"type": "array", "items": url, "minItems": 1, "maxItems": most}
    file = {"type": "string", "contentMediaType": "application/octet-stream", "minLength": 1}
    one = {"type": "object", "required": ["url"], "properties": {"url": url}, "additionalProperties": False}
    many = {
        "type": "object",
        "required": ["urls"],
        "properties": {"urls": urls},
        "additionalProperties": False,
    }
    form = {
        "type": "object", "properties": {"file": {"type": "array", "items": file, "minItems": 1, "maxItems": most}},
        "required": ["file"],
    }  # fmt: skip
    raw = {
        "schema": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "maxLength": limits.max_bytes,
        }
    }
    return {
        "operationId": "predict",
        "summary": "Predict pictures: files of a form, the bytes of one picture, or URLs.",
        "description": (
            f"At most {most} pictures; each of at most {limits.max_bytes} bytes and {limits.max_pixels} pixels, "
            f"in one of {', '.join(limits.formats)}. In a form every file is a picture, whatever its field is "
            "called, and fields named `url` are URLs. Pictures that cannot be predicted have `error` and `message` "
            "instead of a label; if there is no other, the status is 422."
        ),
        "parameters": [
            {
                "name": "top", "in": "query", "description": "How many classes to list.",
                "schema": {"type": "integer", "minimum": 1, "maximum": TOP_MOST, "default": TOP},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": {"oneOf": [one, many]}},
                "image/*": raw,
                "application/octet-stream": raw,
            },
        },
        "responses": {
            "200": _json("At least one picture was predicted.", _ref("Predictions")),
            "400": _error("The request cannot be read: `bad_form`, `bad_json`, `bad_url`, `bad_query`, `nothing_given`."),
            **_guarded(),
            "403": _error("A browser sent it from another site: `other_site`."),
            "408": _error("The body did not come in time: `too_slow`."),
            "413": _error("The body or the number of pictures is too large: `too_large`, `too_many`."),
            "415": _error("The body's media type is not taken: `unsupported_media_type`."),
            "422": _json("None of the pictures could be predicted.", _ref("Predictions")),
            "503": {
                **_error("There is no model in use yet (`ModelError`), or too much work is waiting (`busy`)."),
                "headers": _retry(),
            },
        },
    }  # fmt: skip


def _correct(limits: Limits, longest_url: int) -> Json:
    form = {
        "type": "object", "required": ["file", "label", "consent"],
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream", "minLength": 1,
                     "maxLength": limits.max_bytes},
            "label": {"type": "string", "minLength": 1, "description": "A class of the model, other than it says."},
            "consent": {"const": "yes", "description": "The sender agrees to what the page says about keeping it."},
            "who": {"type": "string", "maxLength": 100, "description": "A name for the reviewer, if wanted."},
        },
    }  # fmt: skip
    return {
        "operationId": "correct",
        "summary": "Say what a picture really shows; a reviewer decides about it with the next cleaning batch.",
        "description": (
            "Only where `[inbox] enabled` is on. The picture is predicted again. Instead of `file` a form may have "
            f"`url`, of at most {longest_url} characters."
        ),
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {
            "201": _json("Kept for the reviewer.", _ref("Correction")),
            "400": _error("`bad_form`, `bad_label`, `bad_url`, `no_consent`, `nothing_given`, `too_many`."),
            **_guarded(),
            "403": _error("Corrections are not taken here, or a browser sent it from another site: `inbox_off`, `other_site`."),
            "408": _error("The body did not come in time: `too_slow`."),
            "409": _error("The model says the same: `no_correction`."),
            "413": _error("The body is too large: `too_large`."),
            "415": _error("The body is not multipart/form-data: `unsupported_media_type`."),
            "422": _error("The picture cannot be used; the reason is the code."),
            "429": {**_error("More corrections than are taken: `too_many_corrections`."), "headers": _retry()},
            "503": {**_error("No model is in use yet (`ModelError`), or too much work is waiting (`busy`)."), "headers": _retry()},
            "507": _error("The inbox is full until a reviewer has decided: `inbox_full`."),
        },
    }  # fmt: skip


def _retry() -> Json:
    return {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def _get(summary: str, schema: str, troubles: dict[str, str]) -> Json:
    refused = {code: _error(words) for code, words in troubles.items()}
    return {
        "operationId": schema.lower(),
        "summary": summary,
        "responses": {"200": _json(summary, _ref(schema)), **_guarded(), **refused},
    }


def _metrics() -> Json:
    text = {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "operationId": "metrics",
        "summary": "Counters for Prometheus.",
        "responses": {"200": text, **_guarded()},
    }


def _guarded() -> Json:
    return {
        "401": _error("A token is set, and the request has none: `token_needed`."),
        "421": _error("This host name is not served here: `wrong_host`."),
    }


def _error(words: str) -> Json:
    media = {"application/json": {"schema": _ref("Error")}, "text/plain": {"schema": {"type": "string"}}}
    return {"description": words, "content": media}


def _json(words: str, schema: Json) -> Json:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    required = [p for p in properties if p not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _schemas(most: int) -> Json:
    text, share = {"type": "string"}, {"type": "number", "minimum": 0, "maximum": 1}
    whole, sizes = {"type": "integer"}, {"type": "array", "items": {"type": "number"}}
    ranked = _object({"label": text, "probability": share})
    answered = {
        "name": text | {"description": "File name, URL, or `body`."}, "label": text, "probability": share,
        "unsure": {"type": "boolean", "description": "The best class is under the model's threshold."},
        "unfamiliar": {"type": "boolean", "description": "Unlike the training pictures: it may show no class at all."},
        "distance": {
            "type": "number", "description": "Mean cosine distance to the 5 nearest training pictures, 0 to 2.",
        },
        "top": {"type": "array", "items": ranked, "description": "The likeliest classes first."},
    }  # fmt: skip
    model = {"id": text, "revision": whole | {"description": "Of the data set it was trained on."}}
    preprocess = {"resize": whole, "crop": whole, "mean": sizes, "std": sizes, "interpolation": text}
    return {
        "Error": _object({"error": text | {"description": "A stable code."}, "message": text, "remedy": text}),
        "Predictions": _object({
            "model": _object(model),
            "items": {"type": "array", "minItems": 1, "maxItems": most, "items": {
                "oneOf": [_object(answered), _object({"name": text, "error": text, "message": text})],
            }},
        }),
        "Correction": _object({
            "sha256": text, "known": {"type": "boolean", "description": "The data set holds this picture already."},
            "predicted": text, "label": text,
        }),
        "Model": _object({
            **model, "classes": {"type": "array", "items": text}, "arch": text, "unsure_below": share,
            "unfamiliar_over": {"type": "number"}, "preprocess": _object(preprocess),
            "valid": {"type": "object", "description": "Errors and loss on the validation set."}, "created_at": text,
        }),
        "Health": _object({
            "ok": {"const": True}, "model": {"type": ["string", "null"], "description": "Id of the model in use."},
        }),
    }  # fmt: skip
