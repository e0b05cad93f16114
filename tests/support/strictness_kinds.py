"""What services of kind chat, messages and gemini refuse, and what no request to them may carry.

The rules of the bodies stand in strictness_chat, strictness_messages and strictness_gemini; here are the ways in,
credentials and headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from support import chat_answers, gemini_answers, messages_answers
from support.answers import Answer
from support.records import Request
from support.strictness_chat import chat_problems
from support.strictness_gemini import gemini_problems
from support.strictness_messages import messages_problems

JSON = dict[str, Any]
Violation = tuple[str, Answer | None]

CODEX_HEADERS = re.compile(
    "originator|session[-_]id|thread[-_]id|conversation[-_]id|version|cookie|content-encoding|openai-beta|"
    "x-client-request-id|chatgpt-.*|x-codex-.*|x-openai-.*|x-oai-.*"
)
"""What only Codex, or only its backend, knows."""
CREDENTIAL_HEADERS = {"authorization", "x-api-key", "x-goog-api-key", "api-key"}


class Service(NamedTuple):
    """One kind of service."""

    header: str
    """Where its credential stands."""
    scheme: str
    paths: re.Pattern[str]
    """METHOD path."""
    problems: Callable[[Request, JSON], Iterator[str]]
    """Of a body that was posted."""
    refuse: Callable[[int, str], Answer]
    """Its error form, by status and message."""


SERVICES = {
    "chat": Service(
        "authorization",
        "Bearer ",
        re.compile(r"POST .*/chat/completions|GET .*/models(/[^/]+)?"),
        chat_problems,
        chat_answers.fail,
    ),
    "messages": Service(
        "x-api-key",
        "",
        re.compile(r"POST .*/messages(/count_tokens)?|GET .*/models(/[^/]+)?"),
        messages_problems,
        messages_answers.fail,
    ),
    "gemini": Service(
        "x-goog-api-key",
        "",
        re.compile(r"POST .*/models/[^/:]+:(generateContent|streamGenerateContent|countTokens)|GET .*/models(/[^/]+)?"),
        gemini_problems,
        gemini_answers.fail,
    ),
}


def check_kind(kind: str, key: str, request: Request) -> Iterator[Violation]:
    """Each violation of a request to a service of this kind, with its refusal."""
    service = SERVICES[kind]
    yield from _check_headers(service, request)
    if request.first(service.header) != service.scheme + key:
        yield f"{service.header} is not the expected key", service.refuse(401, "invalid key")
    if not service.paths.fullmatch(f"{request.method} {request.path}"):
        yield f"{request.method} {request.path} does not exist", service.refuse(404, "not found")
    elif request.method == "POST":
        for text in body_problems(kind, request):
            yield text, service.refuse(400, text)


def body_problems(kind: str, request: Request) -> list[str]:
    """What the service has against the body, and against the headers that belong to it; [] = it takes the request."""
    if request.first("content-type").partition(";")[0] != "application/json":
        return ["content-type is not application/json"]
    try:
        body = request.json
    except ValueError:
        return ["the body is not JSON"]
    if not isinstance(body, dict):
        return ["the body is not an object"]
    found: list[str] = []
    try:
        found.extend(SERVICES[kind].problems(request, body))
    except (AttributeError, KeyError, TypeError) as error:
        # The rules read on as if shapes were right: what is not a list or an object where one must stand ends here.
        found.append(f"the body has a wrong shape: {error!r}")
    return found


def _check_headers(service: Service, request: Request) -> Iterator[Violation]:
    for name in {name.lower() for name, _ in request.headers}:
        if CODEX_HEADERS.fullmatch(name):
            yield f"header {name} goes to a service that is not Codex's", None
        if name in CREDENTIAL_HEADERS - {service.header}:
            yield f"header {name} goes to a service that does not read it", None
    if re.search(r"(^|&)key=", request.query):
        yield "a key stands in the query", None
    agent = request.first("user-agent")
    if not agent or re.match("codex", agent, re.IGNORECASE):
        yield f"user-agent is {agent!r}", None
