"""Attacks, one by one, while an honest viewer watches: it must not miss a frame, memory must come back, and each attack
must end with one clear refusal."""
import os
import random
import socket
import struct
import threading
import time

import pytest
from conftest import wait_for

HANDSHAKE = bytes([3]) + bytes(8) + bytes(1528)


class Witness(threading.Thread):
    """Reads HTTP-FLV and checks that video time stamps go on without a hole."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", server.http))
        self.socket.sendall(f"GET /{path}.flv HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.times, self.failure, self.stopping = [], None, False
        self.start()

    def run(self):
        stream = self.socket.makefile("rb")
        try:
            while stream.readline().strip():
                pass
            stream.read(13)
            while not self.stopping:
                header = stream.read(11)
                kind, size = header[0], int.from_bytes(header[1:4], "big")
                time_stamp = int.from_bytes(header[4:7], "big") | header[7] << 24
                body = stream.read(size + 4)
                # A coded picture, not a sequence header.
                if kind == 9 and body[1] == 1:
                    self.times.append(time_stamp)
        except Exception as error:  # noqa: BLE001
            self.failure = error

    def finish(self):
        self.stopping = True
        self.join(5)
        assert self.failure is None, self.failure
        steps = [b - a for a, b in zip(self.times, self.times[1:])]
        assert len(steps) > 30 and max(steps) <= 70, f"the viewer missed frames: {max(steps)} ms between two"


@pytest.fixture(scope="module")
def watched(tmp_path_factory, media):
    """A server with a live stream."""
    import subprocess

    from conftest import start_server, stop_server

    server = start_server(tmp_path_factory.mktemp("hostile"))
    publisher = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(media / "av.flv"), "-c", "copy", "-f", "flv",
         server.rtmp_url("live/watched")])
    wait_for(lambda: server.live("live/watched"))
    yield server
    publisher.kill()
    publisher.wait()
    stop_server(server)


@pytest.fixture
def witness(watched):
    witness = Witness(watched, "live/watched")
    wait_for(lambda: len(witness.times) > 20)
    before = watched.resident
    yield witness
    wait_for(lambda: len(witness.times) > 60)
    witness.finish()
    assert watched.running
    wait_for(lambda: watched.resident < before + 40_000, 20)


def rtmp(server):
    s = socket.create_connection(("127.0.0.1", server.rtmp))
    s.settimeout(20)
    return s


def handshaken(server):
    s = rtmp(server)
    s.sendall(HANDSHAKE)
    received = b""
    while len(received) < 1 + 1536 * 2:
        received += s.recv(65536)
    s.sendall(received[1:1537])
    return s


def chunk(chunk_stream, kind, payload, size=128, length=None, stream=0):
    """One message; `length` may lie."""
    length = len(payload) if length is None else length
    head = struct.pack(">B", chunk_stream) if chunk_stream < 64 else struct.pack(">BB", 0, chunk_stream - 64)
    message = head + b"\0\0\0" + length.to_bytes(3, "big") + bytes([kind]) + struct.pack("<I", stream)
    parts = [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]
    return message + parts[0] + b"".join(bytes([0xC0 | chunk_stream]) + p for p in parts[1:])


def closed(s, seconds=15):
    """The server closes the connection; answers what it sent before."""
    s.settimeout(seconds)
    received = b""
    try:
        while True:
            data = s.recv(65536)
            if not data:
                return received
            received += data
    except ConnectionError:
        return received


def said(server, words):
    return wait_for(lambda: words in server.log.read_text(), 5)


@pytest.mark.parametrize("first", [0, 6, 31])
def test_a_low_wrong_version_is_answered_with_three(watched, first):
    s = rtmp(watched)
    s.sendall(bytes([first]) + HANDSHAKE[1:])
    assert s.recv(1) == b"\x03"


@pytest.mark.parametrize("bytes_,words", [
    (b"\x80" + bytes(1536), "begins with version 3"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP came where an RTMP handshake was expected"),
    (bytes.fromhex("1603010200010001fc0303") + bytes(300), "TLS came where an RTMP handshake was expected"),
])
def test_strangers_are_named(watched, witness, bytes_, words):
    s = rtmp(watched)
    s.sendall(bytes_)
    closed(s)
    said(watched, words)


def test_an_endless_handshake_is_closed_after_ten_seconds(watched, witness):
    s = rtmp(watched)
    s.sendall(HANDSHAKE[:700])
    begun = time.monotonic()
    assert closed(s, 15) == b""
    assert 8 < time.monotonic() - begun < 13
    said(watched, "no complete RTMP handshake within 10.0 s")


def test_random_bytes(watched, witness):
    random.seed(7)
    for _ in range(100):
        s = handshaken(watched) if random.random() < 0.5 else rtmp(watched)
        try:
            s.sendall(random.randbytes(random.randrange(1, 20_000)))
        except ConnectionError:
            pass
        s.close()


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000 | 4096])
def test_absurd_chunk_sizes(watched, witness, size):
    s = handshaken(watched)
    s.sendall(chunk(2, 1, struct.pack(">I", size)))
    closed(s)
    assert watched.running


def test_a_message_that_claims_sixteen_megabytes(watched, witness):
    s = handshaken(watched)
    s.sendall(chunk(4, 9, bytes(128), length=0xFFFFFF))
    closed(s)
    said(watched, "exceeds the limit")


def test_unfinished_messages_on_many_chunk_streams(watched, witness):
    before = watched.resident
    sockets = []
    for _ in range(20):
        s = handshaken(watched)
        sockets.append(s)
        s.setblocking(False)
        for chunk_stream in range(4, 12):
            try:
                s.send(chunk(2, 1, struct.pack(">I", 65536)))
                s.send(chunk(chunk_stream, 9, bytes(65536), size=65536, length=15 << 20) + (bytes([0xC0 | chunk_stream]) + bytes(65536)) * 200)
            except OSError:
                break
    time.sleep(1)
    assert watched.resident - before < 100_000, "20 connections hold more than 100 MB"
    for s in sockets:
        s.close()


def test_sixty_thousand_chunk_streams(watched, witness):
    s = handshaken(watched)
    try:
        for chunk_stream in range(64, 60_000):
            head = struct.pack("<BH", 1, chunk_stream - 64) if chunk_stream > 319 else struct.pack(">BB", 0, chunk_stream - 64)
            s.sendall(head + b"\0\0\0" + (1000).to_bytes(3, "big") + b"\x09" + bytes(4) + bytes(128))
    except ConnectionError:
        pass
    closed(s)
    said(watched, "chunk streams")


def test_amf_nested_five_thousand_deep_before_authentication(watched, witness):
    s = handshaken(watched)
    nested = b"\x02\x00\x07connect\x00" + bytes(8) + b"\x03\x00\x01a" * 5000
    s.sendall(chunk(3, 20, nested))
    closed(s)
    said(watched, "malformed command message")


def test_huge_strings(watched, witness):
    s = handshaken(watched)
    s.sendall(chunk(3, 20, b"\x0c" + struct.pack(">I", 0xFFFFFFF0) + bytes(200)))
    closed(s)


def publish_session(server, name):
    """An RTMP publisher by hand; answers its socket, ready for media on stream 1."""

    def string(text):
        return b"\x02" + struct.pack(">H", len(text)) + text.encode()

    s = handshaken(server)
    s.sendall(chunk(2, 1, struct.pack(">I", 65536)))
    app = b"\x03" + struct.pack(">H", 3) + b"app" + string("live") + struct.pack(">H", 5) + b"tcUrl" + string("rtmp://x/live") + b"\0\0\x09"
    s.sendall(chunk(3, 20, string("connect") + b"\0" + struct.pack(">d", 1) + app, 65536))
    s.sendall(chunk(3, 20, string("createStream") + b"\0" + struct.pack(">d", 2) + b"\x05", 65536))
    s.sendall(chunk(3, 20, string("publish") + b"\0" + struct.pack(">d", 3) + b"\x05" + string(name) + string("live"), 65536, stream=1))
    end = time.monotonic() + 5
    received = b""
    while b"NetStream.Publish.Start" not in received and time.monotonic() < end:
        received += s.recv(65536)
    assert b"NetStream.Publish.Start" in received
    return s


def test_media_that_makes_no_sense(watched, witness):
    s = publish_session(watched, "nonsense")
    random.seed(3)
    # H.264 without parameter sets, empty tags, times that go backwards, lengths beyond the frame.
    for index in range(200):
        time_stamp = random.randrange(1 << 24)
        body = random.choice([b"", b"\x17", b"\x17\x01\0\0\0" + struct.pack(">I", 50) + b"\x65" + bytes(49), b"\xaf\x01" + bytes(20), b"\xaf"])
        head = b"\x06" + time_stamp.to_bytes(3, "big") + len(body).to_bytes(3, "big") + random.choice([b"\x09", b"\x08", b"\x12"])
        try:
            s.sendall(head + struct.pack("<I", 1) + body)
        except ConnectionError:
            break
    time.sleep(0.5)
    assert watched.running
    s.close()


def http(server, data, wait=5):
    s = socket.create_connection(("127.0.0.1", server.http))
    s.settimeout(wait)
    s.sendall(data)
    received = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                break
            received += part
    except (socket.timeout, ConnectionError):
        pass
    return received


@pytest.mark.parametrize("request_,status", [
    (b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    (b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    (b"GET /diag/hello HTTP/1.1\nHost: x\n\n", 400),
    (b"GET /diag/hello HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    (b"GET /diag/hello HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400),
    (b"GET /diag/hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    (b"GET /diag/hello HTTP/1.1\r\n\r\n", 400),
    (b"GET /diag/hello HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    (b"GET /diag/hello\r\n\r\n", 400),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", 431),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    (b"GET /live/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /live/%2e%2e/%2e%2e/etc/passwd.flv HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /live/..%2f..%2fetc%2fpasswd.flv HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /live/a%00b.flv HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
])
def test_http_garbage_is_refused(watched, witness, request_, status):
    answer = http(watched, request_, 3)
    code = int(answer.split(b" ")[1])
    assert code in (status if isinstance(status, tuple) else (status,)), answer[:200]


def test_a_broken_chunk_ends_a_response_that_has_begun(watched, witness):
    answer = http(watched, b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 3)
    assert answer.count(b"HTTP/1.1") == 1 and not answer.endswith(b"0\r\n\r\n")


def test_slow_loris(watched, witness):
    sockets = [socket.create_connection(("127.0.0.1", watched.http)) for _ in range(50)]
    begun = time.monotonic()
    for _ in range(5):
        for s in sockets:
            try:
                s.sendall(b"GET / HTT" if _ == 0 else b"X")
            except OSError:
                pass
        time.sleep(1)
    for s in sockets:
        closed(s, 15)
    assert time.monotonic() - begun < 20


def test_five_thousand_half_open_connections(watched, witness):
    sockets = []
    try:
        for index in range(5000):
            sockets.append(socket.create_connection(("127.0.0.1", watched.rtmp if index % 2 else watched.http)))
        assert watched.get("/healthz")[0] == 200
    finally:
        for s in sockets:
            s.close()


def test_a_viewer_that_stops_reading_costs_the_others_nothing(watched, witness):
    stuck = []
    for _ in range(20):
        s = socket.create_connection(("127.0.0.1", watched.http))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"GET /live/watched.flv HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck.append(s)
    time.sleep(4)
    for s in stuck:
        s.close()
