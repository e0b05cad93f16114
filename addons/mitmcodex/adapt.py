"""Stage: canonical form <-> what the chosen provider speaks and accepts.

Providers of the Responses family get the canonical request less what they refuse; those of kind chat, messages and
gemini get it through the reverse codec, and what they answer becomes a canonical stream here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import AsyncIterator

from mitmcodex import emission
from mitmcodex.conversation import conversation_key
from mitmcodex.exchange import Exchange, Form, Reply
from mitmcodex.process import Process
from mitmcodex.upstream.efforts import settle
from mitmcodex.upstream.providers import Provider
from mitmcodex.whole import answer_of, read_whole
from mitmcodex.wire import REVERSES
from mitmcodex.wire.backend import Target, adapted
from mitmcodex.wire.codec import Loss, Reverse, StreamDecoder
from mitmcodex.wire.compaction import compaction
from mitmcodex.wire.errors import WireError
from mitmcodex.wire.image_tool import draws
from mitmcodex.wire.one_line import printable
from mitmcodex.wire.patch import REMOVE, Changes, set_top_level
from mitmcodex.wire.repair import repaired
from mitmcodex.wire.shapes import Fields

log = logging.getLogger(__name__)

COMPACTING_KINDS = ("chatgpt", "openai", "azure", "responses", "demo")
NATIVE_WISH = "its effort or tier is not carried over: what is in the provider's own protocol passes unread"


class Adapt:
    def __init__(self, process: Process) -> None:
        self._process = process

    def upstream_request(self, exchange: Exchange) -> None:
        canonical, provider = exchange.canonical, exchange.provider
        assert canonical is not None and provider is not None
        if canonical.call == "compact" and provider.kind not in COMPACTING_KINDS:
            raise no_compaction(provider)
        if canonical.call == "compact" and provider.kind == "chatgpt" and not exchange.is_codex:
            self._compaction(exchange)
        elif canonical.call != "responses" or exchange.resolution is None:
            self._unread(exchange)
        elif canonical.is_native:
            self._native(exchange)
        elif provider.kind in REVERSES:
            self._reverse(exchange, REVERSES[provider.kind])
        else:
            self._responses(exchange)
        if exchange.losses:
            self._report(exchange)

    def _unread(self, exchange: Exchange) -> None:
        """No generation: as it came, but for a compaction's model."""
        canonical = exchange.canonical
        assert canonical is not None
        exchange.adapted = _renamed(exchange)
        admission = exchange.admission
        exchange.form = Form(canonical.call, canonical.fields, action=admission.action, query=admission.query)

    def _compaction(self, exchange: Exchange) -> None:
        canonical, resolution = exchange.canonical, exchange.resolution
        assert canonical is not None and canonical.body is not None and resolution is not None
        changes, losses = settle(canonical.fields, resolution, self._process.current.names)
        fitted = compaction(canonical.fields, {"model": resolution.model, **_cache_key(exchange), **changes})
        exchange.losses += [*losses, *fitted.losses]
        exchange.adapted = set_top_level(canonical.body, fitted.changes)
        exchange.form = Form("compact", fitted.fields, query=exchange.admission.query)

    def _native(self, exchange: Exchange) -> None:
        """The provider's own protocol: unchanged but for the model."""
        assert exchange.canonical is not None and exchange.resolution is not None
        admission, fields, resolution = exchange.admission, exchange.canonical.fields, exchange.resolution
        if resolution.effort or resolution.alias_effort or resolution.tier:
            exchange.losses.append(Loss("model", "dropped", NATIVE_WISH))
        exchange.adapted = _renamed(exchange)
        exchange.form = Form("responses", fields, resolution.model, admission.action, admission.query)

    def _reverse(self, exchange: Exchange, reverse: Reverse) -> None:
        assert exchange.canonical is not None and exchange.resolution is not None
        decoded, model = exchange.canonical.decoded, exchange.resolution.model
        changes, losses = settle(decoded.fields, exchange.resolution, self._process.current.names, decoded.paths)
        decoded.fields = _changed(decoded.fields, {"model": model, **changes})
        if isinstance(items := decoded.fields.get("input"), list):
            decoded.fields["input"], repairs = repaired(items, decoded.path("input"))
            losses += repairs
        encoded = reverse.encode_request(decoded)
        exchange.losses += [*losses, *encoded.losses]
        exchange.adapted = _dumped(encoded.fields)
        exchange.form = Form("responses", encoded.fields, model, "streamGenerateContent", "alt=sse")

    def _responses(self, exchange: Exchange) -> None:
        """A client's own bytes stay where nothing in them must change (conformance 76)."""
        assert exchange.canonical is not None and exchange.resolution is not None and exchange.provider is not None
        canonical, resolution, kind = exchange.canonical, exchange.resolution, exchange.provider.kind
        decoded, body, current = canonical.decoded, canonical.body, self._process.current
        changes, losses = settle(decoded.fields, resolution, current.names, decoded.paths)
        settled = dict(changes)
        if resolution.model and decoded.fields.get("model") != resolution.model:
            settled["model"] = resolution.model
        if kind == "chatgpt" and not exchange.is_codex:
            settled |= _cache_key(exchange)
        target = Target(
            kind,
            is_codex=exchange.is_codex,
            is_lite=resolution.entry is not None and resolution.entry.is_lite,
            lite=current.responses_lite,
            account=exchange.account_tag,
            instructions=current.extra_instructions,
            is_translated=body is None,
        )
        found = adapted(decoded, target, settled)
        exchange.losses += [*losses, *found.losses, *self._without_images(exchange, found.fields)]
        if body is None:
            exchange.adapted = _dumped(found.fields)
        else:
            exchange.adapted = set_top_level(body, found.changes) if found.changes else body
        query = exchange.admission.query if body else ""
        exchange.form = Form(
            "responses", found.fields, resolution.model, query=query, is_lite=found.is_lite, restore=found.restore
        )

    def _without_images(self, exchange: Exchange, fields: Fields) -> list[Loss]:
        """seeds S136: on a free plan the backend drops the tool, and the model draws with letters."""
        plan = exchange.credential.plan if exchange.credential else ""
        if plan != "free" or exchange.is_codex or not draws(fields):
            return []
        if self._process.current.free_plan_images == "error":
            remedy = "Log in again if that has changed, or set free_plan_images: warn."
            text = f"The account's plan is free, which has no images. {remedy}"
            raise WireError("forbidden", text, code="image_plan")
        return [Loss("tools", "dropped", "the backend ignores the image tool on a free plan")]

    def _report(self, exchange: Exchange) -> None:
        """Each loss stands in the log once; ``strict`` makes a 400 of a dropped field that counts.

        Mere hints are for the debug level: some clients send them with each request.
        """
        for level, is_hint in ((logging.INFO, False), (logging.DEBUG, True)):
            losses = [loss for loss in exchange.losses if loss.is_hint == is_hint]
            if losses and exchange.attempt == 1:
                told = "; ".join(f"{loss.path} {loss.what}: {loss.why}" for loss in losses)
                log.log(level, f"exchange {exchange.number}: {printable(told)}")
        if self._process.current.strict:
            refuse_dropped(exchange.losses)

    async def upstream_response(self, exchange: Exchange) -> None:
        canonical, provider, reply = exchange.canonical, exchange.provider, exchange.reply
        assert canonical is not None and provider is not None and reply is not None
        reverse = REVERSES.get(provider.kind)
        restore = exchange.form.restore if exchange.form else None
        is_answer = canonical.call == "responses" and not canonical.is_native and 200 <= reply.status < 300
        if not is_answer or (reverse is None and restore is None):
            return
        assert exchange.body is not None
        headers = emission.without(reply.headers, "content-type", "content-length")
        if emission.is_event_stream(reply.headers):
            decoder = reverse.decoder(canonical.decoded) if reverse else restore
            assert decoder is not None
            exchange.body = _decoded(exchange.body, decoder)
            exchange.reply = Reply(reply.status, [("content-type", "text/event-stream"), *headers])
        else:
            answer = answer_of(await read_whole(exchange.body))
            response = reverse.decode_response(answer, canonical.decoded) if reverse else answer
            exchange.body = _once(_dumped(restore.whole(response) if restore else response))
            exchange.reply = Reply(reply.status, [("content-type", "application/json"), *headers])


