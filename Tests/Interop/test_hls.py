"""HLS by the rules of RFC 8216, by ffmpeg and by GStreamer."""
import math
import re
import subprocess
import threading
import time
import urllib.parse

import pytest
from conftest import ffmpeg, start_server, stop_server, wait_for

SEGMENT = re.compile(r"/?[^\n?]*?([0-9a-f]{17,32})-(\d+)\.ts")


class Playlist:
    """A media playlist, checked line by line as it is read."""

    def __init__(self, text):
        self.text, self.segments, self.dates, self.durations, self.discontinuities = text, [], [], [], []
        lines = text.splitlines()
        assert lines[0] == "#EXTM3U"
        tags = {}
        discontinuity = False
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name == "#EXTINF":
                self.durations.append(float(value.rstrip(",")))
            elif name == "#EXT-X-PROGRAM-DATE-TIME":
                self.dates.append(value)
            elif name == "#EXT-X-DISCONTINUITY":
                discontinuity = True
            elif not line.startswith("#"):
                self.segments.append(line)
                self.discontinuities.append(discontinuity)
                discontinuity = False
            else:
                assert name not in tags, f"{name} comes twice"
                tags[name] = value
        self.target = int(tags["#EXT-X-TARGETDURATION"])
        self.sequence = int(tags["#EXT-X-MEDIA-SEQUENCE"])
        self.ended = "#EXT-X-ENDLIST" in tags
        assert int(tags["#EXT-X-VERSION"]) >= 3
        assert len(self.durations) == len(self.segments) == len(self.dates)
        # §4.3.3.1: each length, rounded, is at most the target.
        assert all(math.floor(d + 0.5) <= self.target for d in self.durations), (self.target, self.durations)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", d) for d in self.dates)
        assert self.numbers == list(range(self.sequence, self.sequence + len(self.segments)))

    @property
    def numbers(self):
        return [int(SEGMENT.search(s).group(2)) for s in self.segments]

    @property
    def epochs(self):
        return {SEGMENT.search(s).group(1) for s in self.segments}


def media_playlist(server, path, query=""):
    status, _, body = server.get(f"/{path}/index.m3u8{query}")
    assert status == 200, body
    return Playlist(body.decode())


def start(source, url, loop=True, options=()):
    command = ["ffmpeg", "-v", "error", "-nostdin", "-re", *(["-stream_loop", "-1"] if loop else []), "-i", str(source), "-c", "copy", *options]
    return subprocess.Popen([*command, "-f", "flv", url], stderr=subprocess.DEVNULL)


def stop(process):
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def renditions(tmp_path_factory):
    """The same picture in three sizes, with key frames at the same times."""
    folder = tmp_path_factory.mktemp("renditions")
    for name, size, rate in [("high", "640x360", "1500k"), ("middle", "480x270", "600k"), ("low", "320x180", "200k")]:
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=15", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "100", "-c:v",
               "libx264", "-preset", "ultrafast", "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-nal-hrd", "cbr", "-g", "30",
               "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", "-f", "flv", str(folder / f"{name}.flv"))
    return folder


@pytest.fixture(scope="module")
def live(tmp_path_factory, media, renditions):
    """`live/cam` with one-second key frames; `live/main` with two more renditions."""
    folder = tmp_path_factory.mktemp("hls")
    server = start_server(folder, configuration=(
        "hls: {fragment: 1s, window: 6s, hold: 6s, renditions: {live/main: [live/main_720, live/main_180]}}\n"
        "streams: {grace: 3s}\n"))
    processes = [start(media / "bframes.flv", server.rtmp_url("live/cam")), start(renditions / "middle.flv", server.rtmp_url("live/main"), False),
                 start(renditions / "high.flv", server.rtmp_url("live/main_720"), False),
                 start(renditions / "low.flv", server.rtmp_url("live/main_180"), False)]
    for name in ("cam", "main", "main_720", "main_180"):
        wait_for(lambda: server.live(f"live/{name}"))
    yield server
    for process in processes:
        stop(process)
    stop_server(server)


