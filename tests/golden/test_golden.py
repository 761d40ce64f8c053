"""What was true of version 0.1.0 and is to stay so: digests, keys, options, documents, and what old caches give.

The golden files and how to write them anew: `make.py`.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this one

from chapters import CHAPTERS, MINI, Pages, golden
from place import ORIGIN, no_encoder, standing_in


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Callable[[str], Pages]:
    """Writes a chapter, once; where a command in it fails, so do all of its pages."""
    chapters: dict[str, Pages | None] = {}

    def write(chapter: str) -> Pages:
        if chapter not in chapters:
            chapters[chapter] = None
            with standing_in(tmp_path_factory.mktemp(chapter)) as place:
                chapters[chapter] = CHAPTERS[chapter](place)
        pages = chapters[chapter]
        if pages is None:
            pytest.fail(f"a command in the chapter {chapter} failed: see its first page")
        return pages

    return write


def pages_of(chapter: str):
    return pytest.mark.parametrize("page", list(golden(chapter)), ids=str)


def assert_same(found: Any, expected: Any) -> None:
    """The same keys in the same order and the same values; floats to 5 digits behind the point, losses to 3."""
    found, expected = dict(leaves(found)), dict(leaves(expected))
    assert list(found) == list(expected)
    assert {where: value for where, value in found.items() if value != close_to(where, expected[where])} == {}


def close_to(where: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return pytest.approx(value, rel=1e-3) if ".losses." in where else pytest.approx(value, rel=0, abs=1e-5)


def leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values of a document, each with the way to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not inner:
        yield where, value
    for key, one in inner or ():
        yield from leaves(one, f"{where}.{key}")


@pages_of("plans")
def test_models_and_data_sets_keep_their_digests_keys_and_store_names(written, page):
    assert_same(written("plans")[page], golden("plans")[page])


@pages_of("options")
def test_commands_keep_their_arguments_and_options(written, page):
    assert_same(written("options")[page], golden("options")[page])


@pages_of("printed")
def test_commands_print_the_same_documents_and_name_and_describe_what_they_store_alike(written, page):
    assert_same(written("printed")[page], golden("printed")[page])


@pages_of("cached")
def test_an_old_cache_gives_the_same_heads_scores_and_predictions(written, page):
    assert_same(written("cached")[page], golden("cached")[page])


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_there_is_nothing_but_what_is_golden(written, chapter):
    assert list(written(chapter)) == list(golden(chapter))


def test_nothing_of_an_old_cache_is_encoded_or_fitted_again():
    pages = golden("cached")
    stores = [one for title in pages if title.startswith("plan of ") for one in pages[title]["stores"]]
    assert len(stores) == 9
    assert {one["missing"] for one in stores} == {0}
    assert [one["is_new"] for title in pages if title.startswith("known ") for one in pages[title]] == [False] * 4
    assert [one["encoded"] for title, one in pages.items() if title.endswith("extracted elsewhere")] == [0, 0]


def test_a_loaded_encoder_would_be_noticed(tmp_path):
    uncached = ("evaluate", f"{ORIGIN}/labelled", *MINI, "--head=none", "--prompts=mine.txt")
    with standing_in(tmp_path) as place:
        place.use_cache("old")
        Path("mine.txt").write_text("the face of {class}", encoding="utf-8")
        place.invoke(*uncached, "--cached-only", code=2)
        with pytest.raises(AssertionError), no_encoder():
            place.invoke(*uncached)
        place.invoke(*uncached)