def no_compaction(provider: Provider) -> WireError:
    where = f"The upstream {provider.name} ({provider.kind})"
    return WireError("not_supported", f"{where} has no compaction. Send the conversation, or a summary of it.")


def _cache_key(exchange: Exchange) -> Changes:
    """For a client that gave none: the same in each turn of its conversation (pains P2), in the form of Codex's own,
    and another with each account, as it would tell that they are one person's."""
    assert exchange.canonical is not None
    decoded = exchange.canonical.decoded
    if decoded.fields.get("prompt_cache_key"):
        return {}
    name = conversation_key(decoded.fields, exchange.admission.headers, decoded.session)
    told = f"{exchange.account_tag}\0{name}".encode("utf-8", "backslashreplace")
    return {"prompt_cache_key": str(uuid.UUID(bytes=hashlib.sha256(told).digest()[:16], version=4))}


def _renamed(exchange: Exchange) -> bytes:
    """The client's bytes with the model that its name stands for; Gemini has the model in the path."""
    assert exchange.canonical is not None and exchange.canonical.body is not None
    body, resolution = exchange.canonical.body, exchange.resolution
    is_same = resolution is None or not resolution.model or exchange.canonical.fields.get("model") == resolution.model
    if resolution is None or is_same or exchange.admission.model:
        return body
    return set_top_level(body, {"model": resolution.model})


def refuse_dropped(losses: list[Loss]) -> None:
    """Raises WireError (invalid_request) that names what can't be carried over."""
    dropped = [loss for loss in losses if loss.what == "dropped" and not loss.is_hint]
    if dropped:
        told = "; ".join(f"{loss.path}: {loss.why}" for loss in dropped)
        raise WireError("invalid_request", f"strict: what can't be carried over: {told}", param=dropped[0].path)


async def _decoded(body: AsyncIterator[bytes], decoder: StreamDecoder) -> AsyncIterator[bytes]:
    async for data in body:
        if piece := decoder.feed(data):
            yield piece
    if piece := decoder.finish():
        yield piece


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _changed(fields: Fields, changes: Changes) -> Fields:
    return {key: value for key, value in {**fields, **changes}.items() if value is not REMOVE}


def _dumped(fields: Fields) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
