"""The web page: the built bundle, served from memory."""

import gzip
import hashlib
from http import HTTPStatus
from pathlib import Path

from litestar.types import HTTPScope, Receive, Send
from msgspec import Struct

from core.http.problems import protocol_error

BUNDLE = Path(__file__).parent / "static"
INDEX = "/index.html"
HASHED = "/assets/"

FOREVER = b"public, max-age=31536000, immutable"
ASK_FIRST = b"no-cache"
GZIP_FROM = 1024

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
PACKED = frozenset({".ico", ".png", ".woff2"})

MISSING = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Pulseboard</title>"
    b"<h1>The page has not been built</h1>"
    b"<p>The API works, but this installation has no web bundle. Run <code>make web</code> "
    b"in the source folder and start again.</p>"
)


class File(Struct, frozen=True):
    """A file of the bundle as it is sent."""

    media_type: bytes
    etag: bytes
    cache_control: bytes
    body: bytes
    packed: bytes | None


class Page:
    """Serves the bundle: its files, and ``index.html`` for every address that the page routes itself.

    The files are read once, when it is made; no request ever touches the disk.
    """

    def __init__(self, folder: Path = BUNDLE) -> None:
        self._files = {
            f"/{path.relative_to(folder).as_posix()}": _load(path, folder)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI).

        Raises:
            HTTPException: 404 or 405.
        """
        if scope["method"] != "GET":
            raise protocol_error(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET, HEAD")
        if INDEX not in self._files:
            await _respond(send, 503, [(b"content-type", b"text/html; charset=utf-8")], MISSING)
            return
        file = self._find(scope["path"])
        headers = {name: value for name, value in scope["headers"] if name in _CONDITIONS}
        answer = [(b"etag", file.etag), (b"cache-control", file.cache_control), (b"vary", b"accept-encoding")]
        if file.etag in headers.get(b"if-none-match", b""):
            await _respond(send, 304, answer, b"")
            return
        answer.append((b"content-type", file.media_type))
        if file.packed is not None and b"gzip" in headers.get(b"accept-encoding", b""):
            answer.append((b"content-encoding", b"gzip"))
            await _respond(send, 200, answer, file.packed)
        else:
            await _respond(send, 200, answer, file.body)

    def _find(self, path: str) -> File:
        if file := self._files.get(path):
            return file
        if path.startswith(HASHED) or "." in path.rpartition("/")[2]:
            raise protocol_error(HTTPStatus.NOT_FOUND)
        return self._files[INDEX]


_CONDITIONS = frozenset({b"if-none-match", b"accept-encoding"})


def _load(path: Path, folder: Path) -> File:
    body = path.read_bytes()
    hashed = f"/{path.relative_to(folder).as_posix()}".startswith(HASHED)
    packed = None
    if path.suffix not in PACKED and len(body) >= GZIP_FROM:
        packed = gzip.compress(body, mtime=0)
    return File(
        media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream").encode(),
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode(),
        cache_control=FOREVER if hashed else ASK_FIRST,
        body=body,
        packed=packed,
    )


async def _respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    if status != 304:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
