"""Messages, encode: what a stream and a whole answer have in common (conformance 45 to 47, 50, 51)."""

from __future__ import annotations

import json

from mitmcodex.wire.codec import STOP_KEY, ReplyContext
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.lenient import number_at
from mitmcodex.wire.sealing import seal
from mitmcodex.wire.shapes import Fields

_CUT_REASONS = {
    "content_filter": "refusal",
    "model_context_window_exceeded": "model_context_window_exceeded",
    "context_length_exceeded": "model_context_window_exceeded",
}
"""``incomplete_details.reason`` → ``stop_reason``; any other is max_tokens."""


def stop_of(response: Fields, *, has_call: bool, has_refusal: bool) -> Fields:
    """``stop_reason`` and ``stop_sequence``. ``has_call``: a complete one."""
    sequence = response.get(STOP_KEY)
    if sequence is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        told = details.get("reason") if isinstance(details, dict) else None
        reason = _CUT_REASONS.get(str(told), "max_tokens")
    elif has_refusal:
        reason = "refusal"
    else:
        reason = "tool_use" if has_call else "end_turn"
    return {"stop_reason": reason, "stop_sequence": None}


def usage_of(response: Fields, context: ReplyContext, searches: int) -> Fields:
    """Here cached input is not part of ``input_tokens``. Without the upstream's numbers the input is an estimate."""
    told = response.get("usage")
    usage: Fields = told if isinstance(told, dict) else {"input_tokens": context.input_tokens()}
    details = usage.get("input_tokens_details")
    cached, written = (number_at(details, key) for key in ("cached_tokens", "cache_write_tokens"))
    made: Fields = {
        "input_tokens": max(0, number_at(usage, "input_tokens") - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": number_at(usage, "output_tokens"),
    }
    thought = usage.get("output_tokens_details")
    if isinstance(thought, dict) and "reasoning_tokens" in thought:
        made["output_tokens_details"] = {"thinking_tokens": number_at(thought, "reasoning_tokens")}
    if searches:
        made["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
    return made


# -- calls ----------------------------------------------------------------------------------------


def input_of(arguments: str) -> Fields | None:
    """A call's arguments as an object, {} when it has none; None when they are no JSON object."""
    try:
        found = json.loads(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_checked(name: str) -> bool:
    """Whether a call's input must be whole before it can go out: see ``cleaned``."""
    return name == "Read"


def cleaned(name: str, given: Fields) -> Fields:
    """Claude Code's Read refuses an empty ``pages``, which models like to give (conformance 53)."""
    if is_checked(name) and given.get("pages") == "":
        return {key: value for key, value in given.items() if key != "pages"}
    return given


def broken_call(name: str) -> WireError:
    text = f"The upstream ended a call of {name} with arguments that are no JSON object. Send the request again."
    return WireError("upstream_failed", text)


# -- reasoning ------------------------------------------------------------------------------------


def signature_of(item: Fields, account: str) -> str:
    """Of a finished reasoning item. Clients replay no block without one, so reasoning that has none is signed too."""
    encrypted = item.get("encrypted_content")
    return seal(account, encrypted if isinstance(encrypted, str) else "")


# -- web search -----------------------------------------------------------------------------------


def citation_of(annotation: Fields, text: str) -> Fields | None:
    """``text``: of the message that it annotates. None for what is no citation of a page."""
    url = annotation.get("url")
    if annotation.get("type") != "url_citation" or not isinstance(url, str):
        return None
    begin, end = (number_at(annotation, key) for key in ("start_index", "end_index"))
    return {
        "type": "web_search_result_location",
        "url": url,
        "title": annotation.get("title"),
        "encrypted_index": "",
        "cited_text": text[max(0, begin) : max(0, end)],
    }


class Searches:
    """Makes the blocks of web searches: a ``server_tool_use`` and, for each, one ``web_search_tool_result``.

    The upstream tells what a search found only by the citations of the text that follows, so a result waits for the
    end of that message, unless the search lists its sources itself or has failed. Of several searches before one text
    the last gets the pages: which of them found what is not told.
    """

    def __init__(self, context: ReplyContext) -> None:
        self.count = 0
        self._context = context
        self._waiting: list[str] = []
        self._pages: dict[str, Fields] = {}
        """By URL."""

    def called(self, item: Fields) -> list[Fields]:
        """Blocks for a finished ``web_search_call``; none when it only opened a page that was found before."""
        told = item.get("action")
        action = told if isinstance(told, dict) else {}
        if action.get("type", "search") != "search":
            return []
        self.count += 1
        tool_id = f"srvtoolu_{self._context.new_id()}"
        call = {"type": "server_tool_use", "id": tool_id, "name": "web_search", "input": {"query": _query(action)}}
        if item.get("status") == "failed":
            return [call, _result(tool_id, {"type": "web_search_tool_result_error", "error_code": "unavailable"})]
        sources = action.get("sources")
        if isinstance(sources, list) and sources:
            return [call, _result(tool_id, [_page(one) for one in sources if isinstance(one, dict)])]
        self._waiting.append(tool_id)
        return [call]

    def cited(self, citation: Fields) -> None:
        self._pages.setdefault(citation["url"], citation)

    def results(self) -> list[Fields]:
        """Blocks for the searches that still wait: to be asked at the end of each message and of the answer."""
        waiting, self._waiting = self._waiting, []
        pages, self._pages = [_page(one) for one in self._pages.values()], {}
        if not waiting:
            return []
        return [_result(tool_id, []) for tool_id in waiting[:-1]] + [_result(waiting[-1], pages)]


def _query(action: Fields) -> str:
    queries = action.get("queries")
    told = action.get("query") or (queries[0] if isinstance(queries, list) and queries else "")
    return told if isinstance(told, str) else ""


def _page(found: Fields) -> Fields:
    url = str(found.get("url") or "")
    title = found.get("title")
    told = title if isinstance(title, str) and title else url
    return {"type": "web_search_result", "url": url, "title": told, "encrypted_content": "", "page_age": None}


def _result(tool_id: str, content: Fields | list[Fields]) -> Fields:
    return {"type": "web_search_tool_result", "tool_use_id": tool_id, "content": content}


def image_text(item: Fields) -> str:
    """The protocol has no block for an image that the model made: it is shown as Markdown does."""
    result = item.get("result")
    if not isinstance(result, str) or not result:
        return ""
    form = item.get("output_format")
    return f"![image](data:image/{form if isinstance(form, str) else 'png'};base64,{result})"
