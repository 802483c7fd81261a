"""The programs of Examples/, which see only the products, against the real server and ffmpeg. `make examples` builds them."""
import hashlib
import os
import pathlib
import signal
import subprocess

import pytest

from conftest import ROOT, free_port, probe, wait_for

FOLDER = pathlib.Path(os.environ.get("MARTLET_EXAMPLES", ROOT / ".build/examples/debug"))


@pytest.fixture
def example():
    """Starts an example; answers the process."""
    processes = []

    def start(name, *arguments):
        command = [str(FOLDER / name), *map(str, arguments)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def kinds(streams):
    return {s["codec_type"]: s["codec_name"] for s in streams}


def test_publish_file_keeps_the_pace_of_the_file_and_loops(server, media, example):
    process = example("publish-file", "--loop", media / "bframes.flv", server.rtmp_url("live/example"))
    wait_for(lambda: server.live("live/example"))
    streams, packets = probe(server.rtmp_url("live/example"), seconds=18)
    assert kinds(streams) == {"video": "h264", "audio": "aac"}
    times = [float(p["dts_time"]) for p in packets if p["codec_type"] == "video"]
    assert all(a <= b for a, b in zip(times, times[1:]))
    # The file has fifteen seconds: it went on where it had ended, at thirty pictures a second.
    assert times[-1] - times[0] > 15
    assert max(b - a for a, b in zip(times, times[1:])) < 0.2
    assert process.poll() is None
    rate = server.stream("live/example")["frame_rate"]
    assert 25 < rate < 35, rate


def test_publish_file_ends_with_its_file_and_reports_refusals(server, media, example, tmp_path):
    short = tmp_path / "short.flv"
    subprocess.run(["ffmpeg", "-v", "error", "-t", "2", "-i", str(media / "av.flv"), "-c", "copy", str(short)], check=True)
    process = example("publish-file", short, server.rtmp_url("live/short"))
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1] == "done"
    process = example("publish-file", short, server.rtmp_url("api/v1"))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and "belong to the server" in errors, errors


def test_watch_says_what_ffmpeg_publishes(server, media, publish, example):
    publish(media / "av.flv", server.rtmp_url("live/watched"))
    wait_for(lambda: server.live("live/watched"))
    process = example("watch", server.rtmp_url("live/watched"), 4)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert len(lines) == 4
    assert "avc1." in lines[-1] and "640x360" in lines[-1] and "mp4a.40.2 48000 Hz" in lines[-1], lines
    pictures = int(lines[-1].split(" fps")[0].split()[-1])
    assert 24 <= pictures <= 36, lines


def test_watch_ends_with_the_stream_and_says_when_there_is_none(make_server, media, publish, example):
    server = make_server(configuration="streams: {grace: 200ms, wait_for_publisher: 300ms}\n")
    publisher = publish(media / "av.flv", server.rtmp_url("live/ends"))
    wait_for(lambda: server.live("live/ends"))
    process = example("watch", server.rtmp_url("live/ends"))
    process.stdout.readline()
    publisher.kill()
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "the stream has ended" in output
    process = example("watch", server.rtmp_url("live/nobody"))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and "NetStream.Play.StreamNotFound" in errors, errors


def test_fetch_downloads_a_large_file_with_little_memory(make_server, example, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    content = os.urandom(1 << 20) * 64
    (files / "large.bin").write_bytes(content)
    server = make_server(configuration=f"http:\n  static: {files}\n")
    target = tmp_path / "copy.bin"
    process = example("fetch", server.url("/large.bin"), target)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert f"{len(content)} bytes  100 %" in errors
    process = example("fetch", server.url("/missing.bin"), tmp_path / "nothing")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and "404" in errors


def test_an_embedded_server_serves_its_own_stream_and_those_of_others(media, publish, example):
    http, rtmp = free_port(), free_port()
    process = example("embedded-server", media / "av.flv", http, rtmp)
    links = [process.stdout.readline() for _ in range(2)]
    assert f"http://127.0.0.1:{http}/live/file.m3u8" in links[0]
    assert f"rtmp://127.0.0.1:{rtmp}/live/file" in links[1]
    for url in [f"rtmp://127.0.0.1:{rtmp}/live/file", f"http://127.0.0.1:{http}/live/file.flv",
                f"http://127.0.0.1:{http}/live/file.ts", f"http://127.0.0.1:{http}/live/file.mp4",
                f"http://127.0.0.1:{http}/live/file.m3u8"]:
        streams, packets = probe(url, seconds=2)
        assert kinds(streams) == {"video": "h264", "audio": "aac"}, url
        assert len(packets) > 50, url
    publish(media / "av.flv", f"rtmp://127.0.0.1:{rtmp}/live/other")
    assert kinds(probe(f"rtmp://127.0.0.1:{rtmp}/live/other", seconds=2)[0]) == {"video": "h264", "audio": "aac"}
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1] == "stopped"
