"""groundingMetadata of searches and citations."""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.gemini_grounding import Grounding


def message(text: str, *spans: tuple[int, int, str]) -> dict[str, Any]:
    annotations = [{"type": "url_citation", "start_index": a, "end_index": b, "url": url} for a, b, url in spans]
    return {"content": [{"type": "output_text", "text": text, "annotations": annotations}]}


def test_nothing_was_searched():
    """No metadata then."""
    made = Grounding()
    made.read_message(message("Hi"))
    assert made.metadata() == {}


def test_positions_are_bytes():
    """conformance 15: annotations count characters, Google bytes of UTF-8, over all texts of the answer."""
    made = Grounding()
    made.read_message(message("é🎉"))
    made.read_message(message("🎉 page", (2, 6, "http://a")))
    segment = made.metadata()["groundingSupports"][0]["segment"]
    assert (segment["startIndex"], segment["endIndex"], segment["text"]) == (6 + 5, 6 + 9, "page")


def test_each_page_once():
    """Supports point to the pages by number."""
    made = Grounding()
    made.read_message(message("abc", (0, 1, "http://a"), (1, 2, "http://b"), (2, 3, "http://a")))
    told = made.metadata()
    assert [page["web"]["uri"] for page in told["groundingChunks"]] == ["http://a", "http://b"]
    assert [one["groundingChunkIndices"] for one in told["groundingSupports"]] == [[0], [1], [0]]


def test_queries():
    """Those of searches that found something; what is broken is left out."""
    made = Grounding()
    made.read_search({"status": "completed", "action": {"query": "q", "queries": ["a", 1, "b"]}})
    made.read_search({"status": "completed", "action": {"query": "c"}})
    made.read_search({"status": "failed", "action": {"query": "d"}})
    made.read_search({"action": None})
    made.read_search({"action": {"queries": "x"}})
    assert made.metadata()["webSearchQueries"] == ["a", "b", "c"]


def test_broken_annotations():
    """Positions outside the text are moved into it, what has no address is left out."""
    made = Grounding()
    made.read_message(message("abc", (-5, 99, "http://a")))
    made.read_message({"content": [{"text": "x", "annotations": [1, {"url": 1}]}, 1, {"text": None}]})
    made.read_message({"content": None})
    assert [one["segment"]["text"] for one in made.metadata()["groundingSupports"]] == ["abc"]
