"""HEVC, AV1, VP9 and Opus, published in enhanced FLV over RTMP by FFmpeg 9 and read back from each output.

FFmpeg 9 copies what it gets into Matroska, which holds all of these codecs; Debian's ffprobe reads that file."""
import collections
import concurrent.futures
import subprocess

import pytest
from conftest import ffmpeg, probe, start_server, stop_server, wait_for

SECONDS = 4
VIDEO = {
    "hevc": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"],
    "av1": ["-c:v", "libsvtav1", "-preset", "10"],
    "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
    "h264": ["-c:v", "libx264", "-preset", "veryfast"],
}
AUDIO = {"aac": ["-c:a", "aac"], "opus": ["-c:a", "libopus", "-application", "lowdelay"]}
PAIRS = [("hevc", "aac"), ("av1", "aac"), ("vp9", "opus"), ("hevc", "opus"), ("h264", "opus"), ("av1", "opus")]


CASES = [(pair, output) for pair in PAIRS for output in ("rtmp", ".flv", ".mp4")]
CASES += [(pair, output) for pair in PAIRS if pair[0] in ("hevc", "h264") for output in (".ts", ".m3u8")]


DECODES = [(pair, output) for pair in PAIRS for output in ("rtmp", ".mp4")] + [(("hevc", "aac"), ".ts"), (("hevc", "opus"), ".m3u8")]


def name(value):
    return "-".join(value) if isinstance(value, tuple) else value.strip(".")


@pytest.fixture(scope="module")
def lively(tmp_path_factory, ffmpeg9):
    """A server with a stream of every pair, published at the same time."""
    folder = tmp_path_factory.mktemp("enhanced")
    server = start_server(folder)
    publishers = []

    def encode(pair):
        file = folder / f"{name(pair)}.flv"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
               "-t", "60", *VIDEO[pair[0]], "-pix_fmt", "yuv420p", "-g", "25", *AUDIO[pair[1]], str(file), binary=ffmpeg9)
        return file

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        files = list(pool.map(encode, PAIRS))
    for pair, file in zip(PAIRS, files):
        publishers.append(subprocess.Popen([ffmpeg9, "-v", "error", "-nostdin", "-re", "-i", str(file), "-c", "copy", "-f", "flv",
                                            server.rtmp_url(f"live/{name(pair)}")]))
    for pair in PAIRS:
        wait_for(lambda: server.live(f"live/{name(pair)}"))
    yield server
    for publisher in publishers:
        publisher.kill()
        publisher.wait()
    stop_server(server)


def address(server, path, output):
    return server.rtmp_url(path) if output == "rtmp" else server.url(f"/{path}{output}")


@pytest.fixture(scope="module")
def views(lively, ffmpeg9, tmp_path_factory):
    """All viewers at the same time: those that copy `SECONDS` into a file, and those that decode; by case."""
    folder = tmp_path_factory.mktemp("views")

    def view(case):
        (pair, output), decodes = case
        target = ["-f", "null", "-"] if decodes else ["-c", "copy", str(folder / f"{name(pair)}-{name(output)}.mkv")]
        return subprocess.run([ffmpeg9, "-v", "error", "-nostdin", "-y", "-i", address(lively, "live/" + name(pair), output), "-t", str(SECONDS),
                               *target], capture_output=True, text=True, timeout=60)

    cases = [(case, False) for case in CASES] + [(case, True) for case in DECODES]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        results = dict(zip(cases, pool.map(view, cases)))
    return folder, results


@pytest.mark.parametrize("pair,output", CASES, ids=name)
def test_every_codec_arrives(views, pair, output):
    folder, results = views
    result = results[(pair, output), False]
    assert result.returncode == 0, result.stderr
    found, packets = probe(str(folder / f"{name(pair)}-{name(output)}.mkv"), seconds=SECONDS + 5)
    streams = {s["codec_type"]: s for s in found}
    kinds = collections.defaultdict(list)
    for packet in packets:
        kinds[packet["codec_type"]].append(packet)
    packets = kinds
    assert (streams["video"]["codec_name"], streams["audio"]["codec_name"]) == pair
    assert (streams["video"]["width"], streams["video"]["height"]) == (320, 180)
    assert streams["audio"]["sample_rate"] == "48000"
    pictures, sounds = packets["video"], packets["audio"]
    assert SECONDS * 25 - 15 <= len(pictures) <= SECONDS * 25 + 15, len(pictures)
    assert SECONDS * 45 - 20 <= len(sounds) <= SECONDS * 100 + 20, len(sounds)
    assert "K" in pictures[0]["flags"]
    keys = [index for index, packet in enumerate(pictures) if "K" in packet["flags"]]
    assert all(b - a == 25 for a, b in zip(keys, keys[1:])), keys
    # Presentation times in order are one frame apart: nothing is lost and nothing comes twice.
    times = sorted(float(p["pts_time"]) for p in pictures)[:-5]
    steps = [b - a for a, b in zip(times, times[1:])]
    assert 0.035 < min(steps) and max(steps) < 0.045, (min(steps), max(steps))
    sound_times = [float(p["pts_time"]) for p in sounds]
    assert abs(sound_times[-1] - times[-1]) < 0.6, "sound and picture end together"


@pytest.mark.parametrize("pair,output", DECODES, ids=name)
def test_decodes_without_a_complaint(views, pair, output):
    result = views[1][(pair, output), True]
    complaints = [line for line in result.stderr.splitlines() if line.strip() and not line.startswith("Svt")]
    assert result.returncode == 0 and not complaints, result.stderr


@pytest.mark.parametrize("codec", ["av1-aac", "vp9-opus"])
@pytest.mark.parametrize("output", [".ts", ".m3u8"])
def test_what_transport_streams_cannot_carry_is_a_406_that_says_so(lively, codec, output):
    status, _, body = lively.get(f"/live/{codec}{output}")
    assert status == 406, body
    assert codec.split("-")[0].upper().encode() in body and len(body.split()) > 4, body


def test_the_api_names_the_codecs(lively):
    names = {tuple(t["codec"].upper() for t in s["tracks"]) for s in lively.api("/streams")["streams"]}
    assert {("HEVC", "AAC"), ("AV1", "AAC"), ("VP9", "OPUS")} <= names, names
    strings = {t.get("codec_string", "") for s in lively.api("/streams")["streams"] for t in s["tracks"]}
    for prefix in ("hvc1.", "av01.", "vp09.", "opus", "mp4a.40.2", "avc1."):
        assert any(s.lower().startswith(prefix) for s in strings), (prefix, strings)
