"""The endpoint over HTTP: each answer, and what becomes of a client that is slow, sends too much or goes away."""

from __future__ import annotations

import re
import shutil
import socket
import threading

from place import PATIENCE, Place, eventually, expect, say


def exchange(port: int, request: bytes, *, ends: bool = False) -> bytes:
    """Sends bytes and returns all of the answer."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        try:
            connection.sendall(request)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It was answered before it was read.
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def check_http(place: Place) -> int:
    """Starts the endpoint, and returns its port."""
    port = place.free_port()
    activate = shutil.which("systemd-socket-activate") or "systemd-socket-activate"
    place.start(
        activate, f"--listen=127.0.0.1:{port}", "--accept", "--inetd", "--setenv=PRWLOCK_SOCKET",
        place.programs / "prwlock", "stats", "--openmetrics", "--http", log="endpoint")  # fmt: skip

    def listens() -> bool:
        try:
            return exchange(port, b"", ends=True) == b""
        except OSError:
            return False

    eventually("the endpoint listens", listens)
    slow: list[bytes] = []
    client = threading.Thread(target=lambda: slow.append(exchange(port, b"GET /metrics HTT")))
    client.start()
    long = b"GET /metrics HTTP/1.0\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n"
    answers = {
        b"GET /metrics HTTP/1.1\r\nHost: localhost:9\r\n\r\n": b"200 OK",
        b"GET /metrics?x=y HTTP/1.1\r\nhost: [::1]:9\r\n\r\n": b"200 OK",
        b"\r\nGET http://127.0.0.1/metrics HTTP/1.1\r\nHost: x\r\n\r\n": b"200 OK",
        b"GET /metrics HTTP/1.0\n\n": b"200 OK",
        b"HEAD /metrics HTTP/1.0\r\n\r\n": b"200 OK",
        b"GET / HTTP/1.0\r\n\r\n": b"404 Not Found",
        b"POST /metrics HTTP/1.0\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000: b"405 Method Not Allowed",
        b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n": b"421 Misdirected Request",
        b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n": b"421 Misdirected Request",
        b"GET /metrics HTTP/1.1\r\n\r\n": b"400 Bad Request",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": b"400 Bad Request",
        b"GET /metrics HTTP/1.1\r\nHost : localhost\r\n\r\n": b"400 Bad Request",
        b"GET  /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n": b"400 Bad Request",
        b"\x16\x03\x01\x02\x00\x01\xfc\n\n": b"400 Bad Request",
        b"GET /metrics HTTP/2.0\r\nHost: localhost\r\n\r\n": b"505 HTTP Version Not Supported",
        long: b"431 Request Header Fields Too Large",
    }
    for request, status in answers.items():
        answer = exchange(port, request)
        head, _, body = answer.partition(b"\r\n\r\n")
        expect(head.startswith(b"HTTP/1.1 " + status), f"{request[:60]!r} gets {head[:60]!r}")
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
        expect(len(body) == (0 if request.startswith(b"HEAD") else length), f"{request[:60]!r} gets another length")
        expect(b"Connection: close" in head and b"\r\nDate: " in head, f"{head!r} lacks a field")
        if status == b"200 OK":
            kind = b"Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"
            expect(kind in head, f"{head!r} has another type")
    expect(exchange(port, b"GET /metrics", ends=True).startswith(b"HTTP/1.1 400"), "a request without an end is taken")
    client.join()
    expect(slow[0].startswith(b"HTTP/1.1 408 Request Timeout"), f"a slow client gets {slow[0]!r}")
    say(f"{len(answers) + 2} answers over HTTP are right")
    return port
