"""WebSocket as the `websockets` library, h2, Chromium and Firefox speak it, and as nobody should."""
import asyncio
import json
import os
import pathlib
import random
import socket
import ssl
import struct
import time
import zlib

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import websockets
from browsers import BROWSERS
from conftest import wait_for
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

TEXT = json.dumps([{"id": n, "name": f"member {n}", "tags": ["a", "b"]} for n in range(200)])


def url(server, path="/diag/echo"):
    return f"ws://127.0.0.1:{server.http}{path}"


def upgrade(server, fields=(), path="/diag/echo", behind=b""):
    s = socket.create_connection(("127.0.0.1", server.http))
    s.settimeout(10)
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *fields, "", ""]
    s.sendall("\r\n".join(lines).encode() + behind)
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = s.recv(65536)
        if not part:
            break
        answer += part
    head, _, rest = answer.partition(b"\r\n\r\n")
    return s, head.decode(), rest


def frame(opcode, payload, fin=True, rsv1=False, mask=True):
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    size = len(payload)
    bit = 0x80 if mask else 0
    if size < 126:
        header = bytes([first, bit | size])
    elif size < 65536:
        header = bytes([first, bit | 126]) + struct.pack(">H", size)
    else:
        header = bytes([first, bit | 127]) + struct.pack(">Q", size)
    if not mask:
        return header + payload
    key = b"\x01\x02\x03\x04"
    return header + key + bytes(b ^ key[i & 3] for i, b in enumerate(payload))


def rest_of(s, already=b"", seconds=10):
    """Everything up to the end of the connection."""
    s.settimeout(seconds)
    data = already
    try:
        while part := s.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def close_code(data):
    """The code of the Close frame that ends what a server sent."""
    index = data.rindex(b"\x88")
    return struct.unpack(">H", data[index + 2:index + 4])[0]


# Honest clients

@pytest.mark.parametrize("options", [
    {"compression": None}, {},
    *[{"extensions": [ClientPerMessageDeflateFactory(**parameters)]} for parameters in [
        {"server_max_window_bits": 9, "client_max_window_bits": 9}, {"server_max_window_bits": 8}, {"client_max_window_bits": 10},
        {"server_no_context_takeover": True, "client_no_context_takeover": True}]]])
def test_echo_with_and_without_compression(server, options):
    async def run():
        async with websockets.connect(url(server), max_size=1 << 25, **options) as s:
            for message in ["", "grüße", TEXT, TEXT * 20, b"\0" * 70_000, os.urandom(3_000_000), TEXT[:255], TEXT[:256]]:
                await s.send(message)
                assert await asyncio.wait_for(s.recv(), 20) == message
            await s.send(["frag", TEXT, "", "ments"])
            assert await asyncio.wait_for(s.recv(), 10) == "frag" + TEXT + "ments"
            # Sent without reading: the answers fill the sockets' buffers, and leave once they are read.
            for n in range(500):
                await s.send(f"{n} {TEXT[:n * 2]}")
            for n in range(500):
                assert await asyncio.wait_for(s.recv(), 10) == f"{n} {TEXT[:n * 2]}"

    asyncio.run(run())


def test_windows_of_both_sides_when_the_configuration_keeps_them(make_server):
    server = make_server(configuration="http: {websocket: {deflate: {server_context: true, client_context: true}}}")

    async def run():
        async with websockets.connect(url(server)) as s:
            assert "no_context" not in s.response.headers["Sec-WebSocket-Extensions"]
            for _ in range(50):
                await s.send(TEXT)
                assert await asyncio.wait_for(s.recv(), 10) == TEXT

    asyncio.run(run())


@pytest.mark.parametrize("name", BROWSERS)
def test_browsers(server, name):
    browser = BROWSERS[name]()
    try:
        browser.open(server.url("/diag/hello"))
        right, extensions = browser.evaluate("""new Promise((done, fail) => {
            const socket = new WebSocket(`ws://${location.host}/diag/echo`), sent = "x".repeat(100000);
            socket.onopen = () => socket.send(sent);
            socket.onmessage = message => { done([message.data === sent, socket.extensions]); socket.close(); };
            socket.onerror = () => fail(new Error("refused")); })""")
        assert right and extensions.startswith("permessage-deflate")
        # An offer without a match is answered without one. The WHATWG's standard makes that an error; Firefox opens all the same.
        assert browser.evaluate("""new Promise(done => {
            const socket = new WebSocket(`ws://${location.host}/diag/echo`, ["nobody-speaks-this"]);
            socket.onopen = () => done("open"); socket.onerror = () => done("error"); })""") == ("error" if name == "chromium" else "open")
        assert browser.evaluate("""new Promise(done => {
            const socket = new WebSocket(`ws://${location.host}/diag/echo`);
            socket.onopen = () => socket.close(4321, "bye"); socket.onclose = e => done([e.code, e.reason, e.wasClean]); })
            """)[0] == 4321
    finally:
        browser.close()


# HTTP/2 (RFC 8441)

