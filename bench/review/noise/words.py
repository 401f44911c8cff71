"""Words for made-up web graphics: titles about a class, and filler for everything else."""

from __future__ import annotations

import random

__all__ = ["brand", "bullet", "label_words", "paragraph", "sentence", "slogan", "title"]

_NOUNS = [
    "season",
    "market",
    "story",
    "garden",
    "river",
    "family",
    "weekend",
    "holiday",
    "winter",
    "summer",
    "forest",
    "village",
    "kitchen",
    "studio",
    "museum",
    "library",
    "school",
    "project",
    "habitat",
    "weight",
    "length",
    "colour",
    "pattern",
    "number",
    "question",
    "answer",
    "reason",
    "method",
    "history",
    "culture",
    "science",
    "nature",
    "travel",
    "health",
    "energy",
    "water",
    "season",
    "photo",
    "record",
    "office",
    "center",
    "system",
    "program",
    "update",
    "review",
    "country",
    "region",
]
_VERBS = [
    "discover",
    "learn",
    "choose",
    "build",
    "find",
    "compare",
    "explore",
    "share",
    "watch",
    "collect",
    "make",
    "protect",
    "visit",
    "understand",
    "try",
]
_ADJECTIVES = [
    "new",
    "simple",
    "complete",
    "wild",
    "little",
    "modern",
    "classic",
    "official",
    "free",
    "best",
    "famous",
    "rare",
    "daily",
    "common",
    "northern",
    "golden",
    "happy",
    "secret",
    "ultimate",
    "easy",
    "small",
    "large",
    "perfect",
    "annual",
    "global",
    "local",
]
_SHORT = ["of", "the", "in", "for", "with", "and", "to", "from", "by", "on", "at", "your", "our", "this", "every"]
_CYRILLIC = ("Новости дня", "Как это сделать", "Большая история", "Лучшие советы", "С праздником", "Скидка сегодня")
_TITLES = (
    "{Class}", "{CLASS}", "Top {n} {Class} facts", "How to draw a {class}", "{Class} vs {Other}", "All about {class}",
    "The complete {class} guide", "Happy {Class} Day!", "{Class} identification", "{n} types of {class}",
    "{CLASS} SALE", "Know your {class}", "The {class} book", "What is a {class}?", "{Class}: {noun} and {noun}",
    "My first {class}", "{Adjective} {class}", "Meet the {class}", "{Class} {noun} {year}", "Save the {class}",
    "I love {class}", "The {adjective} {noun}", "{Verb} the {noun}", "{Adjective} {noun} {year}", "{Class} worksheet",
)  # fmt: skip
_SLOGANS = (
    "Shop now", "{n} % OFF", "Read more", "Free shipping", "Only today", "Join us", "Sign up free", "Limited edition",
    "Since {year}", "www.{brand}.com", "{Verb} more", "New!", "Order online", "Get the app", "#{brand}", "Part {n}",
)  # fmt: skip


def _fill(pattern: str, rng: random.Random, label: str, other: str) -> str:
    facts = {
        "class": label.lower(), "Class": label.capitalize(), "CLASS": label.upper(), "Other": other.capitalize(),
        "n": str(rng.choice([3, 5, 7, 8, 10, 12, 20, 25, 30, 50, 70])), "year": str(rng.randint(1972, 2026)),
        "brand": brand(rng).lower().replace(" ", ""), "noun": rng.choice(_NOUNS), "verb": rng.choice(_VERBS),
        "Verb": rng.choice(_VERBS).capitalize(), "adjective": rng.choice(_ADJECTIVES),
        "Adjective": rng.choice(_ADJECTIVES).capitalize(),
    }  # fmt: skip
    return pattern.format(**facts)


def label_words(label: str) -> str:
    return label.replace("_", " ").replace("-", " ")


def title(rng: random.Random, label: str, other: str) -> str:
    if rng.random() < 0.06:
        return rng.choice(_CYRILLIC)
    return _fill(rng.choice(_TITLES), rng, label_words(label), label_words(other))


def slogan(rng: random.Random) -> str:
    return _fill(rng.choice(_SLOGANS), rng, "", "")


def brand(rng: random.Random) -> str:
    parts = rng.sample(
        ["north", "pix", "honey", "blue", "wiki", "land", "press", "kids", "craft", "zoo", "pro", "lab"], 2
    )
    return "".join(parts).capitalize()


def bullet(rng: random.Random, most: int = 6) -> str:
    words = [
        rng.choice(_NOUNS + _ADJECTIVES) if i % 2 else rng.choice(_SHORT + _VERBS) for i in range(rng.randint(2, most))
    ]
    return " ".join(words).capitalize()


def sentence(rng: random.Random) -> str:
    return bullet(rng, 14) + "."


def paragraph(rng: random.Random, sentences: int) -> str:
    return " ".join(sentence(rng) for _ in range(sentences))
