"""WHIP, WHEP and data channels with real peers: Chromium, Firefox, aiortc and FFmpeg. Assertions are on decoded frames."""
import asyncio
import contextlib
import json
import re
import subprocess

import pytest
from aiortc_peer import exchange, open_echo
from browsers import BrowserError
from conftest import AUDIO, H264, VIDEO, ffmpeg, loudest, wait_for
from webrtc import WEBRTC_BROWSERS, page, send

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module", params=WEBRTC_BROWSERS)
def publisher(request):
    browser = WEBRTC_BROWSERS[request.param]()
    browser.name = request.param
    yield browser
    browser.close()


@pytest.fixture(scope="module", params=WEBRTC_BROWSERS)
def viewer(request):
    browser = WEBRTC_BROWSERS[request.param]()
    browser.name = request.param
    yield browser
    browser.close()


def start(browser, server, script):
    page(browser, server)
    assert browser.evaluate(script + ".then(() => 'done')") == "done"


def playing(browser, frames=30, sound=True, seconds=20):
    """What was received, once so many pictures more are decoded and sound has come."""
    first = browser.evaluate("received()").get("video", {}).get("frames", 0)

    def check():
        got = browser.evaluate("received()")
        moved = got.get("video", {}).get("frames", 0) >= first + frames
        heard = not sound or got.get("audio", {}).get("samples", 0) or got.get("audio", {}).get("packets", 0) > 50
        return got if moved and heard else None
    return wait_for(check, seconds)


def probe(url, *options):
    result = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "json", *options, url],
                            capture_output=True, text=True, timeout=30)
    return {stream["codec_name"] for stream in json.loads(result.stdout or "{}").get("streams", [])}


def encoder(server, path, *options, size="640x360"):
    video = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=30"]
    return subprocess.Popen(["ffmpeg", "-v", "error", "-re", *video, *AUDIO, *options, "-c:a", "aac", "-f", "flv", server.rtmp_url(path)])


PLAIN = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-pix_fmt", "yuv420p"]
REORDERED = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p"]


@pytest.mark.peer("publisher", "publish: by WHIP")
@pytest.mark.peer("viewer", "watch: by WHEP")
def test_what_one_browser_publishes_another_sees(publisher, viewer, server):
    path = f"live/{publisher.name}-to-{viewer.name}"
    if publisher.name == "chromium" and viewer.name == "firefox":
        # This Firefox decodes no H.264, which the answer would prefer.
        start(publisher, server, f"publish('/{path}/whip', {{ codec: 'vp8' }})")
    else:
        start(publisher, server, f"publish('/{path}/whip')")
    wait_for(lambda: server.live(path))
    start(viewer, server, f"watch('/{path}/whep')")
    got = playing(viewer)
    assert got["video"]["lost"] == 0 and got["width"] > 0
    publisher.evaluate("window.publisher.close()")
    viewer.evaluate("viewer.close()")


@pytest.mark.peer("publisher", "publish: for all other outputs")
def test_a_browser_s_stream_plays_in_every_other_output(publisher, server):
    """H.264 passes, VP8 is transcoded once; Opus becomes AAC."""
    path = f"live/{publisher.name}-to-all"
    start(publisher, server, f"publish('/{path}/whip')")
    wait_for(lambda: server.live(path))
    for url in [server.url(f"/{path}.flv"), server.rtmp_url(path), server.url(f"/{path}.ts"), server.url(f"/{path}.m3u8")]:
        assert probe(url) == {"h264", "aac"}, url
    # Decodes without a complaint, and sound and pictures keep coming.
    result = ffmpeg("-t", "3", "-i", server.url(f"/{path}.flv"), "-vsync", "vfr", "-f", "null", "-")
    assert result.stderr == ""
    publisher.evaluate("window.publisher.close()")


@pytest.mark.peer("publisher", "publish: G.722 and G.711")
@pytest.mark.parametrize("sound", ["g722", "pcmu"])
def test_telephone_sound_is_aac_in_every_other_output(publisher, server, sound):
    path = f"live/{publisher.name}-{sound}"
    start(publisher, server, f"publish('/{path}/whip', {{ video: false, sound: '{sound}' }})")
    wait_for(lambda: server.live(path))
    assert server.api(f"/webrtc?path={path}")["sessions"][0]["tracks"][0]["codec"] == sound.upper()
    for url in [server.url(f"/{path}.flv"), server.rtmp_url(path), server.url(f"/{path}.m3u8")]:
        assert probe(url) == {"aac"}, url
    # The tone of a fake microphone.
    assert loudest("-t", "3", "-i", server.url(f"/{path}.flv")) > -40
    # Others hear it as it is.
    publisher.evaluate(f"watch('/{path}/whep', {{ video: false }}).then(() => 'done')")
    wait_for(lambda: publisher.evaluate("received()").get("audio", {}).get("packets", 0) > 50)
    publisher.evaluate("(() => { window.publisher.close(); viewer.close(); return true; })()")


