"""Messages, decode: ``system`` and ``messages`` → canonical input items (conformance 54 to 57)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from mitmcodex.wire.codec import ACCOUNT_KEY, Loss
from mitmcodex.wire.messages_fields import Block
from mitmcodex.wire.reading import wrong
from mitmcodex.wire.sealing import unseal
from mitmcodex.wire.shapes import Fields

ERROR_MARK = "[tool error]"
"""Leads the output of a call that failed: canonical form has no other place for ``is_error``."""

_BILLING = "x-anthropic-billing-header:"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def clamped_id(call_id: str) -> str:
    """The id itself, or a digest of one that is too long or has illegal characters (conformance 52).

    The same id always gives the same digest, which is what a client's call and its result need to find each other.
    """
    if _PLAIN_ID.fullmatch(call_id):
        return call_id
    return f"toolu_{hashlib.sha256(call_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def system_items(value: Any, losses: list[Loss]) -> list[Fields]:
    """One item a block. Of the leading billing line, which changes with each turn, nothing goes on (pains.md P1)."""
    items = _content_items(value, "system", "system", losses)
    first = items[0]["content"][0] if items else {}
    if not first.get("text", "").startswith(_BILLING):
        return items
    losses.append(Loss("system", "dropped", "a billing line for another service, new with each turn", is_hint=True))
    first["text"] = first["text"].partition("\n")[2]
    return items if first["text"] else items[1:]


def message_items(messages: list[Any], losses: list[Loss]) -> list[Fields]:
    """The items of all turns in order."""
    items: list[Fields] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        with Block(message, path, losses) as turn:
            role = turn.need("role", str)
            if role not in ("user", "assistant", "system"):
                raise wrong(turn.at("role"), "must be user, assistant or system")
            content = turn.raw("content")
        made = _content_items(content, role, f"{path}.content", losses)
        if made and all(item["type"] == "reasoning" for item in made):
            losses.append(Loss(path, "dropped", "reasoning without what it led to can't be replayed", is_hint=True))
            continue
        items += made
    if items and items[-1].get("role") == "assistant":
        why = "the answer begins anew, it does not continue this text"
        losses.append(Loss(f"messages[{len(messages) - 1}]", "changed", why))
    return items


def _content_items(value: Any, role: str, path: str, losses: list[Loss]) -> list[Fields]:
    """Texts, images and documents between two other blocks are the parts of one message."""
    if isinstance(value, str):
        value = [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise wrong(path, "must be a text or a list of blocks")
    items: list[Fields] = []
    parts: list[Fields] = []
    for index, one in enumerate(value):
        with Block(one, f"{path}[{index}]", losses) as block:
            kind = block.need("type", str)
            if kind in _ITEMS:
                items += _messages(role, parts)
                parts = []
                items += _ITEMS[kind](block)
            else:
                parts += _parts(kind, block, role)
    return items + _messages(role, parts)


def _messages(role: str, parts: list[Fields]) -> list[Fields]:
    if not parts:
        return []
    # Each system block is a text of its own: whoever joins them puts a blank line between items.
    groups = [[part] for part in parts] if role == "system" else [parts]
    return [{"type": "message", "role": role, "content": group} for group in groups]


# -- parts of a message or of a tool's output -----------------------------------------------------


def _parts(kind: str, block: Block, role: str = "user") -> list[Fields]:
    if role != "user" and kind in _PARTS and kind != "text":
        block.drop(f"a turn of the {role} has texts alone")
        return []
    read = _PARTS.get(kind)
    if read is None:
        block.drop(f"a block of the type {kind!r} has no counterpart")
        return []
    parts = read(block)
    if role == "assistant":
        parts = [{**part, "type": "output_text"} for part in parts]
    return parts


def _text_part(*texts: str | None) -> list[Fields]:
    """An empty text says nothing, and providers refuse it."""
    text = "\n\n".join(text for text in texts if text)
    return [{"type": "input_text", "text": text}] if text else []


def _text(block: Block) -> list[Fields]:
    block.lose("citations", "the text goes on without them", is_hint=True)
    return _text_part(block.need("text", str))


def _image(block: Block) -> list[Fields]:
    with Block(block.need("source", dict), block.at("source"), block.losses) as source:
        return [{"type": "input_image", "image_url": _url_of(source)}]


def _document(block: Block) -> list[Fields]:
    title, context = block.take("title", str), block.take("context", str)
    citations = block.take("citations", dict) or {}
    if citations.get("enabled"):
        block.lose("citations", "the provider does not cite documents")
    with Block(block.need("source", dict), block.at("source"), block.losses) as source:
        kind = source.need("type", str)
        if kind == "text":
            source.take("media_type", str)
            return _text_part(title, context, source.need("data", str))
        if kind == "content":
            inner = _inner(source.raw("content"), source.at("content"), block.losses)
            return _text_part(title, context) + (_text_part(inner) if isinstance(inner, str) else inner)
        url = _url_of(source)
    if kind == "url":
        return [*_text_part(context), {"type": "input_file", "file_url": url}]
    return [*_text_part(context), {"type": "input_file", "filename": title or "document.pdf", "file_data": url}]


def _url_of(source: Block) -> str:
    kind = source.need("type", str)
    if kind == "url":
        return source.need("url", str)
    if kind == "base64":
        return f"data:{source.need('media_type', str)};base64,{source.need('data', str)}"
    raise wrong(source.at("type"), f"{kind!r} can't be read here: send the content itself (base64) or a URL")


def _search_result(block: Block) -> list[Fields]:
    inner = _inner(block.raw("content"), block.at("content"), block.losses)
    block.lose("citations", "the provider does not cite them")
    texts = [inner] if isinstance(inner, str) else [str(part.get("text", "")) for part in inner]
    block.losses.append(Loss(block.path, "mapped", "a search result is given as text"))
    return _text_part(block.take("title", str), block.take("source", str), *texts)


def _tool_reference(block: Block) -> list[Fields]:
    block.losses.append(Loss(block.path, "mapped", "all tools are shown from the start", is_hint=True))
    return _text_part(f"The tool {block.need('tool_name', str)} is available.")


_PARTS: dict[str, Callable[[Block], list[Fields]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _tool_reference,
}


# -- blocks that are items of their own -----------------------------------------------------------


def _thinking(block: Block) -> list[Fields]:
    thought, signature = block.take("thinking", str), block.take("signature", str) or ""
    sealed = unseal(signature)
    if sealed is None:
        why = "its signature is another service's" if signature else "it has no signature"
        block.drop(f"{why}, so it can't be replayed", is_hint=True)
        return []
    account, encrypted = sealed
    item: Fields = {"type": "reasoning", "summary": [{"type": "summary_text", "text": thought}] if thought else []}
    if encrypted:
        item["encrypted_content"] = encrypted
    return [{**item, ACCOUNT_KEY: account}]


def _redacted_thinking(block: Block) -> list[Fields]:
    block.drop("another service's encrypted reasoning can't be replayed", is_hint=True)
    return []


def _tool_use(block: Block) -> list[Fields]:
    call = {"type": "function_call", "call_id": clamped_id(block.need("id", str)), "name": block.need("name", str)}
    arguments = json.dumps(block.take("input", dict) or {}, ensure_ascii=False, separators=(",", ":"))
    return [{**call, "arguments": arguments}]


def _tool_result(block: Block) -> list[Fields]:
    call_id = clamped_id(block.need("tool_use_id", str))
    output = _inner(block.raw("content"), block.at("content"), block.losses)
    if block.take("is_error", bool):
        block.lose("is_error", "told by a line of text", what="mapped")
        output = _marked(output)
    return [{"type": "function_call_output", "call_id": call_id, "output": output}]


def _inner(value: Any, path: str, losses: list[Loss]) -> str | list[Fields]:
    """The content of a tool's result, or of any block that holds blocks."""
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise wrong(path, "must be a text or a list of blocks")
    parts: list[Fields] = []
    for index, one in enumerate(value):
        with Block(one, f"{path}[{index}]", losses) as block:
            parts += _parts(block.need("type", str), block)
    return parts or ""


def _marked(output: str | list[Fields]) -> str | list[Fields]:
    if isinstance(output, str):
        return f"{ERROR_MARK}\n{output}" if output else ERROR_MARK
    return [*_text_part(ERROR_MARK), *output]


def _server_tool_use(block: Block) -> list[Fields]:
    name = block.need("name", str)
    if name != "web_search":
        block.drop(f"calls of the server tool {name!r} have no counterpart")
        return []
    block.raw("id")
    query = (block.take("input", dict) or {}).get("query")
    action = {"type": "search", "query": query if isinstance(query, str) else ""}
    return [{"type": "web_search_call", "status": "completed", "action": action}]


def _web_search_tool_result(block: Block) -> list[Fields]:
    found = block.raw("content")
    results = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    is_foreign = any(one.get("encrypted_content") for one in results)
    block.drop("what a search found stays with the service that searched", is_hint=not is_foreign)
    return []


_ITEMS: dict[str, Callable[[Block], list[Fields]]] = {
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "server_tool_use": _server_tool_use,
    "web_search_tool_result": _web_search_tool_result,
}
