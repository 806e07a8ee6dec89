"""The scripts that make figures live, carried once and packed by an executed notebook.

HoloViews and Panel hand over three megabytes of scripts under two names, one for JupyterLab and
one for exported pages, and a notebook keeps both. Here they go, compressed, into one piece of
HTML that both run, in any browser since 2023 and with nothing asked from the network.
"""

from __future__ import annotations

import base64
import gzip
from typing import Any

__all__ = ["LOADED", "pack_scripts"]

LOADED = "application/vnd.holoviews_load.v0+json"
"""MIME type of a script that figures need."""

# Unpacking takes its time, so each script waits for the one before it.
_PAGE = """<script>
window.tasocScripts = (window.tasocScripts ?? Promise.resolve()).then(async () => {
  const packed = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
});
</script>"""


def pack_scripts(message: dict[str, Any]) -> dict[str, Any]:
    """
    Return a display message of a kernel with the script that it may hold packed; all others as they are.

    Parameters
    ----------
    message
        What the display publisher of a kernel is about to send.
    """
    content = message["content"]
    script = content.get("data", {}).get(LOADED)
    if script is None:
        return message
    packed = base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
    return message | {"content": content | {"data": {"text/html": _PAGE % packed}}}
