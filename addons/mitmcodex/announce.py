"""Addon: says once, when it listens, where and for whom; writes ``server_info``."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from mitmproxy import ctx
from mitmproxy.tools.dump import DumpMaster

from mitmcodex import setup_codex
from mitmcodex.listeners import Listening, name_of
from mitmcodex.process import Process
from mitmcodex.schema import Listen, Settings
from mitmcodex.state import credentials
from mitmcodex.upstream.providers import Provider

logger = logging.getLogger(__name__)


def block(settings: Settings, listening: Listening) -> str:
    """The start block. It names where a credential lies, never what it is."""
    provider = settings.provider
    if provider.kind == "demo":
        upstream = "DEMO: made-up answers, no model, no account (run `codex login`, or set upstream)"
    else:
        upstream = f"{provider.name} ({provider.kind}) at {urlsplit(provider.base_url).netloc}"
    main = setup_codex.reachable(listening.main[0])
    rows = [
        ("listening", _urls(listening.main)),
        *([("for Ollama", f"{_urls(listening.ollama)} (asks no key)")] if listening.ollama else []),
        ("base URL", f"http://{main}/v1 (clients of OpenAI), http://{main} (of Anthropic, Gemini)"),
        ("upstream", upstream),
        ("credential", f"{provider.credential}{_lifetime(provider)}"),
        ("profile", provider.profile or "by the client that calls"),
        ("client key", "needed" if settings.client_keys else "none needed"),
        ("dumps", str(settings.dump_dir or "off")),
    ]
    table = "\n".join(f"  {name:<12}{value}" for name, value in rows)
    paste = setup_codex.profile_text(listening.main[0], settings.client_keys)
    return (
        f"mitmcodex\n{table}\n\n`mitmcodex setup CLIENT` says what a client needs (claude-code, opencode, openai …). "
        f"For Codex (`mitmcodex setup codex --write` puts it in place):\n\n{paste}"
    )


def _urls(found: list[Listen]) -> str:
    return ", ".join(f"http://{one}" for one in found)


def _lifetime(provider: Provider) -> str:
    """How long a login's access token lasts: nobody here renews it."""
    expires_at = credentials.expires_at(provider.credential, provider.kind)
    left_s = expires_at - time.time()
    if not expires_at:
        return ""
    if left_s <= 0:
        return " (EXPIRED: run `codex login`)"
    if left_s < 3600:
        return f" (EXPIRES in {left_s / 60:.0f} minutes)"
    return f" (until {time.strftime('%Y-%m-%d %H:%M', time.localtime(expires_at))})"


class Announce:
    def __init__(self, process: Process) -> None:
        self._process = process

    def running(self) -> None:
        """Called once the sockets listen, and again on each reload."""
        listening = self._listening()
        if self._process.is_announced or not listening.main:
            return
        self._process.is_announced = True
        settings = self._process.current
        if settings.server_info:
            self._write_info(settings, listening.main[0])
        if settings.secure:
            print(f"mitmcodex secure listening on {listening.main[0]}", file=sys.stderr, flush=True)
        elif not isinstance(ctx.master, DumpMaster):
            logger.info(block(settings, listening))  # stdout is the console's screen, or nobody looks at it
        elif ctx.options.termlog_verbosity != "error":  # -q
            print(block(settings, listening), flush=True)

    def _listening(self) -> Listening:
        found = Listening([], [])
        proxyserver = ctx.master.addons.get("proxyserver")
        for server in proxyserver.servers if proxyserver else ():
            listener = found.ollama if name_of(server.mode) == "ollama" else found.main
            listener += [Listen(host, port) for host, port, *_ in server.listen_addrs]
        return found

    def _write_info(self, settings: Settings, listen: Listen) -> None:
        assert settings.server_info is not None
        info = json.dumps({"port": listen.port, "pid": os.getpid()}, separators=(",", ":"))
        # It is made for other users of the machine too, so the user's own umask holds for it, not ours.
        ours = os.umask(self._process.user_umask)
        try:
            _write_whole(settings.server_info, f"{info}\n")
        except OSError as error:
            # mitmproxy ends the start when an error is logged by now.
            logger.error("mitmcodex: can't write server_info %s: %s", settings.server_info, error.strerror)
        finally:
            os.umask(ours)


def _write_whole(path: Path, text: str) -> None:
    """Who waits for the file sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="ascii")
    draft.replace(path)