@pytest.mark.peer("ffmpeg", "publish: by RTMP")
@pytest.mark.peer("chromium", "watch: what comes by RTMP")
@pytest.mark.parametrize("options", [PLAIN, REORDERED], ids=["without B-frames", "with B-frames"])
def test_an_encoder_s_stream_plays_in_a_browser_with_sound(chromium, server, options):
    path = f"live/encoder-{'bf' if '-bf' in options else 'plain'}"
    process = encoder(server, path, *options)
    try:
        wait_for(lambda: server.live(path))
        start(chromium, server, f"watch('/{path}/whep')")
        got = playing(chromium, frames=60)
        assert got["width"] == 640 and got["video"]["plis"] <= 2
        assert got["audio"]["concealed"] < got["audio"]["samples"] / 10
    finally:
        process.kill()
        process.wait()
    chromium.evaluate("viewer.close()")


HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=0:keyint=30", "-pix_fmt", "yuv420p"]


@contextlib.contextmanager
def hevc(server, binary, path):
    """By enhanced RTMP."""
    process = subprocess.Popen([binary, "-v", "error", "-re", *VIDEO, *AUDIO, *HEVC, "-c:a", "aac", "-f", "flv", server.rtmp_url(path)])
    try:
        wait_for(lambda: server.live(path))
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.peer("ffmpeg9", "publish: HEVC by RTMP")
@pytest.mark.peer("chromium", "watch: HEVC as H.264")
def test_hevc_is_h264_for_a_browser_without_it(make_server, chromium, ffmpeg9):
    # One of its own: transcoders of the tests before may still count.
    server = make_server()
    page(chromium, server)
    has = chromium.evaluate("RTCRtpReceiver.getCapabilities('video').codecs.map(({ mimeType }) => mimeType)")
    assert "video/H264" in has and "video/H265" not in has
    with hevc(server, ffmpeg9, "live/hevc"):
        # The second joins what is being made already.
        for _ in range(2):
            start(chromium, server, "watch('/live/hevc/whep')")
            assert playing(chromium)["width"] == 640
            session = server.api("/webrtc?path=live/hevc")["sessions"][-1]
            assert {track["codec"] for track in session["tracks"]} == {"H264", "Opus"}
            chromium.evaluate("viewer.close()")
        # Others get what is published.
        assert probe(server.url("/live/hevc.ts")) == {"hevc", "aac"}


def test_hevc_stays_as_it_is_where_nothing_may_be_transcoded(make_server, chromium, ffmpeg9):
    server = make_server(configuration="transcode: {video: never}\n")
    page(chromium, server)
    with hevc(server, ffmpeg9, "live/hevc"), pytest.raises(BrowserError, match=r"406: .*HEVC.*transcode\.video"):
        chromium.evaluate("watch('/live/hevc/whep')")


@pytest.mark.peer("ffmpeg9", "publish: by WHIP")
@pytest.mark.peer("chromium", "watch: by WHEP")
def test_ffmpeg_publishes_by_whip(server, chromium, ffmpeg9):
    process = subprocess.Popen([
        ffmpeg9, "-v", "error", "-re", *VIDEO, *AUDIO, "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune",
        "zerolatency", "-g", "30", "-bf", "0", "-pix_fmt", "yuv420p", "-c:a", "libopus", "-ar", "48000", "-ac", "2", "-f", "whip",
        server.url("/live/ffmpeg/whip")])
    try:
        wait_for(lambda: server.live("live/ffmpeg"))
        start(chromium, server, "watch('/live/ffmpeg/whep')")
        assert playing(chromium)["width"] == 640
        assert probe(server.url("/live/ffmpeg.flv")) == {"h264", "aac"}
    finally:
        process.kill()
        process.wait()
    chromium.evaluate("viewer.close()")


