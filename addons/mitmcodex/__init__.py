"""mitmcodex: a local proxy for Codex accounts, made of mitmproxy addons. Start reading at ``stack.py``."""

__version__ = "0.1.0"
