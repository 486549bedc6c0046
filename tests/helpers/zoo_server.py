"""A web server on localhost for the files of a folder. It supports ranges, counts what it sends, and fails on request."""

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server:
    """A context manager that serves `folder` at `url`.

    Attributes
    ----------
    sent : Counter
        The number of body bytes that were sent, by path.
    requests : list of (path, first byte)
        All GET requests.
    drops : dict
        By path, after how many bytes each of the next connections is dropped.
    statuses : dict
        By path, the status codes of the next answers.
    redirects, replaced : dict
        By path, the address to redirect to, or other bytes to serve.
    headers : dict
        Further headers of every file.
    ranges : bool
        Whether ranges are supported.
    pause : float
        Seconds to wait after every kilobyte.
    """

    def __init__(self, folder, context=None):
        self.folder = Path(folder)
        self.sent, self.requests = Counter(), []
        self.drops, self.statuses, self.redirects, self.replaced = {}, {}, {}, {}
        self.redirect_header, self.headers = "Location", {}
        self.ranges, self.pause = True, 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.lstrip("/")
            first = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(first[1]) if first and server.ranges else 0
            server.requests.append((path, start))
            if path in server.redirects:
                self.send_response(302)
                self.send_header(server.redirect_header, server.redirects[path])
                self.send_header("Content-Length", "0")
                return self.end_headers()
            file = server.folder / path
            body = server.replaced.get(path) or (file.read_bytes() if file.is_file() else None)
            if server.statuses.get(path):
                return self.send_error(server.statuses[path].pop(0))
            if body is None:
                return self.send_error(404)
            if start and start >= len(body):
                return self.send_error(416)
            self.send_response(206 if first and server.ranges else 200)
            if first and server.ranges:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if not server.drops.get(path):
                return self._send(path, body[start:])
            self._send(path, body[start : start + server.drops[path].pop(0)])
            # A client may drop bytes that it has not read yet when the connection breaks.
            return time.sleep(0.2)

        def do_HEAD(self):
            file = server.folder / self.path.lstrip("/")
            self.send_response(200)
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()

        def _send(self, path, body):
            for place in range(0, len(body), 1024):
                self.wfile.write(body[place : place + 1024])
                server.sent[path] += len(body[place : place + 1024])
                time.sleep(server.pause)

        def handle(self):
            with contextlib.suppress(ConnectionError):
                super().handle()

        def log_message(self, *_):
            pass

    return Handler


@contextlib.contextmanager
def dripping_server(part):
    """Yield the URL of a server whose `part` of every answer, "headers" or "body", arrives a byte at a time and never ends."""
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        with contextlib.suppress(OSError), connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if part == "body" else b"X: "))
            while not done.wait(0.05):
                connection.sendall(b"a")

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        listener.close()