@pytest.mark.peer("aiortc", "watch: by WHEP")
def test_aiortc_watches(server):
    from aiortc import RTCPeerConnection

    async def watch():
        peer, frames = RTCPeerConnection(), {"video": 0, "audio": 0}

        @peer.on("track")
        def on_track(track):
            async def pull():
                while frames[track.kind] < 60:
                    await track.recv()
                    frames[track.kind] += 1
            peer.tasks = getattr(peer, "tasks", []) + [asyncio.ensure_future(pull())]

        peer.addTransceiver("video", direction="recvonly")
        peer.addTransceiver("audio", direction="recvonly")
        await exchange(peer, server, "/live/for-aiortc/whep")
        await asyncio.wait_for(asyncio.gather(*peer.tasks), 20)
        await peer.close()
        assert frames == {"video": 60, "audio": 60}

    process = encoder(server, "live/for-aiortc", *PLAIN)
    try:
        wait_for(lambda: server.live("live/for-aiortc"))
        asyncio.run(watch())
    finally:
        process.kill()
        process.wait()


@pytest.mark.peer("publisher", "simulcast: three layers")
def test_three_layers_of_simulcast_are_received_and_a_viewer_may_pin_one(server, chromium, publisher):
    path = f"live/layers-{publisher.name}"
    try:
        start(publisher, server, f"publish('/{path}/whip', {{ codec: 'vp8', simulcast: true }})")
        wait_for(lambda: server.live(path))
        # The encoder starts its layers one by one, as bandwidth allows.
        wait_for(lambda: all(publisher.evaluate("sent()").get(f"video-{rid}", {}).get("packets", 0) > 20 for rid in "qhf"), 90)
        for rid, width in [("q", 320), ("f", 1280), ("h", 640)]:
            start(chromium, server, f"watch('/{path}/whep?layer={rid}')")
            assert playing(chromium, frames=10)["width"] == width
            chromium.evaluate("viewer.close()")
    finally:
        publisher.evaluate("window.publisher?.close()")


def test_the_resource_of_a_session_is_patched_and_deleted(server, chromium):
    process = encoder(server, "live/resource", *PLAIN)
    try:
        wait_for(lambda: server.live("live/resource"))
        start(chromium, server, "watch('/live/resource/whep')")
        playing(chromium, frames=60)
        path = chromium.evaluate("new URL(resource).pathname")
        etag = chromium.evaluate("etag")
        kind = "application/trickle-ice-sdpfrag"
        fragment = "a=ice-ufrag:abcd\r\na=candidate:1 1 udp 2130706431 192.0.2.1 9999 typ host\r\na=end-of-candidates\r\n"
        assert send(server, "PATCH", path, fragment, Content_Type=kind)[0] == 204
        assert send(server, "PATCH", path, "a=candidate:rubbish\r\n", Content_Type=kind)[0] == 400
        assert send(server, "PATCH", path, fragment, Content_Type="text/plain")[0] == 415
        assert send(server, "PATCH", path, fragment, Content_Type=kind, If_Match='"other"')[0] == 412
        restart = "a=ice-ufrag:newufrag\r\na=ice-pwd:newpasswordnewpasswordnew\r\n"
        status, fields, answer = send(server, "PATCH", path, restart, Content_Type=kind, If_Match="*")
        assert status == 200 and fields["ETag"] != etag and "a=ice-pwd:" in answer and "a=candidate:" in answer
        # The media goes on by the old pair until the new one is there.
        playing(chromium, frames=20)
        assert send(server, "DELETE", path)[0] == 200
        assert send(server, "DELETE", path)[0] == 404
        wait_for(lambda: chromium.evaluate("viewer.connectionState") in ("closed", "disconnected", "failed"), 15)
    finally:
        process.kill()
        process.wait()


@pytest.mark.peer("chromium", "restart: by PATCH")
def test_a_viewer_restarts_ice_and_goes_on(server, chromium):
    process = encoder(server, "live/restart", *PLAIN)
    try:
        wait_for(lambda: server.live("live/restart"))
        start(chromium, server, "watch('/live/restart/whep')")
        playing(chromium, frames=20)
        chromium.evaluate("restart(viewer)")
        playing(chromium, frames=60)
        assert chromium.evaluate("viewer.connectionState") == "connected"
    finally:
        process.kill()
        process.wait()
    chromium.evaluate("viewer.close()")


