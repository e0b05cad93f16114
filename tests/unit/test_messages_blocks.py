"""wire/messages_blocks.py: what a stream and a whole answer of Messages have in common: usage, web searches."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from mitmcodex.wire.codec import ReplyContext
from mitmcodex.wire.messages_blocks import Searches, citation_of, cleaned, image_text, input_of, usage_of
from mitmcodex.wire.writer import usage

JSON = dict[str, Any]


def context() -> ReplyContext:
    ids = count()
    return ReplyContext(
        model="asked", account=lambda: "acct", input_tokens=lambda: 7, new_id=lambda: f"{next(ids):032x}"
    )


@pytest.mark.parametrize(
    ("told", "made"),
    [
        (usage(120, 30, cached=100, cache_write=8), (12, 8, 100, 30)),
        (usage(50, 1, cached=60), (0, 0, 60, 1)),
        (None, (7, 0, 0, 0)),
        ({"input_tokens": "x", "input_tokens_details": None}, (0, 0, 0, 0)),
    ],
)
def test_usage(told, made):
    """conformance 43, 50, pains P34: cached input is not counted twice and never below 0; unknown is estimated."""
    got = usage_of({"usage": told}, context(), 0)
    keys = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    assert tuple(got[key] for key in keys) == made
    assert "server_tool_use" not in got


def test_thoughts_are_part_of_the_output():
    """clients.md claude-code: their number is told where the upstream tells it; Claude Code shows it."""
    got = usage_of({"usage": usage(1, 30, reasoning=10)}, context(), 0)
    assert (got["output_tokens"], got["output_tokens_details"]) == (30, {"thinking_tokens": 10})
    assert "output_tokens_details" not in usage_of({"usage": {"output_tokens": 1}}, context(), 0)


def test_searches_are_counted():
    """conformance 51, pains P51: with the keys that the SDK's type demands."""
    told = usage_of({"usage": None}, context(), 2)["server_tool_use"]
    assert told == {"web_search_requests": 2, "web_fetch_requests": 0}


@pytest.mark.parametrize(
    ("arguments", "given"),
    [("", {}), (" ", {}), ('{"a":1}', {"a": 1}), ('{"a"', None), ("[1]", None), ("[" * 99999, None)],
)
def test_arguments_are_an_object(arguments, given):
    """conformance 45: nothing is {}, anything else is refused."""
    assert input_of(arguments) == given


def test_only_read_is_cleaned():
    """conformance 53: and of an empty ``pages`` alone."""
    assert cleaned("Read", {"pages": "", "a": ""}) == {"a": ""}
    assert cleaned("Read", {"pages": "1"}) == {"pages": "1"}
    assert cleaned("Other", {"pages": ""}) == {"pages": ""}


def test_an_image_is_shown_as_markdown():
    """What the protocol has no block for is not lost."""
    assert image_text({"result": "iVBO", "output_format": "webp"}) == "![image](data:image/webp;base64,iVBO)"
    assert image_text({"result": None}) == ""


CITATION = {"type": "url_citation", "start_index": 1, "end_index": 3, "url": "http://127.0.0.1/a", "title": "A"}


def test_a_citation_quotes_by_code_points():
    """conformance 51: indexes count characters; what is no page is no citation."""
    made = citation_of(CITATION, "🎉abc")
    assert made is not None and (made["type"], made["cited_text"]) == ("web_search_result_location", "ab")
    assert citation_of({"type": "file_citation", "file_id": "f"}, "x") is None
    assert citation_of({"type": "url_citation"}, "x") is None


def search(**fields: Any) -> JSON:
    return {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}, **fields}


def test_a_result_waits_for_the_citations():
    """conformance 51: each search has one result; the last before a text gets its pages, each page once."""
    searches = Searches(context())
    uses = searches.called(search()) + searches.called(search())
    assert [use["type"] for use in uses] == ["server_tool_use"] * 2
    cited = citation_of(CITATION, "")
    assert cited is not None
    searches.cited(cited)
    searches.cited(cited)
    results = searches.results()
    assert [result["tool_use_id"] for result in results] == [use["id"] for use in uses]
    assert all(use["id"].startswith("srvtoolu_") for use in uses)
    assert [[page["url"] for page in result["content"]] for result in results] == [[], ["http://127.0.0.1/a"]]
    assert searches.results() == []


def test_listed_sources_are_the_result():
    """conformance 51: then it needs no text, and comes at once."""
    sources = [{"type": "url", "url": "http://127.0.0.1/s"}]
    item = search(action={"type": "search", "queries": ["q"], "sources": sources})
    use, result = Searches(context()).called(item)
    assert (use["input"], result["content"][0]["url"]) == ({"query": "q"}, "http://127.0.0.1/s")


def test_a_failed_search_has_an_error_as_result():
    """conformance 51: paired too."""
    use, result = Searches(context()).called(search(status="failed"))
    assert result["tool_use_id"] == use["id"]
    assert result["content"] == {"type": "web_search_tool_result_error", "error_code": "unavailable"}


def test_opening_a_page_is_no_search():
    """It is neither shown nor counted."""
    searches = Searches(context())
    assert searches.called(search(action={"type": "open_page", "url": "http://127.0.0.1/"})) == []
    assert searches.count == 0
