"""The HTTP client that fsspec uses: time limits, and redirects that are checked before they are followed."""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any

from scbasset_zoo.errors import PackageError
from scbasset_zoo.printable import without_secrets
from scbasset_zoo.zoo.urls import scheme

CONNECT_SECONDS = 20.0
SILENCE_SECONDS = 60.0


async def http_client(**options: Any) -> Any:
    """Return an aiohttp session; fsspec calls this when it opens its first connection."""
    import aiohttp

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_check_redirect)
    return aiohttp.ClientSession(
        trace_configs=[trace],
        middlewares=[_answer_in_time],
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        headers={"Accept-Encoding": "identity"},  # so that ranges and sizes are those of the file itself
        trust_env=True,
    )


async def _answer_in_time(request: Any, handler: Any) -> Any:
    """Limit the time until the headers of an answer are complete. aiohttp's own limits start again with every byte."""
    async with asyncio.timeout(SILENCE_SECONDS):
        return await handler(request)


async def _check_redirect(session: Any, context: Any, request: Any) -> None:
    """Refuse a redirect that leaves the web, or that leads from https:// to http://."""
    target = urllib.parse.urljoin(str(request.url), _location(request.response.headers))
    if scheme(target) not in ("http", "https") or (request.url.scheme == "https" and scheme(target) == "http"):
        allowed = "https://" if request.url.scheme == "https" else "https:// or http://"
        raise PackageError(
            f"{without_secrets(str(request.url))} redirects to {without_secrets(target)}, which is refused. "
            f"A redirect from {request.url.scheme}:// may lead to {allowed} only."
        )


def _location(headers: Any) -> str:
    """Return the address that aiohttp follows: `Location`, or else `URI`."""
    return str(headers.get("Location") or headers.get("URI") or "")
