"""Google Cloud Storage for tests: its XML API before a server of S3, with generations of its own.

usage: gcs.py S3_URL [PORT]    prints `Running on http://127.0.0.1:<port>`; without PORT on a free one

A generation is a number that each write of an object gets, and stands for the ETag that the store gave it: conditions on
generations become conditions on ETags. Nothing is signed, and the JSON API is missing.
"""

import collections
import http.client
import http.server
import itertools
import sys
import threading
import time
import urllib.parse

STORE = urllib.parse.urlsplit(sys.argv[1]).netloc
# S3 wants to know who asks; moto does not check it.
SIGNED = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=any"
CONDITION = "x-goog-if-generation-match"
COPY = "x-goog-copy-source"
# Of the connection, not of what is sent over it.
HOPS = {"host", "connection", "authorization", "content-length", "transfer-encoding", CONDITION, COPY}

# As in the service, later ones are greater.
numbers = itertools.count(time.time_ns() // 1000)
# The newest generation of each object and its ETag; an object is read and written by one request at a time.
generations = {}
locks = collections.defaultdict(threading.Lock)


class Refused(Exception):
    """A condition does not hold."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            # What was cut on its way is no object.
            self.close_connection = True
            return None
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        path = urllib.parse.unquote(url.path)
        # Requests for a bucket, and parts of an upload, are of no object that is there.
        if path.count("/") < 2 or not query.keys().isdisjoint({"uploads", "partNumber"}):
            return self.reply(*self.ask(self.path, self.passed(), body))
        with locks[path]:
            try:
                reply = self.of_object(path, query, body)
            except Refused:
                reply = 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
            self.reply(*reply)

    def of_object(self, path, query, body):
        headers, target = self.passed(), self.path
        generation, etag = generations.get(path, ("0", None))
        wanted = self.headers.get(CONDITION)
        if wanted is not None and wanted != generation:
            raise Refused
        if wanted == "0":
            headers["If-None-Match"] = "*"
        elif wanted is not None:
            headers["If-Match"] = etag
        if (version := query.get("generation")) is not None:
            if version != generation:
                return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
            target = target.split("?")[0]
        if source := self.headers.get(COPY):
            headers["x-amz-copy-source"] = source
        status, found, text = self.ask(target, headers, body)
        is_write = self.command == "PUT" or (self.command == "POST" and "uploadId" in query)
        if is_write and status == 200:
            there = self.ask(target.split("?")[0], {}, b"", "HEAD")[1]
            generations[path] = str(next(numbers)), there["etag"]
        elif self.command == "DELETE" and "uploadId" not in query and status < 300:
            generations.pop(path, None)
        if path in generations:
            found["x-goog-generation"] = generations[path][0]
        return status, found, text

    def passed(self):
        return {key: value for key, value in self.headers.items() if key.lower() not in HOPS}

    def ask(self, target, headers, body, method=None):
        connection = http.client.HTTPConnection(STORE)
        try:
            connection.request(method or self.command, target, body, headers | {"Authorization": SIGNED})
            answer = connection.getresponse()
            text = answer.read()
            kept = {key.lower(): value for key, value in answer.getheaders() if key.lower() not in HOPS}
            # Of an object that is only asked about.
            length = answer.getheader("content-length") if answer.status < 300 and not text else None
            return answer.status, kept | {"content-length": length or str(len(text))}, text
        finally:
            connection.close()

    def reply(self, status, headers, text):
        self.send_response_only(status)
        for key, value in ({"content-length": str(len(text))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
print(f"Running on http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
