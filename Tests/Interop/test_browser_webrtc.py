"""Browsers on the pages that publish and play by WebRTC, on the dashboard's view of it, and on the pages of docs/webrtc.md."""
import json
import shlex
import signal
import subprocess
import time
import urllib.parse

import pytest
from browsers import Chromium, Firefox
from conftest import AUDIO, VIDEO, ffmpeg, wait_for
from documents import blocks
from webrtc import CHROMIUM, FIREFOX, WEBRTC_BROWSERS

pytestmark = pytest.mark.alone

# A name that is not the machine's own: a page from there is no secure context.
ELSEWHERE = "insecure.example"


@pytest.fixture(scope="module")
def chromium():
    browser = Chromium(flags=[*CHROMIUM, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1", "--auto-select-tab-capture-source-by-title=Martlet"])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def firefox():
    browser = Firefox(preferences={**FIREFOX, "network.dns.localDomains": ELSEWHERE})
    yield browser
    browser.close()


@pytest.fixture(params=["chromium", "firefox"])
def browser(request):
    return request.getfixturevalue(request.param)


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")


def choose(browser, name, value):
    """Sets a field of the publish page as a person would."""
    browser.evaluate(f"""(() => {{
      const field = document.getElementById("settings").elements[{json.dumps(name)}];
      const one = field instanceof RadioNodeList ? [...field].find((each) => each.value === {json.dumps(value)}) : field;
      if (one.type === "radio") one.checked = true; else one.value = {json.dumps(value)};
      one.dispatchEvent(new Event("change", {{ bubbles: true }}));
    }})()""")


def press(browser, identifier):
    browser.evaluate(f"document.getElementById({json.dumps(identifier)}).click()")


def open_publish(browser, server, path, **query):
    browser.open(server.url("/publish.html?" + urllib.parse.urlencode({"stream": path, **query})))


def go_live(browser, server, path, codec=None):
    open_publish(browser, server, path)
    if codec:
        choose(browser, "codec", codec)
    press(browser, "start")
    until(browser, "document.body.dataset.state === 'connected'")
    return wait_for(lambda: server.live(path))


def until(browser, script, seconds=20):
    try:
        return wait_for(lambda: browser.evaluate(f"Boolean({script})"), seconds)
    except AssertionError:
        raise AssertionError(f"in vain for {script}; the page says: {text(browser, 'main')}") from None


def watch(browser, server, path):
    browser.open(server.url(f"/play/{path}?transport=webrtc"))


def playing(browser, pictures=30):
    """The player's figures, once so many pictures have been shown."""
    script = "(({ state, decoded, latency, width }) => state === 'playing' && (decoded ?? 0) >= %d && latency !== null && width > 0)(player.stats)"
    until(browser, script % pictures)
    return browser.evaluate("player.stats")


def sessions(server, path):
    return {session["role"]: session for session in server.api(f"/webrtc?path={path}")["sessions"]}


def problems(value, schema, at="$"):
    """Where a value is not as its schema in the OpenAPI document says."""
    kinds = {"string": str, "integer": int, "number": (int, float), "array": list, "object": dict, "boolean": bool}
    if not isinstance(value, kinds[schema["type"]]):
        return [f"{at} is no {schema['type']}"]
    if schema["type"] == "array":
        return [problem for index, each in enumerate(value) for problem in problems(each, schema["items"], f"{at}[{index}]")]
    if schema["type"] != "object":
        return []
    known, values = schema.get("properties", {}), schema.get("additionalProperties")
    missing = [f"{at}.{name} is missing" for name in schema.get("required", []) if name not in value]
    unknown = [f"{at}.{name} is not described" for name in value if name not in known and not values]
    return missing + unknown + [
        problem for name, each in value.items() if name in known or values for problem in problems(each, known.get(name, values), f"{at}.{name}")]


def answer_schema(server, path):
    document = json.loads(server.get("/api/openapi.json")[2])
    return document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]


# An offer whose sender never comes: half a minute later it has failed, which the last test looks at.
LOST = """(async () => {
  const peer = new RTCPeerConnection();
  peer.addTransceiver("video", { direction: "sendonly" });
  await peer.setLocalDescription();
  const response = await fetch("/live/lost/whip", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  peer.close();
  return response.status;
})()"""


@pytest.fixture(scope="module")
def lost(server, chromium):
    chromium.open(server.url("/diag/hello"))
    assert chromium.evaluate(LOST) == 201
    return time.monotonic()


@pytest.mark.peer("publisher", "publish: from the page")
@pytest.mark.peer("viewer", "watch: in the page")
@pytest.mark.parametrize("publisher, viewer, codec", [("chromium", "firefox", "vp8"), ("firefox", "chromium", None)])
def test_what_is_published_from_the_page_plays_in_the_page(lost, request, server, publisher, viewer, codec):
    publisher, viewer = request.getfixturevalue(publisher), request.getfixturevalue(viewer)
    path = f"live/from-{type(publisher).__name__.lower()}"
    go_live(publisher, server, path, codec)
    watch(viewer, server, path)
    now = playing(viewer)
    assert now["transport"] == "webrtc" and "VP8" in now["codecs"] and 0 < now["latency"] < 2
    wait_for(lambda: "jitter buffer" in text(viewer, "#latency-note"))
    # What the page that publishes shows.
    assert path in text(publisher, "#status") and text(publisher, "#badge") == "Live"
    for figure in ["bitrate", "picture", "codecs", "pair"]:
        until(publisher, f"document.querySelector('[data-figure={figure}]').textContent !== '–'")
    until(publisher, "document.querySelector('.figures .line').getAttribute('d')?.split('L').length >= 2")
    assert publisher.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # What the server says of both.
    found = wait_for(lambda: (s := sessions(server, path)) and s.keys() == {"publisher", "viewer"} and all("round_trip" in one for one in s.values()) and s)
    for session in found.values():
        assert session["state"] == "connected" and session["pair"]["remote_type"] in ("host", "prflx") and session["local_candidates"]
        assert session["dtls_cipher"] and session["srtp_profile"].startswith("AE") and session["drops"] == {}
        assert {track["codec"] for track in session["tracks"]} == {"VP8", "Opus"}
    assert problems(server.api("/webrtc"), answer_schema(server, "/api/v1/webrtc")) == []
    assert found["publisher"]["bitrate_in"] > 10_000 and found["viewer"]["bitrate_out"] > 10_000
    # The dashboard has a graph of each, and leaving the page ends the session at once.
    viewer.open(server.url("/"))
    wait_for(lambda: sessions(server, path).keys() == {"publisher"})
    card = f'[aria-label="{path}"]'
    until(viewer, f"document.querySelector('{card} .session')")
    viewer.evaluate(f"document.querySelectorAll('{card} details')[2].open = true")
    until(viewer, f"document.querySelector('{card} .session .line').getAttribute('d')?.split('L').length >= 2")
    shown = text(viewer, f"{card} .session")
    assert all(part in shown for part in ["Publisher", "connected", "VP8", "Opus", "host", "AES", "kbit/s"]), shown
    press(publisher, "start")
    until(publisher, "document.body.dataset.state === 'closed'")
    wait_for(lambda: sessions(server, path) == {})


@pytest.mark.peer("chromium", "watch: in the page")
def test_the_other_transports_follow_webrtc_and_it_them(chromium, server, media, publish):
    publish(media / "av.flv", server.rtmp_url("live/either"))
    wait_for(lambda: server.live("live/either"))
    watch(chromium, server, "live/either")
    playing(chromium)
    for transport in ["fmp4", "webrtc"]:
        choose_transport = f"(() => {{ const s = document.getElementById('transport'); s.value = '{transport}'; s.dispatchEvent(new Event('change')); }})()"
        chromium.evaluate(choose_transport)
        until(chromium, f"player.stats.transport === '{transport}' && player.stats.state === 'playing' && player.stats.latency !== null")
    # A pause leaves; playing on is live again.
    press(chromium, "play")
    until(chromium, "player.stats.state === 'paused'")
    wait_for(lambda: not sessions(server, "live/either"))
    press(chromium, "play")
    playing(chromium)


@pytest.mark.peer("chromium", "publish: from the page")
@pytest.mark.peer("firefox", "watch: in the page")
def test_what_fits_no_other_transport_comes_by_webrtc(chromium, firefox, server):
    """VP8 is not in fMP4, and this browser has no HLS of its own."""
    go_live(chromium, server, "live/vp8", "vp8")
    firefox.open(server.url("/play/live/vp8"))
    assert playing(firefox)["transport"] == "webrtc"
    press(chromium, "start")


def test_settings_change_while_it_is_live(chromium, server):
    go_live(chromium, server, "live/changes")
    client = sessions(server, "live/changes")["publisher"]["client"]
    choose(chromium, "bitrate", "300000")
    until(chromium, "session.peer.getSenders().find((s) => s.track.kind === 'video').getParameters().encodings[0].maxBitrate === 300000")
    press(chromium, "mute")
    assert chromium.evaluate("session.media.getAudioTracks()[0].enabled") is False
    for value, height in [("360", 360), ("720", 720)]:
        choose(chromium, "height", value)
        until(chromium, f"session.peer.getSenders().find((s) => s.track.kind === 'video').track.getSettings().height === {height}")
    assert sessions(server, "live/changes")["publisher"]["client"] == client, "another resolution is the same session"
    choose(chromium, "source", "sound")
    wait_for(lambda: (s := sessions(server, "live/changes")) and s["publisher"]["client"] != client)
    until(chromium, "document.body.dataset.state === 'connected'")
    press(chromium, "start")


@pytest.mark.peer("chromium", "restart: by PATCH")
def test_a_lost_path_is_found_again_in_the_same_session(chromium, server):
    go_live(chromium, server, "live/again")
    client = sessions(server, "live/again")["publisher"]["client"]
    server.process.send_signal(signal.SIGSTOP)
    try:
        until(chromium, "session.state === 'reconnecting'")
        assert "interrupted" in text(chromium, "#status")
    finally:
        server.process.send_signal(signal.SIGCONT)
    until(chromium, "session.state === 'connected'")
    assert sessions(server, "live/again")["publisher"]["client"] == client
    press(chromium, "start")


@pytest.mark.peer("firefox", "watch: in the page")
def test_h264_where_the_browser_has_none(firefox, chromium, server):
    go_live(chromium, server, "live/h264", "h264")
    watch(firefox, server, "live/h264")
    if firefox.evaluate("RTCRtpReceiver.getCapabilities('video').codecs.some(({ mimeType }) => mimeType === 'video/H264')"):
        pytest.skip("this Firefox has H.264")
    until(firefox, "player.stats.state === 'failed'")
    assert "H264" in text(firefox, "#status") and "WebRTC" in text(firefox, "#status")
    press(chromium, "start")


# What goes wrong before anything is sent


REFUSALS = {
    "chromium without permission": (lambda: Chromium(flags=["--use-fake-device-for-media-stream", "--deny-permission-prompts"]), "may not use the camera"),
    "firefox without permission": (lambda: Firefox(preferences={
        "media.navigator.streams.fake": True, "permissions.default.camera": 2, "permissions.default.microphone": 2}), "may not use the camera"),
    "chromium without devices": (lambda: Chromium(flags=["--use-fake-ui-for-media-stream"]), "No camera or microphone was found"),
    "firefox without devices": (lambda: Firefox(preferences={"media.navigator.permission.disabled": True}), "No camera or microphone was found"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_why_there_is_no_camera(server, name):
    make, expected = REFUSALS[name]
    browser = make()
    try:
        open_publish(browser, server, "live/none")
        press(browser, "start")
        until(browser, "document.getElementById('problem').textContent")
        assert expected in text(browser, "#problem") and "press the button again" in text(browser, "#problem")
        assert not server.live("live/none")
    finally:
        browser.close()


def test_a_camera_that_cannot_do_this(chromium, server):
    open_publish(chromium, server, "live/none")
    # In one go: the page fills the list anew as soon as the browser has told it of its devices.
    chromium.evaluate("""(() => {
      const { camera } = document.getElementById('settings').elements;
      camera.append(new Option('Gone', 'gone'));
      camera.value = 'gone';
      document.getElementById('start').click();
    })()""")
    until(chromium, "document.getElementById('problem').textContent")
    assert "not there any more" in text(chromium, "#problem")


def test_a_page_over_plain_http_says_so_and_names_its_twin(browser, server):
    browser.open(f"http://{ELSEWHERE}:{server.http}/publish.html?stream=live/far")
    until(browser, "document.querySelector('#insecure a')")
    assert "only to pages over HTTPS" in text(browser, "#insecure")
    assert browser.evaluate("document.querySelector('#insecure a').href") == f"https://{ELSEWHERE}:{server.https}/publish.html?stream=live/far"
    assert browser.evaluate("document.getElementById('start').disabled")


def test_a_token_that_is_missing_is_asked_for(chromium, make_server):
    server = make_server(configuration="auth: {keys: [{key: letmein-please, do: [publish, play]}]}\n")
    open_publish(chromium, server, "live/guarded")
    press(chromium, "start")
    until(chromium, "document.getElementById('problem').textContent")
    assert "Enter a token" in text(chromium, "#problem") and "live/guarded" in text(chromium, "#problem")
    choose(chromium, "token", "letmein-please")
    press(chromium, "start")
    until(chromium, "document.body.dataset.state === 'connected'")
    assert text(chromium, "#problem") == ""
    press(chromium, "start")


# What is written to be copied


def documented(server, language):
    """The blocks of docs/webrtc.md with this server's address, and a stream of their own."""
    found = [b.text.replace("localhost:8080", f"127.0.0.1:{server.http}").replace("live/cam", "live/documented") for b in blocks("webrtc.md", language)]
    assert found
    return found


def test_the_pages_of_the_documentation_publish_and_watch(chromium, firefox, server, elsewhere):
    folder, address = elsewhere
    for name, page in zip(["publish", "watch"], documented(server, "html"), strict=True):
        (folder / f"{name}.html").write_text(page)
    firefox.open(f"{address}/publish.html")
    press(firefox, "go")
    until(firefox, "document.getElementById('state').value === 'Connected'")
    chromium.open(f"{address}/watch.html")
    until(chromium, "document.getElementById('video').currentTime > 0.5 && document.getElementById('video').videoWidth > 0")
    firefox.open("about:blank")


def test_the_commands_of_the_documentation_work(server, ffmpeg9):
    commands = documented(server, "sh")
    command = next(c for c in commands if c.startswith("ffmpeg"))
    process = subprocess.Popen(["sh", "-c", "exec " + command.replace("ffmpeg", shlex.quote(ffmpeg9) + " -v error -nostdin", 1)])
    try:
        stream = wait_for(lambda: (s := server.live("live/documented")) and len(s["tracks"]) == 2 and s, 30)
        assert {track["codec"] for track in stream["tracks"]} == {"H264", "Opus"}
        answer = subprocess.run(["sh", "-c", next(c for c in commands if c.startswith("curl"))], capture_output=True, text=True, timeout=10)
        assert json.loads(answer.stdout)["sessions"]
    finally:
        process.kill()
        process.wait()


def test_the_settings_of_the_documentation_are_settings(make_server):
    for text in (b.text for b in blocks("webrtc.md", "yaml")):
        server = make_server(configuration=text)
        status, fields, _ = server.get("/readyz")
        assert status == 200, text


def test_the_hint_for_ffmpeg_works(chromium, server, ffmpeg9, tmp_path):
    file = tmp_path / "baseline.mp4"
    ffmpeg("-t", "15", *VIDEO, *AUDIO, "-t", "15", "-c:v", "libx264", "-profile:v", "baseline", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac", str(file))
    chromium.open(server.url("/"))
    command = chromium.evaluate("""(async () => {
      const { placeOf, publishHints } = await import("/hints.js");
      const server = await (await fetch("/api/v1/server")).json();
      const hint = publishHints(placeOf(server), "live/hint", "").find(({ title }) => title.startsWith("ffmpeg 8"));
      return Object.fromEntries(hint.lines).Command;
    })()""")
    process = subprocess.Popen(["sh", "-c", "exec " + command.replace("ffmpeg", shlex.quote(ffmpeg9) + " -v error -nostdin", 1).replace("FILE", str(file))])
    try:
        wait_for(lambda: (s := server.live("live/hint")) and len(s["tracks"]) == 2, 30)
    finally:
        process.kill()
        process.wait()


# What the server tells


def test_the_metrics_count_sessions_by_pair(chromium, server):
    go_live(chromium, server, "live/counted")
    metrics = server.get("/metrics")[2].decode()
    assert any(line.startswith('martlet_webrtc_sessions{pair="') and "udp" in line for line in metrics.splitlines())
    assert 'martlet_webrtc_packets_total{direction="in"}' in metrics and "martlet_webrtc_failed_total" in metrics
    press(chromium, "start")


def test_a_session_that_nothing_reaches_is_diagnosed(lost, chromium, server):
    failed = wait_for(lambda: [s for s in server.api("/webrtc?path=live/lost")["failed"]], 40)[0]
    assert failed["state"] == "failed" and "no path" in failed["failure"] and failed["trace"]
    for part in ["offered", "nothing came in", "webrtc.addresses", "UDP"]:
        assert part in failed["diagnosis"], failed["diagnosis"]
    assert problems(server.api("/webrtc"), answer_schema(server, "/api/v1/webrtc")) == []
    assert "nothing came in" in server.log.read_text()
    assert 'martlet_webrtc_failed_total 1' in server.get("/metrics")[2].decode()
    chromium.open(server.url("/"))
    until(chromium, "document.querySelector('#failed .session')")
    assert "webrtc.addresses" in text(chromium, "#failed")
