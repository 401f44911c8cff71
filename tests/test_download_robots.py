from __future__ import annotations

import pytest

from keepset.download.robots import Rules, parse

FILE = """\ufeff# for everybody
User-agent: *
Disallow: /private
Allow: /private/open
Disallow: /*.gif$   # no animations

User-Agent: Keepset
User-agent: other
Disallow: /only-for-us?
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", True), ("/private", False), ("/private/x.jpg", False), ("/private/open/x.jpg", True),
        ("/a/b.gif", False), ("/a/b.gif?x=1", True), ("/only-for-us?x", True),
    ],
)  # fmt: skip
def test_the_longest_rule_decides(path: str, allowed: bool) -> None:
    assert parse(FILE, "somebody").allow(path) is allowed


def test_the_group_with_our_name_is_the_one_that_counts() -> None:
    ours = parse(FILE, "keepset")
    assert ours.allow("/private/x.jpg")
    assert not ours.allow("/only-for-us?x=1")
    assert ours == parse(FILE, "other")


def test_an_empty_disallow_and_an_empty_file_allow_all() -> None:
    assert parse("User-agent: *\nDisallow:\n", "keepset").allow("/x")
    assert parse("", "keepset").allow("/x")
    assert parse("<!doctype html><title>no such page</title>", "keepset") == Rules()


def test_of_equal_rules_the_one_that_allows_wins() -> None:
    assert parse("User-agent: *\nDisallow: /x\nAllow: /x\n", "keepset").allow("/x")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/a*b$", "/ab", True), ("/a*b$", "/a/b/c/b", True), ("/a*b$", "/abc", False), ("/aba*ba$", "/aba", False),
        ("/a*b*c", "/a1c2b", False), ("/a*b*c", "/a1b2c3", True), ("/x$", "/x", True), ("/x$", "/x/", False),
    ],
)  # fmt: skip
def test_stars_and_ends(pattern: str, path: str, matches: bool) -> None:
    assert parse(f"User-agent: *\nDisallow: {pattern}\n", "keepset").allow(path) is not matches


@pytest.mark.timeout(60)  # tried every way, it would never end
def test_a_hostile_pattern_costs_nothing() -> None:
    rules = parse("User-agent: *\n" + f"Disallow: {'*a' * 200}*b$\n" * 50, "keepset")
    assert rules.allow("/" + "a" * 2000)
