"""ffmpeg publishes over RTMP; ffprobe reads every output."""
import os
import pathlib
import subprocess

import pytest
from conftest import probe, wait_for

OUTPUTS = ["rtmp", ".flv", ".ts", ".mp4", ".m3u8"]


def address(server, path, output):
    return server.rtmp_url(path) if output == "rtmp" else server.url(f"/{path}{output}")


def check_times(packets, kind):
    """Decode times grow, without holes of more than a tenth of a second; answers the presentation times."""
    times = [float(p["dts_time"]) for p in packets if p["codec_type"] == kind and "dts_time" in p]
    assert len(times) > 20, f"only {len(times)} {kind} packets"
    steps = [b - a for a, b in zip(times, times[1:])]
    assert min(steps) > -0.0005, f"{kind} times go back by {-min(steps)} s"
    assert max(steps) < 0.1, f"{kind} times jump by {max(steps)} s"
    return [float(p["pts_time"]) for p in packets if p["codec_type"] == kind]


@pytest.mark.parametrize("source", ["av.flv", "bframes.flv"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_picture_and_sound(server, media, publish, source, output):
    path = f"live/{source.split('.')[0]}-{output.strip('.')}"
    publish(media / source, server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    streams, packets = probe(address(server, path, output))
    codecs = {s["codec_type"]: s for s in streams}
    assert codecs["video"]["codec_name"] == "h264" and codecs["video"]["width"] == 640
    assert codecs["audio"]["codec_name"] == "aac" and codecs["audio"]["sample_rate"] == "48000"
    video, audio = check_times(packets, "video"), check_times(packets, "audio")
    # Sound and picture of the file begin together; what a viewer gets overlaps as closely.
    assert abs(max(video) - max(audio)) < 0.5
    first = next(p for p in packets if p["codec_type"] == "video")
    assert "K" in first["flags"], "a viewer begins with a key frame"


@pytest.mark.parametrize("output", OUTPUTS)
def test_video_only(server, media, publish, output):
    path = f"live/v-{output.strip('.')}"
    publish(media / "video.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    streams, packets = probe(address(server, path, output))
    assert [s["codec_name"] for s in streams] == ["h264"]
    check_times(packets, "video")


@pytest.mark.parametrize("output", OUTPUTS)
def test_audio_only(server, media, publish, output):
    path = f"live/a-{output.strip('.')}"
    publish(media / "audio.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    streams, packets = probe(address(server, path, output))
    assert [s["codec_name"] for s in streams] == ["aac"]
    check_times(packets, "audio")


@pytest.mark.parametrize("output", ["rtmp", ".flv", ".ts", ".mp4"])
def test_mp3(server, media, publish, output):
    path = f"live/mp3-{output.strip('.')}"
    publish(media / "mp3.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    streams, _ = probe(address(server, path, output))
    assert {s["codec_name"] for s in streams} == {"h264", "mp3"}


@pytest.mark.parametrize("output", ["rtmp", ".flv", ".ts", ".mp4", ".m3u8"])
def test_decodes_without_a_complaint(server, media, publish, output):
    path = f"live/decode-{output.strip('.')}"
    publish(media / "bframes.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    result = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-i", address(server, path, output), "-t", "4", "-f", "null", "-"],
        capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and result.stderr == "", result.stderr


def test_rtmps_publish_and_play(server, media, publish):
    url = f"rtmps://127.0.0.1:{server.rtmps}/live/secure"
    publish(media / "av.flv", url)
    wait_for(lambda: server.live("live/secure"))
    streams, _ = probe(url)
    assert {s["codec_name"] for s in streams} == {"h264", "aac"}


def test_publish_by_http_post(server, media, publish):
    publish(media / "av.flv", server.url("/live/posted.flv"))
    wait_for(lambda: server.live("live/posted"))
    streams, packets = probe(server.rtmp_url("live/posted"))
    assert {s["codec_name"] for s in streams} == {"h264", "aac"}
    check_times(packets, "video")


def test_play_before_publish(server, media, publish):
    viewer = subprocess.Popen(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "compact", server.rtmp_url("live/early")], stdout=subprocess.PIPE, text=True)
    import time

    time.sleep(1)
    publish(media / "av.flv", server.rtmp_url("live/early"))
    output, _ = viewer.communicate(timeout=30)
    assert "codec_name=h264" in output and "codec_name=aac" in output


def test_second_publisher_is_refused_and_first_goes_on(server, media, publish):
    publish(media / "av.flv", server.rtmp_url("live/taken"))
    wait_for(lambda: server.live("live/taken"))
    second = publish(media / "av.flv", server.rtmp_url("live/taken"))
    assert second.wait(15) != 0
    assert server.live("live/taken")["publishes"] == 1
    assert "is being published already" in server.log.read_text()


def test_viewers_stay_across_a_republish(server, media, publish, tmp_path):
    first = publish(media / "av.flv", server.rtmp_url("live/again"))
    wait_for(lambda: server.live("live/again"))
    out = tmp_path / "again.ts"
    viewer = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-nostdin", "-i", server.url("/live/again.flv"), "-t", "9", "-c", "copy", "-f", "mpegts", str(out)])
    import time

    time.sleep(3)
    first.kill()
    first.wait()
    publish(media / "av.flv", server.rtmp_url("live/again"))
    assert viewer.wait(40) == 0
    _, packets = probe(str(out), seconds=20)
    times = [float(p["dts_time"]) for p in packets if p["codec_type"] == "video"]
    steps = [b - a for a, b in zip(times, times[1:])]
    assert min(steps) > 0 and max(steps) < 8, (min(steps), max(steps))
    assert times[-1] - times[0] > 7


def test_nobody_publishes_is_a_404_in_the_end(make_server):
    server = make_server(configuration="streams:\n  wait_for_publisher: 1s\n")
    status, _, body = server.get("/live/nobody.flv")
    assert status == 404 and b"nobody publishes live/nobody" in body


def test_an_address_with_query_is_logged_without_its_secret(server, media, publish):
    publish(media / "av.flv", server.rtmp_url("live/secret?token=hunter2hunter2"))
    wait_for(lambda: server.live("live/secret"))
    server.get("/live/none.jpg?token=hunter2hunter2")
    assert "hunter2" not in server.log.read_text()


def test_io_uring_can_be_switched_off(make_server, media, publish):
    def rings(server):
        links = []
        for entry in pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir():
            try:
                links.append(os.readlink(entry))
            except OSError:
                pass
        return links.count("anon_inode:[io_uring]")

    server = make_server(configuration="io: {uring: off}\n")
    assert rings(server) == 0
    publish(media / "av.flv", server.rtmp_url("live/cam"))
    wait_for(lambda: server.live("live/cam"))
    assert len(probe(server.url("/live/cam.flv"), seconds=2)[1]) > 50