def test_the_playlist_keeps_its_rules_while_it_moves(live):
    seen, last = {}, None
    end = time.monotonic() + 10
    while time.monotonic() < end:
        playlist = media_playlist(live, "live/cam")
        assert not playlist.ended and not any(playlist.discontinuities[1:])
        assert len(playlist.epochs) == 1
        if last:
            assert playlist.sequence >= last.sequence and playlist.numbers[-1] >= last.numbers[-1]
            assert playlist.target >= last.target and playlist.epochs == last.epochs
        for number, uri, date, duration in zip(playlist.numbers, playlist.segments, playlist.dates, playlist.durations):
            assert seen.setdefault(number, (uri, date, duration)) == (uri, date, duration), "what has been said of a segment stays true"
        last = playlist
        time.sleep(0.3)
    assert last.sequence > 0, "old segments left"
    assert sum(last.durations) >= 6 - 0.1
    # Dates follow durations.
    times = [time.mktime(time.strptime(d[:19], "%Y-%m-%dT%H:%M:%S")) + float(d[19:23]) for d in last.dates]
    for a, b, duration in zip(times, times[1:], last.durations):
        assert abs(b - a - duration) < 0.05
    # One that left the playlist is still there for a window.
    gone = last.sequence - 1
    assert live.get("/live/cam/" + seen[gone][0].split("/")[-1])[0] == 200


def test_segments_begin_with_tables_and_a_key_frame(live, tmp_path):
    playlist = media_playlist(live, "live/cam")
    status, fields, body = live.get("/live/cam/" + playlist.segments[-1])
    assert status == 200 and fields["Content-Type"] == "video/mp2t" and len(body) % 188 == 0 and body[0] == 0x47
    assert body[1:3] == b"\x40\x00", "the PAT comes first"
    (tmp_path / "s.ts").write_bytes(body)
    result = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0", str(tmp_path / "s.ts")],
                            capture_output=True, text=True)
    assert result.stdout.startswith("K") and result.stderr == ""


def test_cache_and_cors_fields(live):
    origin = {"Origin": "https://player.example"}
    status, fields, body = live.get("/live/cam.m3u8", headers=origin)
    assert status == 200 and fields["Content-Type"] == "application/vnd.apple.mpegurl"
    assert fields["Access-Control-Allow-Origin"] in ("*", "https://player.example")
    assert b"#EXT-X-STREAM-INF" in body
    status, fields, body = live.get("/live/cam/index.m3u8", headers=origin)
    caching = fields["Cache-Control"]
    assert "public" in caching and int(re.search(r"max-age=(\d+)", caching).group(1)) <= 1, caching
    assert fields["Access-Control-Allow-Origin"] in ("*", "https://player.example")
    segment = "/live/cam/" + Playlist(body.decode()).segments[-1]
    _, fields, content = live.get(segment, headers=origin)
    assert "immutable" in fields["Cache-Control"] and "public" in fields["Cache-Control"]
    status, _, nothing = live.get(segment, headers={"If-None-Match": fields["ETag"]})
    assert status == 304 and nothing == b""
    status, _, part = live.get(segment, headers={"Range": "bytes=188-375"})
    assert status == 206 and part == content[188:376]

    def unchanged():
        _, fields, _ = live.get("/live/cam/index.m3u8")
        return live.get("/live/cam/index.m3u8", headers={"If-None-Match": fields["ETag"]})[0] == 304

    wait_for(unchanged, 5)


def test_no_such_segment(live):
    playlist = media_playlist(live, "live/cam")
    last = playlist.segments[-1]
    number = playlist.numbers[-1]
    assert live.get("/live/cam/" + last.replace(f"-{number}.ts", f"-{number + 50}.ts"))[0] == 404
    epoch = playlist.epochs.copy().pop()
    other = ("0" if epoch[0] != "0" else "1") + epoch[1:]
    assert live.get("/live/cam/" + last.replace(epoch, other))[0] == 404, "a name of another run"


def test_the_first_request_is_held_until_there_is_a_segment(live, media):
    answers = {}

    def ask():
        begun = time.monotonic()
        answers["status"], _, answers["body"] = live.get("/live/later.m3u8", timeout=30)
        answers["seconds"] = time.monotonic() - begun

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(1.5)
    process = start(media / "av.flv", live.rtmp_url("live/later"))
    asking.join(20)
    assert answers["status"] == 200 and answers["body"].startswith(b"#EXTM3U") and answers["seconds"] > 1.5
    # Gone: the playlist ends after the grace period, then there is none.
    stop(process)
    assert not media_playlist(live, "live/later").ended
    ended = wait_for(lambda: (lambda p: p.ended and p)(media_playlist(live, "live/later")), 10)
    assert live.get("/live/later/" + ended.segments[-1])[0] == 200
    wait_for(lambda: live.get("/live/later/index.m3u8", timeout=30)[0] == 404, 40)
    assert live.get("/live/later/" + ended.segments[-1])[0] == 404


