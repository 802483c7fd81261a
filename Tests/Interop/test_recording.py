"""Recordings: what is on disk plays, also after a kill -9, and the REST API lists, sends and deletes it."""
import json
import signal
import subprocess
import time

import pytest
from conftest import ffmpeg, probe, start_server, stop_server, wait_for


def configuration(folder):
    return f"record: {{path: {folder}}}\n"


def publish_once(source, url, seconds):
    return subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-re", "-i", str(source), "-t", str(seconds), "-c", "copy", "-f", "flv", url])


def recordings(server, path):
    status, _, body = server.get(f"/api/v1/recordings?stream={path}")
    assert status == 200, body
    return json.loads(body)["recordings"]


def request(server, method, path, *headers):
    arguments = ["curl", "-s", "-i", "--max-time", "10", "-X", method]
    for header in headers:
        arguments += ["-H", header]
    answer = subprocess.run([*arguments, server.url(path)], capture_output=True, timeout=20).stdout
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), fields, body


@pytest.fixture(scope="module")
def recorder(tmp_path_factory, media):
    """A server with one finished recording of five seconds, and one under way."""
    folder = tmp_path_factory.mktemp("recorder")
    server = start_server(folder, configuration=configuration(folder / "recordings"))
    active = subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(media / "av.flv"), "-c",
                               "copy", "-f", "flv", server.rtmp_url("live/active")])
    assert publish_once(media / "bframes.flv", server.rtmp_url("live/done"), 5).wait(30) == 0
    wait_for(lambda: [r for r in recordings(server, "live/done") if r["finished"]])
    yield server
    active.kill()
    active.wait()
    stop_server(server)


@pytest.fixture
def finished(recorder):
    return next(r for r in recordings(recorder, "live/done") if r["finished"])


@pytest.fixture
def file(recorder, finished):
    return recorder.log.parent / "recordings" / finished["path"]


def test_the_list_says_what_there_is(recorder, finished, file):
    assert finished["stream"] == "live/done" and finished["size"] == file.stat().st_size
    assert 4.5 < finished["duration"] < 5.5
    active = recordings(recorder, "live/active")[0]
    assert not active["finished"]
    everything = json.loads(recorder.get("/api/v1/recordings")[2])["recordings"]
    assert {r["stream"] for r in everything} >= {"live/done", "live/active"}


def test_duration_frames_and_seeking(file):
    result = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(file)],
                            capture_output=True, text=True)
    assert 4.5 < float(result.stdout) < 5.5 and result.stderr == ""
    streams, packets = probe(str(file), seconds=20)
    assert {s["codec_name"] for s in streams} == {"h264", "aac"}
    video = [p for p in packets if p["codec_type"] == "video"]
    assert 145 <= len(video) <= 152, len(video)
    # The index of key frames in the head leads a player straight to the second before the one that it asks for.
    _, packets = probe(str(file), "-select_streams", "v", "-read_intervals", "3.5%+#1")
    assert "K" in packets[0]["flags"] and 2.9 <= float(packets[0]["pts_time"]) <= 3.5
    ffmpeg("-ss", "2", "-i", str(file), "-f", "null", "-")


def test_the_head_holds_an_index_of_key_frames(file):
    content = file.read_bytes()[:20_000]
    assert b"keyframes" in content and b"filepositions" in content and b"times" in content


def test_decodes_without_a_complaint(file):
    assert ffmpeg("-i", str(file), "-f", "null", "-").stderr == ""


def test_download_whole_and_in_ranges(recorder, finished, file):
    path, content = "/api/v1/recordings/" + finished["path"], file.read_bytes()
    status, fields, body = request(recorder, "GET", path)
    assert status == 200 and body == content and fields["content-type"] == "video/x-flv"
    assert fields["accept-ranges"] == "bytes" and "attachment" in fields["content-disposition"]
    status, part, body = request(recorder, "GET", path, "Range: bytes=1000-1999")
    assert (status, part["content-range"], body) == (206, f"bytes 1000-1999/{len(content)}", content[1000:2000])
    status, part, body = request(recorder, "GET", path, "Range: bytes=-500")
    assert status == 206 and body == content[-500:]
    status, part, _ = request(recorder, "GET", path, f"Range: bytes={len(content)}-")
    assert status == 416 and part["content-range"] == f"bytes */{len(content)}"
    status, _, body = request(recorder, "GET", path, "Range: bytes=0-9", f"If-Range: {fields['etag']}")
    assert status == 206 and body == content[:10]
    status, _, body = request(recorder, "GET", path, "Range: bytes=0-9", 'If-Range: "old"')
    assert status == 200 and body == content
    status, _, body = request(recorder, "GET", path, f"If-None-Match: {fields['etag']}")
    assert status == 304 and body == b""