class H2:
    """One HTTP/2 connection with a WebSocket on a stream."""

    def __init__(self, server, fields=(), version="13"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", server.https)))
        self.socket.settimeout(10)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()
        self.data, self.headers, self.ended, self.reset = b"", None, False, None
        self.until(lambda: self.http.remote_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL))
        self.stream = self.http.get_next_available_stream_id()
        self.http.send_headers(self.stream, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/diag/echo"),
            (":authority", f"127.0.0.1:{server.https}"), ("sec-websocket-version", version), *fields])
        self.flush()
        self.until(lambda: self.headers)

    def flush(self):
        self.socket.sendall(self.http.data_to_send())

    def until(self, condition):
        while not condition():
            part = self.socket.recv(65536)
            assert part, "the connection was closed"
            for event in self.http.receive_data(part):
                if isinstance(event, h2.events.ResponseReceived):
                    self.headers = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    self.data += event.data
                    self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended = True
                elif isinstance(event, h2.events.StreamReset):
                    self.reset = event.error_code
            self.flush()

    def send(self, data):
        while data:
            room = min(self.http.local_flow_control_window(self.stream), self.http.max_outbound_frame_size, len(data))
            if room == 0:
                self.until(lambda: self.http.local_flow_control_window(self.stream) > 0)
                continue
            self.http.send_data(self.stream, data[:room])
            self.flush()
            data = data[room:]


def test_http2_echo_close_and_end(server):
    connection = H2(server)
    assert connection.headers[":status"] == "200" and "sec-websocket-accept" not in connection.headers
    payload = random.Random(1).randbytes(700_000)
    connection.send(frame(2, payload[:1000]) + frame(9, b"p") + frame(2, payload))
    wanted = frame(2, payload[:1000], mask=False) + frame(2, payload, mask=False)
    connection.until(lambda: len(connection.data) >= len(wanted) + 3)
    assert connection.data.replace(b"\x8a\x01p", b"", 1) == wanted
    connection.data = b""
    connection.send(frame(8, struct.pack(">H", 4000)))
    connection.until(lambda: connection.ended)
    assert connection.data == frame(8, struct.pack(">H", 4000), mask=False)


def test_http2_violations_close_the_stream_and_not_the_connection(server):
    connection = H2(server, [("sec-websocket-extensions", "permessage-deflate")])
    assert connection.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    connection.send(frame(1, b"x", mask=False))
    connection.until(lambda: connection.ended or connection.reset is not None)
    assert close_code(connection.data) == 1002
    connection.headers = None
    stream = connection.http.get_next_available_stream_id()
    connection.http.send_headers(stream, [
        (":method", "GET"), (":scheme", "https"), (":path", "/diag/hello"), (":authority", "x")], end_stream=True)
    connection.flush()
    connection.until(lambda: connection.headers)
    assert connection.headers[":status"] == "200"


def test_http2_wrong_version(server):
    connection = H2(server, version="8")
    assert connection.headers[":status"] == "426" and connection.headers["sec-websocket-version"] == "13"


def established(port):
    """Connections that the server holds on a port."""
    count = 0
    for name in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            count += fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) == port
    return count


def test_chromium_uses_the_http2_connection_that_it_has(server):
    browser = BROWSERS["chromium"](flags=["--ignore-certificate-errors"])
    try:
        browser.open(f"https://127.0.0.1:{server.https}/diag/hello")
        before = established(server.https)
        assert browser.evaluate("""new Promise((done, fail) => {
            window.socket = new WebSocket(`wss://${location.host}/diag/echo`); socket.binaryType = "arraybuffer";
            const sent = new Uint8Array(300000).map((_, i) => i * 7);
            socket.onopen = () => socket.send(sent);
            socket.onmessage = m => { const got = new Uint8Array(m.data); done(got.length === sent.length && got.every((b, i) => b === sent[i])); };
            socket.onerror = () => fail(new Error("refused")); })""")
        assert established(server.https) == before, "the WebSocket has a connection of its own"
        assert browser.evaluate("new Promise(done => { socket.onclose = e => done([e.code, e.wasClean]); socket.close(4000); })") == [4000, True]
    finally:
        browser.close()


# Hostile ones

