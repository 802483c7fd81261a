"""HTTP as curl, h2load, raw sockets and the `websockets` library speak it."""
import asyncio
import hashlib
import io
import json
import os
import re
import socket
import struct
import subprocess

import pytest
import websockets
from conftest import start_server, stop_server, wait_for


ASSET = "/player.js"


def curl(*arguments, data=None):
    result = subprocess.run(["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, input=data, timeout=30)
    assert result.returncode == 0, result.stderr
    return result.stdout


def head_of(text):
    """Status and fields (lower case) of the last head in what curl -i or -D printed."""
    head = text.split(b"\r\n\r\n")[0].decode()
    first, *lines = head.split("\r\n")
    fields = {}
    for name, value in (line.split(":", 1) for line in lines):
        fields[name.lower()] = ", ".join(filter(None, [fields.get(name.lower()), value.strip()]))
    return int(first.split()[1]), fields


@pytest.fixture(scope="module")
def web(tmp_path_factory, media):
    """A server with one live stream and CORS for one origin, with credentials."""
    folder = tmp_path_factory.mktemp("web")
    server = start_server(folder, configuration=(
        "streams: {wait_for_publisher: 2s}\n"
        "http:\n  cors: {origins: [\"https://friend.example\"], credentials: true, max_age: 10m}\n"))
    publisher = subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(media / "av.flv"), "-c",
                                  "copy", "-f", "flv", server.rtmp_url("live/web")])
    wait_for(lambda: server.live("live/web"))
    yield server
    publisher.kill()
    publisher.wait()
    stop_server(server)


# HTTP/1.1

def test_keep_alive(web):
    url = web.url("/diag/hello")
    output = curl("-w", "%{num_connects} ", url, url, url)
    assert output == b"Hello world\n1 Hello world\n0 Hello world\n0 "