def test_a_player_seeks_over_http(recorder, finished):
    url = recorder.url("/api/v1/recordings/" + finished["path"])
    _, packets = probe(url, "-select_streams", "v", "-read_intervals", "3.5%+#1")
    assert 2.9 <= float(packets[0]["pts_time"]) <= 3.5


@pytest.mark.parametrize("path", ["live/done/nothing.flv", "live/../../etc/passwd", "live/%2e%2e/%2e%2e/x.flv", "live/done/2026-01-01T00-00-00.000Z.flv"])
def test_no_recording_of_another_name(recorder, path):
    answer = subprocess.run(["curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", recorder.url("/api/v1/recordings/" + path)],
                            capture_output=True, text=True)
    assert answer.stdout in ("400", "404")


def test_only_administrators(recorder, finished):
    path = "/api/v1/recordings"
    for method, target in [("GET", path), ("GET", f"{path}/{finished['path']}"), ("DELETE", f"{path}/{finished['path']}")]:
        status, _, body = request(recorder, method, target, "X-Forwarded-For: 192.0.2.1")
        assert status in (401, 403), (method, target, status)
        assert b"token" in body
    token = next((recorder.log.parent / "state").rglob("admin-token")).read_text().strip()
    status, _, _ = request(recorder, "GET", path, "X-Forwarded-For: 192.0.2.1", f"Authorization: Bearer {token}")
    assert status == 200
    status, _, _ = request(recorder, "DELETE", f"{path}/{finished['path']}", "Origin: https://evil.example")
    assert status in (401, 403)


def test_a_recording_under_way_is_readable_and_cannot_be_deleted(recorder):
    active = recordings(recorder, "live/active")[0]
    status, _, body = request(recorder, "DELETE", "/api/v1/recordings/" + active["path"])
    assert status == 409 and b"being written" in body
    streams, packets = probe(recorder.url("/api/v1/recordings/" + active["path"]), seconds=2)
    assert {s["codec_name"] for s in streams} == {"h264", "aac"} and len(packets) > 60


def test_delete(recorder, media):
    assert publish_once(media / "av.flv", recorder.rtmp_url("live/gone"), 1).wait(20) == 0
    recording = wait_for(lambda: [r for r in recordings(recorder, "live/gone") if r["finished"]])[0]
    path = "/api/v1/recordings/" + recording["path"]
    assert request(recorder, "DELETE", path)[0] == 204
    assert request(recorder, "DELETE", path)[0] == 404
    assert request(recorder, "GET", path)[0] == 404
    assert recordings(recorder, "live/gone") == []


def test_rotation_begins_files_at_key_frames(tmp_path, media):
    server = start_server(tmp_path, configuration=f"record: {{path: {tmp_path / 'r'}, rotate: 2s}}\n")
    assert publish_once(media / "av.flv", server.rtmp_url("live/long"), 5).wait(20) == 0
    found = wait_for(lambda: len([r for r in recordings(server, "live/long") if r["finished"]]) >= 3 and recordings(server, "live/long"))
    assert 4.5 < sum(r["duration"] for r in found) < 5.5
    for recording in found:
        _, packets = probe(str(tmp_path / "r" / recording["path"]))
        assert "K" in next(p for p in packets if p["codec_type"] == "video")["flags"]
    stop_server(server)


def test_readable_after_a_kill(tmp_path, media):
    server = start_server(tmp_path, configuration=configuration(tmp_path / "r"))
    publisher = publish_once(media / "av.flv", server.rtmp_url("live/killed"), 15)
    wait_for(lambda: server.live("live/killed"))
    time.sleep(4)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    publisher.kill()
    publisher.wait()
    file = next((tmp_path / "r").rglob("*.flv"))
    streams, packets = probe(str(file), seconds=20)
    video = [p for p in packets if p["codec_type"] == "video"]
    assert {s["codec_name"] for s in streams} == {"h264", "aac"} and len(video) > 80, len(video)
    assert 3 < float(video[-1]["pts_time"]) < 6
    (tmp_path / "again").mkdir()
    again = start_server(tmp_path / "again", configuration=configuration(tmp_path / "r"))
    recording = recordings(again, "live/killed")[0]
    assert 3 < recording["duration"] < 6 and not recording["finished"]
    assert request(again, "DELETE", "/api/v1/recordings/" + recording["path"])[0] == 204
    stop_server(again)
