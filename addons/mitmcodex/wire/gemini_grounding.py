"""``groundingMetadata``: what was searched and which page says which part of the text."""

from __future__ import annotations

from typing import Any

from mitmcodex.wire.shapes import Fields


class Grounding:
    def __init__(self) -> None:
        self._queries: list[str] = []
        self._pages: dict[str, Fields] = {}
        self._supports: list[Fields] = []
        self._offset = 0
        """Bytes of the texts before the current one."""

    def read_search(self, call: Fields) -> None:
        """A web_search_call; one that failed found nothing."""
        action = call.get("action")
        if call.get("status") == "failed" or not isinstance(action, dict):
            return
        queries = action.get("queries") or [action.get("query")]
        self._queries += [one for one in queries if isinstance(one, str) and one] if isinstance(queries, list) else []

    def read_message(self, message: Fields) -> None:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            text = part.get("text") if isinstance(part, dict) else None
            if not isinstance(text, str):
                continue
            annotations = part.get("annotations")
            for one in annotations if isinstance(annotations, list) else []:
                if isinstance(one, dict) and isinstance(one.get("url"), str):
                    self._supports.append(self._support(one, text))
            self._offset += _bytes(text)

    def _support(self, annotation: Fields, text: str) -> Fields:
        """Google counts in bytes of UTF-8, annotations in characters (conformance 15)."""
        start, end = _at(annotation.get("start_index"), text), _at(annotation.get("end_index"), text)
        url = annotation["url"]
        page = {"web": {"uri": url, "title": annotation.get("title") or url}}
        self._pages.setdefault(url, page)
        segment = {
            "startIndex": self._offset + _bytes(text[:start]),
            "endIndex": self._offset + _bytes(text[:end]),
            "text": text[start:end],
        }
        return {"segment": segment, "groundingChunkIndices": [[*self._pages].index(url)]}

    def metadata(self) -> Fields:
        """{} when nothing was searched or cited."""
        if not self._queries and not self._supports:
            return {}
        chunks = [*self._pages.values()]
        return {"webSearchQueries": self._queries, "groundingChunks": chunks, "groundingSupports": self._supports}


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _at(index: Any, text: str) -> int:
    return min(max(index, 0), len(text)) if isinstance(index, int) else 0
