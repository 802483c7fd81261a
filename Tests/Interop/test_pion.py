"""Pion as a publisher: real pictures from a file, decoded from the live stream and from the recording."""
import contextlib
import json
import re
import subprocess

import pytest
from conftest import AUDIO, VIDEO, ffmpeg, wait_for
from peers import Pion
from webrtc import send

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A picture with key frames twice a second and the parameter sets before each, and a tone with a packet a page."""
    folder = tmp_path_factory.mktemp("clips")
    h264 = ["-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "15", "-threads", "1"]
    ffmpeg(*VIDEO, "-t", "4", *h264, str(folder / "video.h264"))
    ffmpeg(*AUDIO, "-t", "4", "-c:a", "libopus", "-ac", "2", "-page_duration", "20000", str(folder / "audio.ogg"))
    return {"video": str(folder / "video.h264"), "audio": str(folder / "audio.ogg")}


def decoded(source, *options):
    """How many pictures there are, and what ffmpeg says against them."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "level+warning", "-stats", *options, "-i", source, "-map", "0:v", "-f", "null", "-"],
        capture_output=True, text=True, timeout=90)
    complaints = [line for line in result.stderr.splitlines() if "[error]" in line or "[fatal]" in line]
    counts = re.findall(r"frame= *(\d+)", result.stderr)
    return int(counts[-1]) if counts else 0, complaints


@pytest.mark.peer("pion", "publishes H.264 that is decoded")
def test_pictures_that_pion_publishes_are_decoded_live_and_from_the_recording(make_server, clips, tmp_path):
    server = make_server(configuration=f"record: {{path: {tmp_path / 'recordings'}}}\n")
    path = "live/pion"
    with contextlib.closing(Pion()) as pion:
        for kind in ("video", "audio"):
            pion.tell("media", kind=kind, direction="sendrecv", file=clips[kind])
        offer = pion.describe("offer")
        status, _, answer = send(server, "POST", f"/{path}/whip", offer["sdp"], Content_Type="application/sdp")
        assert status == 201 and "H264" in answer, answer
        pion.tell("description", type="answer", sdp=answer)
        pion.wait("state", text="connected")
        wait_for(lambda: server.live(path))
        frames, complaints = decoded(server.url(f"/{path}.flv"), "-t", "4")
        assert frames >= 100 and complaints == [], complaints

    def finished():
        found = json.loads(server.get(f"/api/v1/recordings?stream={path}")[2])["recordings"]
        return [recording for recording in found if recording["finished"]]

    recording = wait_for(finished, 40)[0]
    frames, complaints = decoded(str(tmp_path / "recordings" / recording["path"]))
    assert frames >= 100 and complaints == [], complaints
