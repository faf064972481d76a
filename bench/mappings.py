"""mappings.py PORT PRIVATE SHARED: an HTTP server that holds so many megabytes of private and of shared memory, each page different.

GET /discard?from=PAGE&pages=N discards pages of the private memory one by one, and answers how many microseconds a call took;
every page of it must then read as zeros, and the next one as it was. GET / answers too.
"""

import json
import mmap
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 4096
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def filled(megabytes, flags):
    if megabytes == 0:
        return None
    memory = mmap.mmap(-1, megabytes << 20, flags=flags)
    for page in range(len(memory) // PAGE):
        memory[page * PAGE : page * PAGE + 8] = (page + 1).to_bytes(8, "little")
    return memory


port, private, shared = (int(word) for word in sys.argv[1:])
own = filled(private, PRIVATE)
common = filled(shared, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)


def number(page):
    return int.from_bytes(own[page * PAGE : page * PAGE + 8], "little")


def discard(first, pages):
    began = time.perf_counter()
    for page in range(first, first + pages):
        own.madvise(mmap.MADV_DONTNEED, page * PAGE, PAGE)
    took = time.perf_counter() - began
    if any(number(page) for page in range(first, first + pages)):
        raise RuntimeError("a discarded page is not zero")
    if number(first + pages) != first + pages + 1:
        raise RuntimeError("a page that nobody discarded has changed")
    return {"microseconds": took * 1e6 / pages}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        state = discard(int(query["from"][0]), int(query["pages"][0])) if url.path == "/discard" else {}
        body = json.dumps(state).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


print(f"mappings listens on {port}", flush=True)
HTTPServer(("", port), Handler).serve_forever()
