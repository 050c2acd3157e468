"""A web server with a thread for each request, and all of these threads first use new locks at the same time."""

from __future__ import annotations

from typing import Callable

import pytest

SERVER = """
import http.client, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import prwlock
from prwlock.compat import Lock

REQUESTS = 16
gate = threading.Barrier(REQUESTS)
name = None if sys.argv[1] == "without a name" else "jobs"
lock, mutex = prwlock.RWLock(name), Lock(name and name + "/mutex")
inside = [0, 0, 0]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        gate.wait(60)
        with lock.writer_lock(60):
            inside[0] += 1
            alone = inside[0] == 1
            inside[0] -= 1
        with mutex:
            inside[1] += 1
            alone = alone and inside[1] == 1
            inside[1] -= 1
            inside[2] += 1
        with lock.reader_lock(60), mutex:
            pass
        self.send_response(200 if alone else 500)
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = REQUESTS


def get():
    connection = http.client.HTTPConnection(*server.server_address, timeout=90)
    connection.request("GET", "/")
    statuses.append(connection.getresponse().status)
    connection.close()


statuses = []
with Server(("127.0.0.1", 0), Handler) as server:
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    clients = [threading.Thread(target=get) for _ in range(REQUESTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    server.shutdown()
    serving.join()
assert statuses == [200] * REQUESTS, statuses
assert inside == [0, 0, REQUESTS], inside
assert not list(prwlock.list())
print("clean")
"""


@pytest.mark.parametrize("names", ["with names", "without a name"])
@pytest.mark.parametrize("turn", range(2))
def test_the_first_requests_of_a_server_start_one_daemon_and_exclude_each_other(
    names: str, turn: int, run: Callable[..., str], running: Callable[[], list[int]]
) -> None:
    assert not running()
    assert run(SERVER, names) == "clean\n"
    assert len(running()) == 1