VIOLATIONS = {
    "unmasked": (frame(1, b"x", mask=False), 1002), "rsv1 without extension": (frame(1, b"x", rsv1=True), 1002),
    "reserved opcode": (frame(3, b""), 1002), "fragmented ping": (frame(9, b"", fin=False), 1002),
    "long ping": (b"\x89\xfe\x00\x7e", 1002), "lone continuation": (frame(0, b"x"), 1002),
    "length 2^63": (b"\x82\xff\x80" + bytes(7) + b"abcd", 1002), "length 2^63 - 1": (b"\x82\xff\x7f" + b"\xff" * 7 + b"abcd", 1009),
    "long form of a short length": (b"\x82\xfe\x00\x05abcd", 1002), "invalid UTF-8": (frame(1, b"\xff"), 1007),
    "UTF-8 cut off": (frame(1, "grüß".encode()[:-1]), 1007), "close code 1005": (frame(8, struct.pack(">H", 1005)), 1002),
    "close with one byte": (frame(8, b"\x03"), 1002), "close reason not UTF-8": (frame(8, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violations(server, name):
    data, code = VIOLATIONS[name]
    for pieces in ([data], [data[i:i + 1] for i in range(len(data))]):
        s, _, rest = upgrade(server)
        for piece in pieces:
            try:
                s.sendall(piece)
            except OSError:
                break
        assert close_code(rest_of(s, rest)) == code
        s.close()


def test_frames_right_behind_the_handshake_are_answered(server):
    s, head, rest = upgrade(server, behind=frame(1, b"early") + frame(8, b"\x03\xe8"))
    assert "101" in head and rest_of(s, rest) == b"\x81\x05early\x88\x02\x03\xe8"


@pytest.mark.parametrize("fields,status", [
    (["Sec-WebSocket-Version: 12"], 426), (["Sec-WebSocket-Key: c2hvcnQ="], 400), (["Content-Length: 5"], 400),
    (["Transfer-Encoding: chunked"], 400), (["Sec-WebSocket-Protocol: a b"], 400)])
def test_broken_handshakes(server, fields, status):
    s, head, _ = upgrade(server, fields)
    s.close()
    assert f" {status} " in head.splitlines()[0], head


def test_origins(make_server):
    server = make_server(configuration='http: {websocket: {origins: ["https://good.example"]}}')
    for origin, status in [("https://good.example", 101), (f"http://x", 101), ("https://bad.example", 403), ("null", 403)]:
        s, head, _ = upgrade(server, [f"Origin: {origin}"])
        s.close()
        assert f" {status} " in head.splitlines()[0], (origin, head)


def test_a_compressed_bomb_is_1009_and_costs_nothing(server):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(400)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    before = server.resident
    for _ in range(5):
        s, head, rest = upgrade(server, ["Sec-WebSocket-Extensions: permessage-deflate"])
        assert "permessage-deflate" in head
        try:
            s.sendall(frame(2, bomb[:-4], rsv1=True))
        except OSError:
            pass
        assert close_code(rest_of(s, rest)) == 1009
        s.close()
    # The echo takes messages of 32 MiB, and a growing array is twice as large for a moment.
    assert server.resident < before + 150_000


def test_a_packet_of_bombs_for_a_client_that_does_not_read(server):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    small = compressor.compress(bytes(30 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    before = server.resident
    s, _, _ = upgrade(server, ["Sec-WebSocket-Extensions: permessage-deflate"])
    s.settimeout(3)
    try:
        for _ in range(20):
            s.sendall(frame(2, small[:-4], rsv1=True))
    except OSError:
        pass
    assert server.resident < before + 250_000
    s.close()


def test_pings_whose_pongs_nobody_reads(server):
    s, _, _ = upgrade(server)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(3)
    before = server.resident
    flood = frame(9, bytes(125)) * 1000
    try:
        for _ in range(900):
            s.sendall(flood)
    except OSError:
        pass
    assert server.resident < before + 40_000
    s.close()


def test_a_client_that_never_reads_makes_the_echo_wait(server):
    s, _, _ = upgrade(server)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(2)
    before = server.resident
    message = frame(2, bytes(60_000))
    with pytest.raises(OSError):
        for _ in range(2000):
            s.sendall(message)
    assert server.resident < before + 30_000
    s.close()


def test_half_open_peers_are_closed(make_server):
    server = make_server(configuration="http: {websocket: {ping: 1s, idle: 2s, close_timeout: 1s}}")
    # Answers no ping.
    s, _, rest = upgrade(server)
    begun = time.monotonic()
    assert rest_of(s, rest).endswith(b"\x89\x00") and 1.5 < time.monotonic() - begun < 8
    # Has had its Close answered, and does not close.
    s, _, rest = upgrade(server)
    s.sendall(frame(8, b"\x03\xe8"))
    assert rest_of(s, rest) == b"\x88\x02\x03\xe8"
    time.sleep(1.5)
    with pytest.raises(OSError):
        for _ in range(50):
            s.sendall(b"x" * 1000)
            time.sleep(0.02)
    # Has shut its side down without a Close.
    s, _, rest = upgrade(server)
    s.shutdown(socket.SHUT_WR)
    assert rest_of(s, rest) == b""
    wait_for(lambda: established(server.http) == 0)


def test_random_frames(server):
    randomness = random.Random(7)
    for _ in range(150):
        s, _, _ = upgrade(server, ["Sec-WebSocket-Extensions: permessage-deflate"])
        try:
            s.sendall(b"".join(
                frame(randomness.choice([0, 1, 2, 8, 9, 10]), randomness.randbytes(randomness.randrange(200)),
                      fin=randomness.random() < 0.7, rsv1=randomness.random() < 0.3) for _ in range(5)) + randomness.randbytes(20))
        except OSError:
            pass
        s.close()
    assert server.running


def test_a_stopping_server_says_going_away(make_server):
    server = make_server()

    async def run():
        async with websockets.connect(url(server)) as s:
            server.process.terminate()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(s.recv(), 10)
            assert closed.value.rcvd.code == 1001

    asyncio.run(run())
    assert server.process.wait(15) == 0
