"""Addon: takes out of mitmdump what a reverse proxy does not need; half of a request's cost is hook dispatch.

Each flow hook visits each addon (mitmproxy.md 2.3). Only under mitmdump, whose options nobody edits while it runs, and
only addons whose options have their defaults: whoever asked for one keeps it.
"""

from __future__ import annotations

import logging

from mitmproxy import ctx
from mitmproxy.tools.dump import DumpMaster

from mitmcodex.proxy.dispatch import IndexedAddons

UNUSED: dict[str, tuple[str, ...]] = {
    # addon: the options that would make it do something
    "anticache": ("anticache",),
    "anticomp": ("anticomp",),
    "blocklist": ("block_list",),
    "browser": (),
    "comment": (),
    "commandhistory": (),
    "cut": (),
    "disableh2c": (),
    "dnsresolver": (),
    "export": (),
    "maplocal": ("map_local",),
    "mapremote": ("map_remote",),
    "modifybody": ("modify_body",),
    "modifyheaders": ("modify_headers",),
    "onboarding": (),
    "proxyauth": ("proxyauth",),
    "serverplayback": ("server_replay",),
    "stickyauth": ("stickyauth",),
    "stickycookie": ("stickycookie",),
    "stripdnshttpsrecords": (),
    "updatealtsvc": (),
    "upstreamauth": ("upstream_auth",),
}

CHATTY = "mitmproxy.proxy.server"
"""Logs each connect, disconnect and streamed body at INFO; each record is a hook for all addons, also under -q."""


class Slim:
    def running(self) -> None:
        if not isinstance(ctx.master, DumpMaster):
            return
        for name, options in UNUSED.items():
            addon = ctx.master.addons.get(name)
            if addon is not None and not any(ctx.options.has_changed(option) for option in options):
                ctx.master.addons.remove(addon)
        IndexedAddons.adopt(ctx.master.addons)
        if ctx.options.termlog_verbosity != "debug":
            logging.getLogger(CHATTY).setLevel(logging.WARNING)
