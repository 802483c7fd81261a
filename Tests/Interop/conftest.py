"""A server on free ports for each test module, and media made by ffmpeg. Nothing here is a mock."""
import contextlib
import dataclasses
import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import peer_table
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("MARTLET_BINARY", ROOT / ".build/release/martlet"))


def pytest_addoption(parser):
    parser.addoption("--peers-add", action="store_true", help="add to the table of peers of the run before")


def pytest_configure(config):
    config.addinivalue_line("markers", peer_table.MARK)
    config.addinivalue_line("markers", "alone: measures, or takes the whole machine: nothing runs beside it")
    config.addinivalue_line("markers", "paired: browsers and relays, which take one of two cores: one other runs beside it")
    config.pluginmanager.register(peer_table.PeerTable(ROOT / ".build/peers.md"))


def free_port():
    """For TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]


def loudest(*source):
    """The peak of a sound, in decibels below the largest there can be; nothing of it may be damaged."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", *source, "-vn", "-af", "volumedetect", "-f", "null", "-"],
        capture_output=True, text=True, timeout=60, check=True)
    assert "rror" not in result.stderr, result.stderr
    return float(re.search(r"max_volume: (-?[\d.]+) dB", result.stderr)[1])


def wait_for(condition, seconds=15, step=0.1):
    """The first true value of `condition`, or a failure after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(step)
    raise AssertionError(f"waited {seconds} s in vain for {getattr(condition, '__name__', condition)}")


@dataclasses.dataclass
class Server:
    process: subprocess.Popen
    http: int
    https: int
    rtmp: int
    rtmps: int
    log: pathlib.Path
    host: str = "127.0.0.1"
    # Of an administrator, where the test comes from elsewhere.
    token: str = ""

    def url(self, path):
        return f"http://{self.host}:{self.http}{path}"

    def rtmp_url(self, path):
        return f"rtmp://{self.host}:{self.rtmp}/{path}"

    def get(self, path, headers=None, timeout=20):
        if self.token and not headers:
            headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url(path), headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def api(self, path):
        status, _, body = self.get("/api/v1" + path)
        assert status == 200, (status, body)
        return json.loads(body)

    def stream(self, path):
        return next((s for s in self.api("/streams")["streams"] if s["path"] == path), None)

    def live(self, path):
        stream = self.stream(path)
        return stream if stream and stream["live"] and stream["tracks"] else None

    @property
    def resident(self):
        """Resident memory in KiB."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    @property
    def running(self):
        return self.process.poll() is None


def start_server(directory, *flags, configuration=None, ports=None, environment=None, host="127.0.0.1", webrtc=":0", token="",
                 prefix=()):
    """`prefix` begins the command: what runs the server elsewhere, at `host`."""
    ports = ports or [free_port() for _ in range(4)]
    command = [*prefix, str(BINARY), "serve", "--http", f"{host}:{ports[0]}", "--https", f"{host}:{ports[1]}",
               "--rtmp", f"{host}:{ports[2]}", "--rtmps", f"{host}:{ports[3]}", "--webrtc", webrtc, "--diagnostics", *flags]
    for flag in ("--turn", "--turns"):
        command += [] if flag in flags else [flag, "off"]
    if configuration:
        path = directory / "martlet.yaml"
        path.write_text(configuration)
        command += ["--config", str(path)]
    log = directory / "server.log"
    environment = dict(os.environ, XDG_STATE_HOME=str(directory / "state"), **(environment or {}))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log.open("w"), cwd=directory, env=environment)
    server = Server(process, *ports, log, host, token)

    def ready():
        assert server.running, log.read_text()
        try:
            return server.get("/readyz", timeout=2)[0] == 200
        except OSError:
            return False

    wait_for(ready)
    return server


def stop_server(server):
    if server.running:
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(15)
        except subprocess.TimeoutExpired:
            server.process.kill()
            raise AssertionError("the server did not stop within 15 s of SIGTERM")
    assert server.process.returncode == 0, f"exit {server.process.returncode}\n" + server.log.read_text()[-4000:]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    stop_server(server)


@pytest.fixture
def make_server(tmp_path):
    """Servers with flags or a configuration of the test's own."""
    servers = []

    def make(*flags, configuration=None):
        directory = tmp_path / f"server{len(servers)}"
        directory.mkdir()
        servers.append(start_server(directory, *flags, configuration=configuration))
        return servers[-1]

    yield make
    for server in servers:
        stop_server(server)


def ffmpeg(*arguments, binary="ffmpeg", timeout=90):
    result = subprocess.run([binary, "-v", "error", "-nostdin", *arguments], capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, result.stderr
    return result


VIDEO = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30"]
AUDIO = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-pix_fmt", "yuv420p"]
AAC = ["-c:a", "aac", "-b:a", "96k"]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Another site, as a reader's own: a folder and its address."""
    folder = tmp_path_factory.mktemp("pages")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{site.server_port}"
    site.shutdown()
    site.server_close()


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    """Fifteen-second files: name → path."""
    folder = tmp_path_factory.mktemp("media")
    make = {
        "av.flv": [*VIDEO, *AUDIO, *H264, "-bf", "0", *AAC],
        "bframes.flv": [*VIDEO, *AUDIO, *H264, "-bf", "3", *AAC],
        "video.flv": [*VIDEO, *H264, "-an"],
        "audio.flv": [*AUDIO, *AAC, "-vn"],
        "mp3.flv": [*VIDEO, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", *H264, "-c:a", "libmp3lame"],
    }
    for name, arguments in make.items():
        ffmpeg("-t", "15", *arguments, "-t", "15", "-f", "flv", str(folder / name))
    return folder


@pytest.fixture
def publish():
    """Publishes a file in real time, looped; answers the process."""
    processes = []

    def start(source, url, *options, binary="ffmpeg"):
        command = [binary, "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(source), "-c", "copy", *options, "-f", "flv", url]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def probe(url, *options, seconds=4, binary="ffprobe"):
    """Streams and packets of the first seconds of a URL."""
    result = subprocess.run(
        [binary, "-v", "error", "-show_streams", "-show_packets", "-read_intervals", f"%+{seconds}", "-of", "json", *options, url],
        capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    parsed = json.loads(result.stdout)
    return parsed["streams"], parsed["packets"]


@pytest.fixture(scope="session")
def ffmpeg9():
    """The newer FFmpeg inside imageio-ffmpeg: HEVC, AV1 and Opus in FLV."""
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


@pytest.fixture(scope="module")
def chromium():
    """With a camera and a microphone; `test_browsers` has one of its own."""
    from webrtc import WEBRTC_BROWSERS

    browser = WEBRTC_BROWSERS["chromium"]()
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def chromium_path():
    path = shutil.which("chromium")
    assert path, "chromium is not installed: Scripts/bootstrap --interop"
    return path