@pytest.mark.peer("publisher", "restart: by PATCH")
def test_a_publisher_restarts_ice_and_goes_on(publisher, server):
    path = f"live/restart-{publisher.name}"
    start(publisher, server, f"publish('/{path}/whip')")
    wait_for(lambda: server.live(path))
    before = server.api(f"/webrtc?path={path}")["sessions"][0]
    publisher.evaluate("restart(window.publisher)")

    def goes_on():
        sessions = server.api(f"/webrtc?path={path}")["sessions"]
        assert len(sessions) == 1 and sessions[0]["client"] == before["client"], "the same session"
        # A browser may keep its port: what tells is that the server heard by the new credentials, and media came after that.
        return sessions[0]["state"] == "connected" and sessions[0]["packets_in"] > before["packets_in"] + 100

    wait_for(goes_on)
    assert publisher.evaluate("window.publisher.connectionState") == "connected"
    publisher.evaluate("window.publisher.close()")


@pytest.mark.peer("aiortc", "restart: by PATCH")
def test_aiortc_restarts_ice_and_goes_on(server):
    """aiortc has no restart of its own; its ICE agent is exchanged for a new one beneath DTLS."""
    import aioice
    from aiortc import RTCPeerConnection

    async def watch():
        peer, frames = RTCPeerConnection(), 0

        @peer.on("track")
        async def on_track(track):
            nonlocal frames
            while True:
                await track.recv()
                frames += 1

        async def more():
            end = frames + 60
            while frames < end:
                await asyncio.sleep(0.05)

        peer.addTransceiver("video", direction="recvonly")
        fields, answer = await exchange(peer, server, "/live/aiortc-again/whep")
        await asyncio.wait_for(more(), 20)

        fresh = aioice.Connection(ice_controlling=True)
        await fresh.gather_candidates()
        status, _, text = await asyncio.to_thread(
            send, server, "PATCH", fields["Location"], f"a=ice-ufrag:{fresh.local_username}\r\na=ice-pwd:{fresh.local_password}\r\n",
            Content_Type="application/trickle-ice-sdpfrag", If_Match=fields["ETag"])
        assert status == 200, text
        fresh.remote_username, fresh.remote_password = (re.search(f"a=ice-{name}:(.*)", text)[1].strip() for name in ("ufrag", "pwd"))
        assert fresh.remote_username not in answer
        fresh.remote_is_lite = True
        for line in re.findall("a=candidate:(.*)", text):
            if " udp " in line:
                await fresh.add_remote_candidate(aioice.Candidate.from_sdp(line.strip()))
        await fresh.add_remote_candidate(None)
        await asyncio.wait_for(fresh.connect(), 15)

        transport = peer.getTransceivers()[0].receiver.transport.transport
        former, transport._connection, transport._recv, transport._send = transport._connection, fresh, fresh.recv, fresh.send
        # DTLS waits for one more datagram of the old agent; what that got and gets is lost.
        queue, former._queue = former._queue, asyncio.Queue()
        queue.put_nowait((await asyncio.wait_for(fresh.recv(), 15), 1))
        await asyncio.wait_for(more(), 20)
        ports = {candidate.port for candidate in fresh.local_candidates}
        remote = server.api("/webrtc?path=live/aiortc-again")["sessions"][0]["pair"]["remote"]
        assert int(remote.rsplit(":", 1)[1]) in ports, "the new pair is used"
        await fresh.close()

    process = encoder(server, "live/aiortc-again", *PLAIN)
    try:
        wait_for(lambda: server.live("live/aiortc-again"))
        asyncio.run(watch())
    finally:
        process.kill()
        process.wait()


OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize("body, status, reason", [
    ("", 400, "line 1"),
    ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nc=IN IP40.0.0.0\r\n", 400, "line 5"),
    (OFFER, 400, "no section"),
    (OFFER + "m=video 9 RTP/AVP 96\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\n", 400, "encrypted"),
    (OFFER + "m=video 70000 UDP/TLS/RTP/SAVPF 96\r\n", 400, "port"),
    (OFFER + "a=x:y\r\n" * 200_000, 413, "exceeds"),
    (OFFER + "a=x:y\r\n" * 10_000, 400, "limit of 1024"),
])
def test_a_bad_offer_is_refused_with_the_place(server, body, status, reason):
    answered, _, text = send(server, "POST", "/live/bad/whip", body or " ", Content_Type="application/sdp")
    assert answered == status and reason in text, text


def test_what_is_refused_says_why(server):
    assert send(server, "POST", "/live/x/whip", "hello", Content_Type="text/plain")[0] == 415
    assert send(server, "GET", "/live/x/whip")[0] == 405
    assert send(server, "DELETE", "/live/x/whep/0-00")[0] == 404
    assert send(server, "DELETE", "/live/x/whep/99-00")[0] == 404
    status, fields, _ = send(server, "OPTIONS", "/live/x/whip")
    assert status == 204 and fields["Accept-Post"] == "application/sdp"


