"""Sound and picture stay within 40 ms of each other over every bridge: a source flashes and beeps at once, and what comes out of each
output is decoded and compared by its own clocks (time stamps; for WebRTC those of RTCP sender reports)."""
import array
import asyncio
import subprocess

import av
import pytest
from aiortc_peer import exchange
from conftest import wait_for

pytestmark = pytest.mark.alone

# A tenth of a second each second.
SOURCE = [
    "-f", "lavfi", "-i", "color=black:s=320x180:r=30,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.1)'",
    "-f", "lavfi", "-i", r"aevalsrc=exprs='if(lt(mod(t,1),0.1),0.7*sin(2*PI*1000*t),0)|if(lt(mod(t,1),0.1),0.7*sin(2*PI*1000*t),0)':s=48000"]
VIDEO = ["-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-pix_fmt", "yuv420p"]
PUBLISHERS = {
    "rtmp": lambda server, new: ["ffmpeg", "-v", "error", "-re", *SOURCE, *VIDEO, "-c:a", "aac", "-f", "flv", server.rtmp_url("live/sync-rtmp")],
    "whip": lambda server, new: [new, "-v", "error", "-re", *SOURCE, *VIDEO, "-c:a", "libopus", "-f", "whip", server.url("/live/sync-whip/whip")],
}
EVENTS = 4


class Onsets:
    """Times, in seconds, at which a picture turns white or silence ends."""

    def __init__(self):
        self.flashes, self.beeps = [], []
        self.is_white, self.last_sound = True, None

    @property
    def enough(self):
        return len(self.flashes) > EVENTS and len(self.beeps) > EVENTS

    def see(self, frame, time):
        luma = bytes(frame.reformat(format="gray").planes[0])
        is_white = sum(luma) / len(luma) > 100
        if is_white and not self.is_white:
            self.flashes.append(time)
        self.is_white = is_white

    def hear(self, frame, time):
        is_float = frame.format.name.startswith("flt")
        samples = array.array("f" if is_float else "h", bytes(frame.planes[0]))
        # Packed samples have their channels side by side, and a plane may be longer than the frame.
        step = 1 if frame.format.is_planar else len(frame.layout.channels)
        threshold = 0.2 if is_float else 0.2 * 32768
        onset = next((n for n in range(frame.samples) if abs(samples[n * step]) > threshold), None)
        if onset is None:
            return
        if self.last_sound is not None and time - self.last_sound > 0.5:
            self.beeps.append(time + onset / frame.sample_rate)
        self.last_sound = time

    def check(self):
        # The first of each may have been cut off; a beep of one end may have no flash at the other.
        skews = [min((beep - flash for beep in self.beeps), key=abs) for flash in self.flashes]
        skews = [skew for skew in skews if abs(skew) < 0.5]
        assert len(skews) >= EVENTS - 1, (self.flashes, self.beeps)
        assert max(map(abs, skews)) < 0.040, [round(skew * 1000) for skew in skews]
        print("lip sync, ms, sound after picture:", [round(skew * 1000) for skew in skews])


def decode(url):
    onsets = Onsets()
    with av.open(url, timeout=30) as container:
        for packet in container.demux(video=0, audio=0):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    onsets.see(frame, frame.time)
                else:
                    onsets.hear(frame, frame.time)
            if onsets.enough:
                return onsets
    return onsets


async def watch(server, path):
    """By WebRTC: a frame's time is that of the sender report of its source."""
    from aiortc import RTCPeerConnection

    peer, onsets, clocks, frames, tasks = RTCPeerConnection(), Onsets(), {}, [], []

    @peer.on("track")
    def on_track(track):
        receiver = next(t.receiver for t in peer.getTransceivers() if t.receiver.track is track)
        inner = receiver._handle_rtcp_packet

        async def handle(packet):
            if hasattr(packet, "sender_info"):
                info = packet.sender_info
                clocks[track.kind] = (info.ntp_timestamp / 2**32, info.rtp_timestamp)
            await inner(packet)

        receiver._handle_rtcp_packet = handle

        async def pull():
            while len(frames) < 2000:
                frames.append((track.kind, await track.recv()))
        tasks.append(asyncio.ensure_future(pull()))

    def time(kind, frame):
        ntp, timestamp = clocks[kind]
        # aiortc counts from the first packet it got.
        receiver = next(t.receiver for t in peer.getTransceivers() if t.kind == kind)
        origin = receiver._RTCRtpReceiver__timestamp_mapper._origin
        distance = (frame.pts + origin - timestamp + 2**31) % 2**32 - 2**31
        return ntp + distance * float(frame.time_base)

    for kind in ("video", "audio"):
        peer.addTransceiver(kind, direction="recvonly")
    await exchange(peer, server, f"/{path}/whep")
    try:
        for _ in range(400):
            await asyncio.sleep(0.05)
            while len(clocks) == 2 and frames:
                kind, frame = frames.pop(0)
                (onsets.see if kind == "video" else onsets.hear)(frame, time(kind, frame))
            if onsets.enough:
                break
    finally:
        for task in tasks:
            task.cancel()
        await peer.close()
    return onsets


@pytest.fixture(scope="module", params=[
    pytest.param("rtmp", marks=pytest.mark.peer("ffmpeg", "publish: sound in step, to {output}")),
    pytest.param("whip", marks=pytest.mark.peer("ffmpeg9", "publish: sound in step, to {output}"))])
def source(request, server, ffmpeg9):
    process = subprocess.Popen(PUBLISHERS[request.param](server, ffmpeg9))
    path = f"live/sync-{request.param}"
    wait_for(lambda: server.live(path))
    yield path
    process.kill()
    process.wait()


@pytest.mark.parametrize("output", [".flv", ".m3u8", "whep"])
def test_flash_and_beep_come_out_together(server, source, output):
    onsets = asyncio.run(watch(server, source)) if output == "whep" else decode(server.url(f"/{source}{output}"))
    onsets.check()
