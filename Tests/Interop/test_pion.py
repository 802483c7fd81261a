"""Pion as a publisher: real pictures from a file, decoded from the live stream, from the recording and in a browser."""
import contextlib
import json
import re
import subprocess

import pytest
from conftest import AUDIO, VIDEO, ffmpeg, wait_for
from peers import Pion
from test_webrtc import playing
from webrtc import page, send

pytestmark = pytest.mark.paired


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A picture with key frames twice a second and the parameter sets before each, and a tone with a packet a page."""
    folder = tmp_path_factory.mktemp("clips")
    h264 = ["-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "15", "-threads", "1"]
    ffmpeg(*VIDEO, "-t", "4", *h264, str(folder / "video.h264"))
    ffmpeg(*VIDEO, "-t", "4", "-c:v", "libvpx", "-deadline", "realtime", "-b:v", "600k", "-g", "15", str(folder / "video.ivf"))
    ffmpeg(*AUDIO, "-t", "4", "-c:a", "libopus", "-ac", "2", "-page_duration", "20000", str(folder / "audio.ogg"))
    return {"H264": str(folder / "video.h264"), "VP8": str(folder / "video.ivf"), "audio": str(folder / "audio.ogg")}


def decoded(source, *options):
    """How many pictures there are, and what ffmpeg says against them."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "level+warning", "-stats", *options, "-i", source, "-map", "0:v", "-f", "null", "-"],
        capture_output=True, text=True, timeout=90)
    complaints = [line for line in result.stderr.splitlines() if "[error]" in line or "[fatal]" in line]
    counts = re.findall(r"frame= *(\d+)", result.stderr)
    return int(counts[-1]) if counts else 0, complaints


@contextlib.contextmanager
def publishing(server, clips, codec, path):
    with contextlib.closing(Pion()) as pion:
        for kind in ("video", "audio"):
            pion.tell("media", kind=kind, direction="sendrecv", file=clips[codec if kind == "video" else kind])
        offer = pion.describe("offer")
        status, _, answer = send(server, "POST", f"/{path}/whip", offer["sdp"], Content_Type="application/sdp")
        assert status == 201 and codec in answer, answer
        pion.tell("description", type="answer", sdp=answer)
        pion.wait("state", text="connected")
        wait_for(lambda: server.live(path))
        yield pion


@pytest.mark.peer("pion", "publish: by WHIP")
@pytest.mark.peer("pion", "publish: for all other outputs")
def test_vp8_that_pion_publishes_is_decoded_as_it_is_and_as_h264(server, chromium, clips):
    path = "live/pion-vp8"
    with publishing(server, clips, "VP8", path):
        session = server.api(f"/webrtc?path={path}")["sessions"][0]
        assert {track["codec"] for track in session["tracks"]} == {"VP8", "Opus"}
        frames, complaints = decoded(server.url(f"/{path}.flv"), "-t", "4")
        assert frames >= 90 and complaints == [], complaints
        page(chromium, server)
        chromium.evaluate(f"watch('/{path}/whep').then(() => 'done')")
        got = playing(chromium, frames=60)
        assert got["width"] == 640 and got["video"]["lost"] == 0
        chromium.evaluate("viewer.close()")


@pytest.mark.peer("pion", "publish: by WHIP")
@pytest.mark.peer("pion", "publish: for all other outputs")
def test_pictures_that_pion_publishes_are_decoded_live_and_from_the_recording(make_server, clips, tmp_path):
    server = make_server(configuration=f"record: {{path: {tmp_path / 'recordings'}}}\n")
    path = "live/pion"
    with publishing(server, clips, "H264", path):
        frames, complaints = decoded(server.url(f"/{path}.flv"), "-t", "4")
        assert frames >= 100 and complaints == [], complaints

    def finished():
        found = json.loads(server.get(f"/api/v1/recordings?stream={path}")[2])["recordings"]
        return [recording for recording in found if recording["finished"]]

    recording = wait_for(finished, 40)[0]
    frames, complaints = decoded(str(tmp_path / "recordings" / recording["path"]))
    assert frames >= 100 and complaints == [], complaints