def test_a_second_publisher_of_a_name_is_a_conflict(server, chromium):
    process = encoder(server, "live/taken", *PLAIN)
    try:
        wait_for(lambda: server.live("live/taken"))
        page(chromium, server)
        answer = chromium.evaluate("publish('/live/taken/whip').catch(error => error.message)")
        assert answer.startswith("409") and "being published already" in answer
    finally:
        process.kill()
        process.wait()


def test_nobody_publishes_is_a_404_in_time(make_server, chromium):
    server = make_server(configuration="streams: {wait_for_publisher: 1s}\n")
    page(chromium, server)
    answer = chromium.evaluate("watch('/live/nothing/whep').catch(error => error.message)")
    assert answer.startswith("404") and "nobody publishes" in answer


def test_tokens_decide_who_publishes_and_ice_servers_are_told(make_server, chromium):
    server = make_server(configuration=(
        "auth:\n  keys: [{key: open-sesame, do: publish, on: \"live/**\"}]\nwebrtc:\n  ice_servers: [\"stun:stun.example.org:3478\"]\n"))
    page(chromium, server)
    refused = chromium.evaluate("publish('/live/guarded/whip').catch(error => error.message)")
    assert refused.startswith("401") or refused.startswith("403"), refused
    status, fields, _ = send(server, "OPTIONS", "/live/guarded/whip")
    assert fields["Link"] == '<stun:stun.example.org:3478>; rel="ice-server"'
    chromium.evaluate("publish('/live/guarded/whip?key=open-sesame')")
    wait_for(lambda: server.live("live/guarded"))
    chromium.evaluate("window.publisher.close()")


CHANNELS = """(async () => {
  const peer = window.channelPeer = new RTCPeerConnection();
  const open = label => new Promise((done, fail) => {
    const channel = peer.createDataChannel(label);
    channel.binaryType = "arraybuffer";
    channel.onopen = () => done(channel);
    channel.onerror = event => fail(event.error);
  });
  const opening = ["echo", "sink", "source"].map(open);
  await exchange(peer, "/diag/datachannel");
  const [echo, sink, source] = await Promise.all(opening);
  const next = channel => new Promise(done => channel.addEventListener("message", event => done(event.data), { once: true }));
  const results = {};
  for (const text of ["hello", "", "gr\\u00fc\\u00dfe \\u{1F600}", "x".repeat(100000)]) {
    const answer = next(echo);
    echo.send(text);
    if (await answer !== text) throw new Error(`an echo of ${text.length} characters differs`);
  }
  const bytes = crypto.getRandomValues(new Uint8Array(60000));
  const answer = next(echo);
  echo.send(bytes);
  const got = new Uint8Array(await answer);
  results.binary = got.length === bytes.length && got.every((byte, index) => byte === bytes[index]);
  for (let index = 0; index < 200; index += 1) {
    while (sink.bufferedAmount > 1 << 20) await new Promise(done => { sink.bufferedAmountLowThreshold = 1 << 18; sink.onbufferedamountlow = done; });
    sink.send(new Uint8Array(16384));
  }
  const report = next(sink);
  sink.send("report");
  results.sunk = Number(await report);
  results.sourced = await new Promise(done => { let total = 0; source.onmessage = event => { total += event.data.byteLength; if (total > 4 << 20) done(total); }; });
  source.close();
  echo.close();
  await new Promise(done => { if (echo.readyState === "closed") done(); echo.onclose = done; });
  results.again = (await open("echo")).id;
  peer.close();
  return results;
})()"""


@pytest.mark.peer("publisher", "data channels: with the server")
def test_data_channels_with_a_browser(publisher, server):
    page(publisher, server)
    results = publisher.evaluate(CHANNELS)
    assert results["binary"] and results["sunk"] == 200 * 16384 and results["sourced"] > 4 << 20, results


@pytest.mark.peer("aiortc", "data channels: with the server")
def test_data_channels_with_aiortc(server):
    async def talk():
        peer, channel, answers, *_ = await open_echo(server)
        for message in ["text", b"binary", "long" * 10_000, ""]:
            channel.send(message)
            assert await asyncio.wait_for(answers.get(), 10) == message
        await peer.close()
    asyncio.run(talk())


def test_metrics_and_the_log_name_the_pair(server, chromium):
    start(chromium, server, "publish('/live/logged/whip')")
    wait_for(lambda: re.search(r"live/logged: connected to .*-udp", server.log.read_text()))
    chromium.evaluate("window.publisher.close()")