def test_a_republish_is_a_discontinuity_and_the_numbers_go_on(live, media):
    process = start(media / "av.flv", live.rtmp_url("live/again"))
    before = media_playlist(live, "live/again")
    wait_for(lambda: len(media_playlist(live, "live/again").segments) >= 3)
    stop(process)
    process = start(media / "av.flv", live.rtmp_url("live/again"))
    after = wait_for(lambda: (lambda p: any(p.discontinuities) and p)(media_playlist(live, "live/again")), 10)
    stop(process)
    assert after.epochs == before.epochs and not after.ended
    assert after.discontinuities.count(True) == 1 and after.numbers[-1] > before.numbers[-1]


def test_viewers_are_counted(live):
    for agent in ("one", "two", "one"):
        for path in ("/live/cam.m3u8", "/live/cam/index.m3u8"):
            assert live.get(path, headers={"User-Agent": f"counted {agent}"})[0] == 200
    clients = wait_for(lambda: [c for c in live.api("/clients")["clients"] if c.get("user_agent", "").startswith("counted")], 5)
    wait_for(lambda: len([c for c in live.api("/clients")["clients"] if c.get("user_agent", "").startswith("counted")]) == 2, 5)
    assert clients[0]["transport"] == "hls"
    assert live.stream("live/cam")["viewers"]["by_transport"]["hls"] >= 2


def attributes(text):
    variants = []
    for line, uri in zip(text.splitlines(), text.splitlines()[1:]):
        if line.startswith("#EXT-X-STREAM-INF:"):
            variants.append((dict(re.findall(r'([A-Z-]+)=("[^"]*"|[^,]+)', line)), uri))
    return variants


def test_renditions_are_listed_and_cut_alike(live):
    def all_three():
        variants = attributes(live.get("/live/main.m3u8")[2].decode())
        return variants if len(variants) == 3 else None

    variants = wait_for(all_three, 20)
    found = {urllib.parse.unquote(uri): v for v, uri in variants}
    by_size = {v["RESOLUTION"]: int(v["BANDWIDTH"]) for v, _ in variants}
    assert set(by_size) == {"640x360", "480x270", "320x180"}
    assert by_size["640x360"] > by_size["480x270"] > by_size["320x180"] > 100_000, by_size
    for values in found.values():
        assert "avc1." in values["CODECS"] and "mp4a.40.2" in values["CODECS"]
        assert int(values["AVERAGE-BANDWIDTH"]) <= int(values["BANDWIDTH"])
    time.sleep(5)
    cuts = []
    for name in ("main", "main_720", "main_180"):
        playlist = media_playlist(live, f"live/{name}")
        assert all(abs(d - 2) < 0.1 for d in playlist.durations[1:-1]), playlist.durations
        first = live.get(f"/live/{name}/{playlist.segments[-1]}")[2]
        result = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-read_intervals", "%+#1", "-of",
                                 "csv=p=0", "-i", "-"], input=first, capture_output=True)
        cuts.append(float(result.stdout.decode().split("\n")[0].strip(",")) % 2)
    assert max(cuts) - min(cuts) < 0.1 or max(cuts) - min(cuts) > 1.9, cuts


class Throttle(threading.Thread):
    """A proxy that passes at most `rate` bytes a second to the player, and writes down what was asked for."""

    def __init__(self, server, rate):
        super().__init__(daemon=True)
        import http.server

        throttle, self.rate, self.asked = self, rate, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                throttle.asked.append((time.monotonic(), self.path))
                status, fields, body = server.get(self.path, timeout=30)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", fields.get("Content-Type", "text/plain"))
                self.end_headers()
                try:
                    for position in range(0, len(body), 8192):
                        self.wfile.write(body[position:position + 8192])
                        time.sleep(8192 / throttle.rate)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.start()

    def run(self):
        self.server.serve_forever()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"


