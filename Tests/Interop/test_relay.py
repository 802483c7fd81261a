"""Forward and pull between Martlet, nginx-rtmp and a second Martlet; and a viewer that falls behind."""
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest
from conftest import free_port, probe, start_server, stop_server, wait_for

MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"


class NGINX:
    """nginx-rtmp on a port of its own, in the foreground as one process."""

    def __init__(self, folder, port=None):
        self.port = port or free_port()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        assert pathlib.Path(binary).exists() and pathlib.Path(MODULE).exists(), "nginx-rtmp is not installed: Scripts/bootstrap --interop"
        (folder / "nginx.conf").write_text(
            f"load_module {MODULE};\ndaemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log info;\n"
            "events { worker_connections 256; }\n"
            f"rtmp {{ server {{ listen 127.0.0.1:{self.port}; chunk_size 4096; application live {{ live on; wait_key on; }} }} }}\n")
        self.process = subprocess.Popen([binary, "-p", str(folder), "-c", str(folder / "nginx.conf")], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(self.answers)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            assert self.process.poll() is None, (self.folder / "error.log").read_text()
            return False

    def url(self, path):
        return f"rtmp://127.0.0.1:{self.port}/{path}"

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def nginx(tmp_path):
    nginx = NGINX(tmp_path / "nginx")
    yield nginx
    nginx.stop()


@pytest.fixture
def pair(tmp_path):
    """Servers that end with the test, whatever their state."""
    servers = []

    def make(configuration=None, *flags, ports=None):
        folder = tmp_path / f"martlet{len(servers)}"
        folder.mkdir()
        servers.append(start_server(folder, *flags, configuration=configuration, ports=ports))
        return servers[-1]

    yield make
    for server in servers:
        stop_server(server) if server.running else None


def check(url, seconds=3):
    """Picture and sound come, and decode times grow."""
    streams, packets = probe(url, seconds=seconds)
    assert {s["codec_name"] for s in streams} == {"h264", "aac"}
    times = [float(p["dts_time"]) for p in packets if p["codec_type"] == "video"]
    assert len(times) > 40
    steps = [b - a for a, b in zip(times, times[1:])]
    assert min(steps) >= 0 and max(steps) < 0.15, (min(steps), max(steps))
    return times


def comes(url):
    result = subprocess.run(["ffprobe", "-v", "quiet", "-rw_timeout", "4000000", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url],
                            capture_output=True, text=True, timeout=30)
    return "h264" in result.stdout


def test_forward_to_nginx_which_dies_and_returns(pair, nginx, media, publish):
    server = pair(f"forward: [{{from: live/*, to: \"{nginx.url('{app}/{name}')}\"}}]\n")
    publish(media / "bframes.flv", server.rtmp_url("live/cam"))
    wait_for(lambda: comes(nginx.url("live/cam")))
    check(nginx.url("live/cam"))
    # Not one of the viewers here, and the stream is not touched by it.
    nginx.stop()
    wait_for(lambda: "forwarding stopped, will try again" in server.log.read_text())
    check(server.rtmp_url("live/cam"), 2)
    again = NGINX(nginx.folder, nginx.port)
    try:
        wait_for(lambda: server.log.read_text().count("is forwarded") == 2, 20)
        check(again.url("live/cam"))
    finally:
        again.stop()
    assert server.stream("live/cam")["publishes"] == 1


def test_forward_to_a_second_martlet_which_dies_and_returns(pair, media, publish, tmp_path):
    target = pair()
    server = pair(f"forward: [{{from: live/*, to: \"rtmp://127.0.0.1:{target.rtmp}/copy/{{name}}\"}}]\n")
    source = publish(media / "av.flv", server.rtmp_url("live/cam"))
    wait_for(lambda: target.live("copy/cam"))
    check(target.rtmp_url("copy/cam"))
    check(target.url("/copy/cam.flv"))
    target.process.send_signal(signal.SIGKILL)
    target.process.wait()
    check(server.rtmp_url("live/cam"), 2)
    # The same ports again.
    ports = ["--http", f"127.0.0.1:{target.http}", "--https", f"127.0.0.1:{target.https}", "--rtmp", f"127.0.0.1:{target.rtmp}", "--rtmps", "off"]
    ports += ["--turn", "off", "--turns", "off"]
    again = subprocess.Popen([target.process.args[0], "serve", *ports], cwd=tmp_path, env={"XDG_STATE_HOME": str(tmp_path)}, stderr=subprocess.DEVNULL)
    try:
        def returned():
            try:
                return target.live("copy/cam")
            except OSError:
                return None

        wait_for(returned, 20)
        check(target.rtmp_url("copy/cam"))
        source.kill()
        source.wait()
        wait_for(lambda: not target.live("copy/cam"), 20)
    finally:
        again.kill()
        again.wait()


def test_pull_from_nginx_on_demand(pair, nginx, media, publish):
    server = pair(f"pull: [{{path: far/*, from: \"{nginx.url('live/{name}')}\"}}]\nstreams: {{wait_for_publisher: 4s, grace: 1s}}\n")
    publish(media / "bframes.flv", nginx.url("live/cam"))
    assert server.stream("far/cam") is None, "nobody asked yet"
    check(server.rtmp_url("far/cam"))
    assert server.stream("far/cam")["publisher"]["transport"] == "rtmp-pull"
    check(server.url("/far/cam.flv"), 2)
    assert server.log.read_text().count("is pulled") == 1, "one pull serves everybody"
    # Nobody watches any more: the pull ends.
    wait_for(lambda: "is no longer pulled: nobody watches" in server.log.read_text(), 15)
    wait_for(lambda: not server.live("far/cam"), 5)
    # And begins again with the next viewer, by whatever protocol.
    status, _, body = server.get("/far/cam.m3u8")
    assert status == 200 and b"#EXT-X-STREAM-INF" in body
    status, _, _ = server.get("/far/nothing.flv")
    assert status == 404, "what the origin has not"


def test_a_pull_outlives_its_origins_encoder_and_its_origin(pair, media, publish):
    origin = pair()
    server = pair(f"pull: [{{path: live/*, from: \"rtmp://127.0.0.1:{origin.rtmp}/{{app}}/{{name}}\"}}]\n")
    source = publish(media / "av.flv", origin.rtmp_url("live/cam"))
    wait_for(lambda: origin.live("live/cam"))
    viewer = Viewer(server.http, "live/cam")
    viewer.read_until(lambda: len(viewer.times) > 60, 10)
    assert server.stream("live/cam")["publisher"]["transport"] == "rtmp-pull"
    # The origin's encoder comes back: the viewer here stays.
    source.kill()
    source.wait()
    publish(media / "av.flv", origin.rtmp_url("live/cam"))
    count = len(viewer.times)
    viewer.read_until(lambda: len(viewer.times) > count + 60, 20)
    # The origin dies without a farewell and comes back where it was: the viewer still stays.
    origin.process.kill()
    origin.process.wait()
    pair(ports=[origin.http, origin.https, origin.rtmp, origin.rtmps])
    publish(media / "av.flv", origin.rtmp_url("live/cam"))
    count = len(viewer.times)
    viewer.read_until(lambda: len(viewer.times) > count + 60, 30)
    assert all(b >= a for a, b in zip(viewer.times, viewer.times[1:])), "times go on"
    viewer.close()


class Viewer:
    """Reads HTTP-FLV by hand, when it is told to."""

    def __init__(self, port, path, buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(f"GET /{path}.flv HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.times, self.keys, self.data, self.hasHead = [], [], b"", False

    def read_until(self, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"only {len(self.times)} pictures"
            self.socket.settimeout(max(0.1, end - time.monotonic()))
            received = self.socket.recv(1 << 16)
            assert received, "the server closed the connection"
            self.data += received
            self.parse()

    def parse(self):
        if not self.hasHead:
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if not found or len(rest) < 13:
                return
            assert b" 200 " in head[:20], head
            self.hasHead, self.data = True, rest[13:]
        while len(self.data) >= 11:
            size = int.from_bytes(self.data[1:4], "big")
            if len(self.data) < size + 15:
                return
            body = self.data[11:11 + size]
            assert struct.unpack(">I", self.data[11 + size:15 + size]) == (size + 11,), "tags stay whole"
            if self.data[0] == 9 and body[1] == 1:
                self.times.append(int.from_bytes(self.data[4:7], "big") | self.data[7] << 24)
                self.keys.append(body[0] >> 4 == 1)
            self.data = self.data[size + 15:]

    def close(self):
        self.socket.close()


def test_a_slow_viewer_goes_on_at_a_key_frame(pair, tmp_path, publish):
    # Enough bits that a few seconds exceed what kernel and ring may hold.
    source = tmp_path / "big.flv"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30,noise=alls=60:allf=t", "-t", "20", "-c:v", "libx264",
                    "-preset", "ultrafast", "-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "3M", "-g", "30", "-bf", "0", "-pix_fmt",
                    "yuv420p", str(source)], check=True)
    server = pair("streams: {ring_bytes: 2MiB, stuck: 20s}\n")
    publish(source, server.rtmp_url("live/big"))
    wait_for(lambda: server.live("live/big"))
    slow, honest = Viewer(server.http, "live/big", 16_384), Viewer(server.http, "live/big")
    slow.read_until(lambda: len(slow.times) > 30, 10)
    before = len(slow.times)
    last = slow.times[-1]
    # Stops for eight seconds; the other viewer reads on.
    honest.read_until(lambda: honest.times and honest.times[-1] > last + 8000, 20)
    slow.read_until(lambda: slow.times[-1] > last + 10_000, 20)
    steps = [(b - a, index + 1) for index, (a, b) in enumerate(zip(slow.times, slow.times[1:]))]
    assert all(step > 0 for step, _ in steps), "times grow"
    skips = [(step, index) for step, index in steps if step > 70]
    assert len(skips) >= 1 and sum(step for step, _ in skips) > 2000, skips
    for _, index in skips:
        assert index >= before - 1 and slow.keys[index], "it goes on at a key frame"
    assert max(b - a for a, b in zip(honest.times, honest.times[1:])) <= 70, "the other missed nothing"
    client = max(server.api("/clients")["clients"], key=lambda c: c["skips"])
    assert client["skips"] == len(skips), (client, skips)
    slow.close()
    honest.close()