def test_pipelined_requests_are_answered_in_order(web):
    with socket.create_connection(("127.0.0.1", web.http)) as s:
        s.settimeout(10)
        ask = b"".join(b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nnr %03d" % i for i in range(50))
        s.sendall(ask + b"GET /diag/hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: s.recv(65536), b""))
    assert [int(n) for n in re.findall(rb"nr (\d{3})", received)] == list(range(50))
    assert received.endswith(b"Hello world\n")
    assert received.count(b"HTTP/1.1 200") == 51


def test_a_chunked_upload_comes_back_whole(web, tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "in").write_bytes(content)
    back = curl("-T", "-", "-X", "POST", "-H", "Content-Type: application/x-test", web.url("/diag/echo"), data=content)
    assert hashlib.sha256(back).digest() == hashlib.sha256(content).digest()
    back = curl("--data-binary", f"@{tmp_path / 'in'}", web.url("/diag/echo"))
    assert back == content


def test_expect_100_continue(web):
    with socket.create_connection(("127.0.0.1", web.http)) as s:
        s.settimeout(10)
        s.sendall(b"POST /diag/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        first = s.recv(65536)
        assert first.startswith(b"HTTP/1.1 100 "), first
        s.sendall(b"body")
        rest = first + b"".join(iter(lambda: s.recv(65536), b""))
    assert b"HTTP/1.1 200" in rest and b"body" in rest


def test_head_says_what_get_would(web):
    status, fields = head_of(curl("-I", web.url("/")))
    assert status == 200
    got_status, got = head_of(curl("-i", web.url("/")))
    assert got_status == 200 and got["content-length"] == fields["content-length"] and got["etag"] == fields["etag"]


def test_a_method_that_is_not_there_is_a_405_with_allow(web):
    status, fields = head_of(curl("-i", "-X", "DELETE", web.url("/diag/hello")))
    assert status == 405 and "GET" in fields["allow"]
    status, fields = head_of(curl("-i", "-X", "PUT", web.url("/live/web.m3u8")))
    assert status == 405 and "GET" in fields["allow"]


def test_options(web):
    status, fields = head_of(curl("-i", "-X", "OPTIONS", web.url("/diag/hello")))
    assert status in (200, 204) and "GET" in fields["allow"]


# Static files

def test_ranges_and_conditions_of_a_static_file(web):
    whole = curl(web.url(ASSET))
    _, fields = head_of(curl("-i", web.url(ASSET)))
    assert fields.get("accept-ranges") == "bytes"
    status, part = head_of(curl("-i", "-r", "5-14", web.url(ASSET)))
    assert status == 206 and part["content-range"] == f"bytes 5-14/{len(whole)}"
    assert curl("-r", "5-14", web.url(ASSET)) == whole[5:15]
    assert curl("-r", "-7", web.url(ASSET)) == whole[-7:]
    status, part = head_of(curl("-i", "-r", f"{len(whole)}-", web.url(ASSET)))
    assert status == 416 and part["content-range"] == f"bytes */{len(whole)}"
    status, _ = head_of(curl("-i", "-H", f"If-None-Match: {fields['etag']}", web.url(ASSET)))
    assert status == 304
    status, _ = head_of(curl("-i", "-H", "If-Range: \"another\"", "-r", "0-3", web.url(ASSET)))
    assert status == 200, "If-Range with an old tag answers the whole"
    status, _ = head_of(curl("-i", "-H", f"If-Range: {fields['etag']}", "-r", "0-3", web.url(ASSET)))
    assert status == 206
    if "last-modified" in fields:
        status, _ = head_of(curl("-i", "-H", f"If-Modified-Since: {fields['last-modified']}", web.url(ASSET)))
        assert status == 304


def test_text_is_compressed_for_those_who_take_it(web):
    plain = curl(web.url(ASSET))
    status, fields = head_of(curl("-i", "-H", "Accept-Encoding: gzip", web.url(ASSET)))
    assert status == 200 and fields["content-encoding"] == "gzip" and "accept-encoding" in fields["vary"].lower()
    assert curl("--compressed", web.url(ASSET)) == plain
    assert int(fields.get("content-length", 0)) < len(plain)
    _, fields = head_of(curl("-i", "-H", "Accept-Encoding: gzip;q=0", web.url(ASSET)))
    assert "content-encoding" not in fields


# HTTP/2

def https(web, path):
    return f"https://127.0.0.1:{web.https}{path}"


def test_http2_by_alpn(web):
    output = curl("-k", "--http2", "-w", "%{http_version}", https(web, "/diag/hello"))
    assert output == b"Hello world\n2"
    output = curl("-k", "--http1.1", "-w", "%{http_version}", https(web, "/diag/hello"))
    assert output == b"Hello world\n1.1"


def test_http2_uploads_and_ranges(web):
    content = os.urandom(2_000_000)
    assert curl("-k", "--http2", "--data-binary", "@-", https(web, "/diag/echo"), data=content) == content
    assert curl("-k", "--http2", "-r", "5-14", https(web, ASSET)) == curl(web.url(ASSET))[5:15]
    playlist = curl("-k", "--http2", https(web, "/live/web.m3u8"))
    assert playlist.startswith(b"#EXTM3U")


def test_http2_carries_live_streams(web):
    result = subprocess.run(["curl", "-sk", "--http2", "--max-time", "3", https(web, "/live/web.flv")], capture_output=True, timeout=20)
    assert result.returncode == 28 and result.stdout.startswith(b"FLV\x01") and len(result.stdout) > 50_000


def test_h2load(web):
    result = subprocess.run(["h2load", "-n", "2000", "-c", "10", "-m", "20", https(web, "/diag/hello")], capture_output=True, text=True, timeout=60)
    assert "2000 succeeded, 0 failed, 0 errored" in result.stdout, result.stdout + result.stderr


# CORS

def test_cors_preflight(web):
    ask = ["-i", "-X", "OPTIONS", "-H", "Access-Control-Request-Method: GET", "-H", "Access-Control-Request-Headers: authorization"]
    status, fields = head_of(curl(*ask, "-H", "Origin: https://friend.example", web.url("/live/web.m3u8")))
    assert status in (200, 204)
    assert fields["access-control-allow-origin"] == "https://friend.example"
    assert fields["access-control-allow-credentials"] == "true"
    assert "GET" in fields["access-control-allow-methods"] and "authorization" in fields["access-control-allow-headers"].lower()
    assert fields["access-control-max-age"] == "600" and "origin" in fields["vary"].lower()
    _, fields = head_of(curl(*ask, "-H", "Origin: https://friend.example.evil", web.url("/live/web.m3u8")))
    assert "access-control-allow-origin" not in fields


def test_cors_of_answers(web):
    _, fields = head_of(curl("-i", "-H", "Origin: https://friend.example", web.url("/diag/hello")))
    assert fields["access-control-allow-origin"] == "https://friend.example" and "origin" in fields["vary"].lower()
    exposed = {name.strip() for name in fields["access-control-expose-headers"].split(",")}
    assert {"Location", "ETag", "Link", "Content-Range"} <= exposed
    _, fields = head_of(curl("-i", "-H", "Origin: https://stranger.example", web.url("/diag/hello")))
    assert "access-control-allow-origin" not in fields and "origin" in fields["vary"].lower()


# WebSocket

def ws(web, path):
    return f"ws://127.0.0.1:{web.http}{path}"


async def messages(url, count, **options):
    received = []
    async with websockets.connect(url, max_size=1 << 24, **options) as socket_:
        while len(received) < count:
            received.append(await asyncio.wait_for(socket_.recv(), 10))
    return received


def tags(message):
    """The FLV tags of a message, which must be whole."""
    position, found = 0, []
    while position < len(message):
        size = int.from_bytes(message[position + 1:position + 4], "big")
        assert struct.unpack(">I", message[position + 11 + size:position + 15 + size]) == (size + 11,)
        found.append((message[position], int.from_bytes(message[position + 4:position + 7], "big") | message[position + 7] << 24))
        position += 15 + size
    assert position == len(message)
    return found


def test_websocket_flv_messages_are_whole_tags(web):
    received = asyncio.run(messages(ws(web, "/live/web.flv"), 80))
    assert received[0].startswith(b"FLV\x01\x05") and received[0][9:13] == bytes(4)
    kinds = tags(received[0][13:])
    for message in received[1:]:
        assert isinstance(message, bytes)
        kinds += tags(message)
    assert {kind for kind, _ in kinds} >= {8, 9, 18}


def boxes(data):
    position, found = 0, []
    while position < len(data):
        size = int.from_bytes(data[position:position + 4], "big")
        assert size >= 8 and position + size <= len(data), "a box goes beyond its message"
        found.append(data[position + 4:position + 8].decode())
        position += size
    return found


def test_websocket_fmp4_messages_are_whole_fragments(web):
    received = asyncio.run(messages(ws(web, "/live/web.mp4"), 10))
    binary = [m for m in received if isinstance(m, bytes)]
    assert boxes(binary[0])[:2] == ["ftyp", "moov"]
    for message in binary[1:]:
        names = boxes(message)
        assert names and names.count("moof") == names.count("mdat") > 0, names


def test_websocket_pings_are_answered(web):
    async def run():
        async with websockets.connect(ws(web, "/live/web.flv"), max_size=1 << 24, ping_interval=None) as socket_:
            pong = await socket_.ping(b"are you there")

            async def drain():
                async for _ in socket_:
                    pass

            reading = asyncio.ensure_future(drain())
            await asyncio.wait_for(pong, 5)
            reading.cancel()

    asyncio.run(run())


def test_websocket_echo(web):
    async def run():
        async with websockets.connect(ws(web, "/diag/echo"), max_size=1 << 24) as socket_:
            for message in ["", "grüße", b"\0" * 70_000, os.urandom(1_000_000)]:
                await socket_.send(message)
                assert await asyncio.wait_for(socket_.recv(), 10) == message
            await socket_.send(["frag", "ments ", "of one"])
            assert await asyncio.wait_for(socket_.recv(), 10) == "fragments of one"

    asyncio.run(run())


def upgrade(web, path="/diag/echo", version=b"13"):
    s = socket.create_connection(("127.0.0.1", web.http))
    s.settimeout(10)
    s.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: " + version + b"\r\n\r\n")
    received = b""
    while b"\r\n\r\n" not in received:
        received += s.recv(65536)
    return s, received


@pytest.mark.parametrize("path", ["/diag/echo", "/live/web.flv"])
def test_an_old_websocket_version_is_a_426(web, path):
    s, answer = upgrade(web, path, b"8")
    s.close()
    status, fields = head_of(answer)
    assert status == 426 and fields["sec-websocket-version"] == "13"


@pytest.mark.parametrize("path", ["/diag/echo", "/live/web.flv"])
def test_an_unmasked_frame_closes_with_1002(web, path):
    s, answer = upgrade(web, path)
    head, _, received = answer.partition(b"\r\n\r\n")
    assert b" 101 " in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    s.sendall(b"\x82\x03abc")
    received += b"".join(iter(lambda: s.recv(65536), b""))
    # Skips the media before the close frame.
    position, close = 0, None
    while position < len(received):
        code, length = received[position] & 15, received[position + 1] & 127
        position += 2
        if length == 126:
            length, position = int.from_bytes(received[position:position + 2], "big"), position + 2
        elif length == 127:
            length, position = int.from_bytes(received[position:position + 8], "big"), position + 8
        if code == 8:
            close = received[position:position + length]
        position += length
    assert close is not None and int.from_bytes(close[:2], "big") == 1002, close


# Snapshots

def test_a_snapshot_is_a_jpeg_of_the_right_size(web, tmp_path):
    status, fields, body = web.get("/live/web.jpg")
    assert status == 200 and fields["Content-Type"] == "image/jpeg"
    assert body[:2] == b"\xff\xd8" and body[-2:] == b"\xff\xd9"
    (tmp_path / "x.jpg").write_bytes(body)
    size = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", str(tmp_path / "x.jpg")],
                          capture_output=True, text=True).stdout.strip()
    assert size == "mjpeg,640,360"


def test_no_snapshot_of_what_is_not_there(web):
    status, _, body = web.get("/live/nobody.jpg")
    assert status == 404 and b"nobody" in body


def test_no_snapshot_of_sound(web, media, publish):
    publish(media / "audio.flv", web.rtmp_url("live/sound"))
    wait_for(lambda: web.live("live/sound"))
    status, _, body = web.get("/live/sound.jpg")
    assert status == 406 and len(json.loads(body)["error"]["message"]) > 10