def test_a_throttled_player_takes_a_lower_rendition(live):
    wait_for(lambda: len(attributes(live.get("/live/main.m3u8")[2].decode())) == 3, 20)
    throttle = Throttle(live, 4_000_000)
    # GStreamer measures and switches; playbin, unlike a pipeline put together by hand, follows.
    player = subprocess.Popen(["gst-launch-1.0", "-q", "playbin", f"uri={throttle.url('/live/main.m3u8')}", "video-sink=fakesink sync=true",
                               "audio-sink=fakesink sync=true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def segments(since=0.0):
            return [path.split("/")[2] for at, path in throttle.asked if path.endswith(".ts") and at >= since]

        wait_for(lambda: "main_720" in segments(), 25)
        throttled = time.monotonic()
        throttle.rate = 80_000
        wait_for(lambda: {"main", "main_180"} & set(segments(throttled)), 30)
    finally:
        stop(player)
        throttle.server.shutdown()


def test_ffmpeg_plays_twelve_seconds_without_a_complaint(live, media):
    result = subprocess.run(["ffmpeg", "-v", "warning", "-nostdin", "-i", live.url("/live/cam.m3u8"), "-t", "12", "-f", "null", "-"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    # The file begins anew every fifteen seconds, which the encoder's own clock shows: nothing else may be said.
    assert [line for line in result.stderr.splitlines() if "error" in line.lower() or "corrupt" in line.lower()] == []


def test_gstreamer_plays(live, tmp_path):
    output = tmp_path / "out"
    with output.open("w") as file:
        player = subprocess.Popen(["gst-launch-1.0", "souphttpsrc", f"location={live.url('/live/cam/index.m3u8')}", "!", "hlsdemux", "!", "tsdemux",
                                   "name=d", "d.", "!", "queue", "!", "h264parse", "!", "avdec_h264", "!", "fakesink", "silent=false", "-v",
                                   "sync=false"], stdout=file, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: output.read_text().count("chain ") > 150, 20)
        finally:
            stop(player)
    assert "ERROR" not in output.read_text()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, media):
    server = start_server(tmp_path_factory.mktemp("guarded"), configuration=(
        "hls: {fragment: 1s, segment_base_url: \"https://cdn.example\"}\nauth: {keys: [{key: hls-key-1, do: [play], on: [live/*]}]}\n"))
    process = start(media / "av.flv", server.rtmp_url("live/cam"))
    wait_for(lambda: server.live("live/cam"))
    yield server
    stop(process)
    stop_server(server)


def test_credentials_go_into_uris_and_nothing_is_stored(guarded):
    assert guarded.get("/live/cam.m3u8")[0] == 401
    status, fields, body = guarded.get("/live/cam.m3u8?token=hls-key-1&x=1")
    assert status == 200 and fields["Cache-Control"] == "no-store"
    uri = [line for line in body.decode().splitlines() if not line.startswith("#")][0]
    assert uri == "cam/index.m3u8?token=hls-key-1"
    status, fields, body = guarded.get("/live/" + uri)
    assert status == 200 and fields["Cache-Control"] == "no-store"
    playlist = Playlist(body.decode())
    assert all(s.endswith(".ts?token=hls-key-1") for s in playlist.segments)
    segment = urllib.parse.urlsplit(playlist.segments[-1])
    status, fields, _ = guarded.get(f"{segment.path}?{segment.query}")
    assert status == 200 and "private" in fields["Cache-Control"]
    assert guarded.get(segment.path)[0] == 401


def test_segments_on_a_cdn(guarded):
    playlist = media_playlist(guarded, "live/cam", "?key=hls-key-1")
    assert all(s.startswith("https://cdn.example/live/cam/") for s in playlist.segments), playlist.segments


def test_copies_on_disk_are_removed_and_leftovers_too(make_server, media, tmp_path):
    folder = tmp_path / "disk"
    (folder / "live/old").mkdir(parents=True)
    (folder / "live/old/00000000000000001-7.ts").write_bytes(b"left over")
    (folder / "live/old/index.m3u8").write_text("#EXTM3U\n")
    (folder / "mine.txt").write_text("stays")
    server = make_server(configuration=f"hls: {{fragment: 1s, window: 2s, always: true, path: {folder}}}\nstreams: {{grace: 1s}}\n")
    process = start(media / "av.flv", server.rtmp_url("live/cam"))
    try:
        wait_for(lambda: (folder / "live/cam/index.m3u8").exists())
        assert not (folder / "live/old").exists() and (folder / "mine.txt").exists()
        time.sleep(8)
        playlist = Playlist((folder / "live/cam/index.m3u8").read_text())
        files = sorted(p.name for p in (folder / "live/cam").glob("*.ts"))
        assert {s.split("/")[-1] for s in playlist.segments} <= set(files) and len(files) <= 9, files
    finally:
        stop(process)
