# SPDX-License-Identifier: MIT
"""A small HTTP server with faults, for the tests of `mote pull`.

Speaks as much of the hub as mote uses: the model API and resolve, with commit and linked ETag.
"""
import hashlib
import http.server
import json
import threading
import time

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class File:
    def __init__(self, data, etag='"v1"'):
        self.data = data
        self.etag = etag
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.drop_after = None          # close the connection after so many bytes of an answer
        self.drops = 0                  # how often
        self.rate = None                # bytes per second
        self.status = None              # answer with this instead
        self.fail_times = None          # how often (None: always)
        self.redirect = None
        self.no_range = False
        self.hide_length = False
        self.wrong_range = False
        self.headers = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server.owner
        path = self.path.split("?")[0]
        server.requests.append((path, {k.lower(): v for k, v in self.headers.items()}))
        f = server.files.get(path)
        if f is None:
            return self.plain(404, b"not here")
        if f.status and (f.fail_times is None or f.fail_times > 0):
            if f.fail_times is not None:
                f.fail_times -= 1
            return self.plain(f.status, b"no")
        if f.redirect:
            self.send_response(302)
            self.send_header("Location", f.redirect)
            for k, v in f.headers.items():
                self.send_header(k, v)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        return self.send_file(f)

    def plain(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, f):
        start, status = 0, 200
        wanted = self.headers.get("Range")
        holds = self.headers.get("If-Range") in (None, f.etag)
        if wanted and holds and not f.no_range:
            start = int(wanted.split("=")[1].rstrip("-"))
            if start >= len(f.data):
                return self.plain(416, b"")
            status = 206
        body = f.data[start:]
        self.send_response(status)
        if f.etag:
            self.send_header("ETag", f.etag)
        if status == 206:
            first = start + 7 if f.wrong_range else start
            self.send_header("Content-Range", f"bytes {first}-{len(f.data) - 1}/{len(f.data)}")
        if f.hide_length:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        for k, v in f.headers.items():
            self.send_header(k, v)
        self.end_headers()
        self.send_body(f, body)

    def send_body(self, f, body):
        limit = None
        if f.drop_after is not None and f.drops > 0:
            f.drops -= 1
            limit = f.drop_after
        piece = 65536 if not f.rate else max(1024, f.rate // 100)
        try:
            for i in range(0, len(body), piece):
                if limit is not None and i >= limit:
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(body[i:i + piece])
                if f.rate:
                    time.sleep(piece / f.rate)
        except (BrokenPipeError, ConnectionResetError, OSError):
            self.close_connection = True


class Server:
    def __init__(self):
        self.files = {}
        self.requests = []

    def __enter__(self):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.owner = self
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *args):
        self.http.shutdown()
        self.http.server_close()

    def add(self, path, data, **more):
        f = File(data, **more)
        self.files[path] = f
        return f

    def add_repo(self, repo, files, commit=COMMIT, sha=None, licence="mit"):
        """A repository of the hub: {name: bytes}.  sha overrides what the API claims."""
        rows, made = [], {}
        for name, data in files.items():
            f = self.add(f"/{repo}/resolve/{commit}/{name}", data)
            f.etag = f'"{f.sha256}"'
            f.headers = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(data))}
            rows.append({"rfilename": name, "size": len(data),
                         "lfs": {"sha256": sha or f.sha256, "size": len(data), "pointerSize": 134}})
            made[name] = f
        answer = {"id": repo, "sha": commit, "siblings": rows, "cardData": {"license": licence}}
        self.add(f"/api/models/{repo}/revision/main", json.dumps(answer).encode())
        return made

    def ranges(self, path):
        """First byte asked for, of each request for a path."""
        return [int(h["range"].split("=")[1].rstrip("-")) if "range" in h else 0
                for p, h in self.requests if p == path]
