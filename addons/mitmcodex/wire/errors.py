"""What went wrong, in one vocabulary, and how each caller is told (the table of protocol.md 5.6)."""

from __future__ import annotations

from dataclasses import dataclass, field

STATUSES: dict[str, tuple[int, int]] = {
    # kind: (status to Codex, status to any other client)
    # Codex posts again up to 30 times after a 5xx, 5-6 times after 401, 403, 404 and once after 400 and 429:
    # a 5xx only where a new attempt is cheap and may succeed.
    "invalid_request": (400, 400),
    "body_too_large": (413, 413),
    "client_key": (403, 401),
    "forbidden": (403, 403),
    "not_found": (404, 404),
    "method_not_allowed": (405, 405),
    "not_supported": (501, 501),
    "upgrade_required": (426, 426),
    "busy": (429, 429),
    "internal": (400, 500),
    "credential": (400, 401),
    "unreachable": (502, 502),
    "first_byte_timeout": (400, 504),
    "request_timeout": (400, 504),
    "usage_limit": (429, 429),
    "blocked": (403, 503),
    "overloaded": (503, 503),
    "upstream_failed": (502, 502),
    "misdirected": (400, 502),
    "stream_incomplete": (502, 502),
}

TYPES: dict[str, str] = {
    "client_key": "invalid_request_error",
    "credential": "authentication_error",
    "busy": "rate_limit_error",
    "usage_limit": "usage_limit_reached",
    "overloaded": "service_unavailable_error",
    "internal": "server_error",
    "unreachable": "server_error",
    "first_byte_timeout": "server_error",
    "request_timeout": "server_error",
    "upstream_failed": "server_error",
    "misdirected": "server_error",
    "stream_incomplete": "server_error",
    "blocked": "upstream_blocked",
}

CODES: dict[str, str] = {
    "client_key": "invalid_api_key",
    "overloaded": "server_is_overloaded",
    "usage_limit": "usage_limit_reached",
}


@dataclass(eq=False)
class WireError(Exception):
    """An error that we answer. ``message`` names the thing and the remedy and never holds a secret.

    ``kind`` is a key of STATUSES; ``status`` overrides its status for every caller; ``detail`` holds further
    fields of the error object (plan_type, resets_at …); ``headers`` go out with the answer.
    """

    kind: str
    message: str
    status: int = 0
    code: str = ""
    param: str | None = None
    detail: dict[str, object] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.message)
        if self.kind not in STATUSES:
            raise ValueError(f"unknown kind of error: {self.kind}")

    def status_for(self, is_codex: bool) -> int:
        return self.status or STATUSES[self.kind][0 if is_codex else 1]

    def as_object(self) -> dict[str, object]:
        """The error object of the OpenAI family: message, type, param, code and the detail."""
        code = self.code or CODES.get(self.kind) or self.kind
        kind = TYPES.get(self.kind, "invalid_request_error")
        return {"message": self.message, "type": kind, "param": self.param, "code": code, **self.detail}


@dataclass(slots=True, frozen=True)
class ErrorReply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
