"""Chromium and Firefox open the pages: the player decodes what ffmpeg publishes, and the hints of the dashboard work."""
import json
import shlex
import subprocess
import threading
import urllib.request

import pytest
from browsers import BROWSERS
from conftest import VIDEO, ffmpeg, stop_server, wait_for

# Seconds behind the newest frame; in daily life it is half a second, on a machine that runs all tests at once it may be more.
LATENCY = 5


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request):
    browser = BROWSERS[request.param]()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def chromium():
    browser = BROWSERS["chromium"]()
    yield browser
    browser.close()


def own(browser, name):
    """A path that no other browser's test has used: a stream outlives its publisher by the grace period."""
    return f"live/{name}-{type(browser).__name__.lower()}"


def watch(browser, server, path, query=""):
    browser.open(server.url(f"/play/{path}{query}"))


def stats(browser):
    return browser.evaluate("""({ ...player.stats, time: document.getElementById("video").currentTime,
        text: document.getElementById("status").textContent })""")


def until(browser, condition, seconds=30):
    """The player's figures as soon as `condition` holds for them."""
    last = {}

    def check():
        last.update(stats(browser))
        return condition(last) and dict(last)

    try:
        return wait_for(check, seconds)
    except AssertionError:
        raise AssertionError(f"waited {seconds} s in vain; the player says {json.dumps(last)}") from None


def moving(browser, seconds=30, pictures=30, since=None):
    """Waits until a second more has played, and so many pictures more were decoded, than `since` or now."""
    before = since or stats(browser)
    return until(
        browser,
        lambda now: now["state"] == "playing" and now["time"] > before["time"] + 1 and (now["decoded"] or 0) >= (before["decoded"] or 0) + pictures,
        seconds)


@pytest.mark.parametrize("source", ["av.flv", "bframes.flv", "video.flv"])
def test_plays(browser, server, media, publish, source):
    path = own(browser, source.split(".")[0])
    publish(media / source, server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    watch(browser, server, path)
    # Before the first picture there is no time line to compare with.
    first = until(browser, lambda now: now["state"] == "playing" and now["time"] > 0)
    now = moving(browser, since=first)
    assert (now["width"], now["height"]) == (640, 360)
    assert now["transport"] == "fmp4" and not now["audioOnly"]
    settled = until(browser, lambda now: now["latency"] is not None and now["latency"] < LATENCY)
    assert settled["latency"] > 0
    assert wait_for(lambda: server.stream(path)["viewers"]["by_transport"]) == {"ws-fmp4": 1}


def test_sound_alone_plays(browser, server, media, publish):
    path = own(browser, "sound")
    publish(media / "audio.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    watch(browser, server, path)
    first = until(browser, lambda now: now["state"] == "playing" and now["time"] > 0)
    now = moving(browser, pictures=0, since=first)
    assert now["audioOnly"] and now["latency"] < LATENCY
    wait_for(lambda: browser.evaluate("getComputedStyle(document.getElementById('audio-only')).display") != "none")


def test_hls_where_the_browser_plays_it(browser, server, media, publish):
    path = own(browser, "hls")
    publish(media / "av.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    watch(browser, server, path)
    if browser.evaluate("document.querySelector('option[value=hls]').disabled"):
        pytest.skip("this browser has no HLS of its own")
    browser.evaluate("""(() => {
      const select = document.getElementById("transport");
      select.value = "hls";
      select.dispatchEvent(new Event("change"));
    })()""")
    first = until(browser, lambda now: now["transport"] == "hls" and now["state"] == "playing" and now["time"] > 0)
    now = moving(browser, since=first)
    assert now["width"] == 640
    wait_for(lambda: server.stream(path)["viewers"]["by_transport"] == {"hls": 1})


def test_waits_for_the_publisher_and_survives_a_republish(browser, server, media, publish):
    path = own(browser, "again")
    watch(browser, server, path)
    until(browser, lambda now: now["state"] == "waiting")
    first = publish(media / "av.flv", server.rtmp_url(path))
    playing = moving(browser, since={"time": 0, "decoded": 0})
    first.kill()
    first.wait()
    wait_for(lambda: not server.live(path))
    publish(media / "bframes.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    # Decoded pictures are what counts: a player that began anew has a time line of its own.
    now = until(browser, lambda now: now["state"] == "playing" and now["decoded"] > playing["decoded"] + 60)
    assert now["reconnects"] == 0, "viewers stay attached within the grace period"
    until(browser, lambda now: now["latency"] is not None and now["latency"] < LATENCY)


def test_picture_comes_and_goes(browser, server, media, publish):
    """Tracks of a source buffer are for life: the player begins a new one."""
    path = own(browser, "change")
    first = publish(media / "audio.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    watch(browser, server, path)
    until(browser, lambda now: now["state"] == "playing" and now["audioOnly"])
    first.kill()
    first.wait()
    publish(media / "av.flv", server.rtmp_url(path))
    now = until(browser, lambda now: now["state"] == "playing" and now["width"] == 640)
    assert not now["audioOnly"]
    moving(browser, since=now)


def test_codec_changes(browser, server, media, publish, ffmpeg9, tmp_path):
    path = own(browser, "codec")
    if not browser.evaluate("""MediaSource.isTypeSupported('video/mp4; codecs="av01.0.01M.08"')"""):
        pytest.skip("this build of the browser has no AV1")
    file = tmp_path / "av1.flv"
    ffmpeg("-t", "10", *VIDEO, "-t", "10", "-c:v", "libsvtav1", "-preset", "12", "-g", "30", "-pix_fmt", "yuv420p", "-f", "flv", str(file), binary=ffmpeg9)
    first = publish(media / "video.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    watch(browser, server, path)
    before = until(browser, lambda now: now["state"] == "playing" and "avc1" in (now["mime"] or ""))
    first.kill()
    first.wait()
    publish(file, server.rtmp_url(path), binary=ffmpeg9)
    now = until(browser, lambda now: now["state"] == "playing" and "av01" in now["mime"])
    assert now["reconnects"] == before["reconnects"]
    moving(browser, since=now)


def test_a_pause_leaves_the_stream_and_play_is_live_again(browser, server, media, publish):
    path = own(browser, "pause")
    publish(media / "av.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    watch(browser, server, path)
    until(browser, lambda now: now["state"] == "playing" and now["time"] > 0)
    browser.evaluate("document.getElementById('play').click()")
    until(browser, lambda now: now["state"] == "paused")
    wait_for(lambda: server.stream(path)["viewers"]["total"] == 0)
    browser.evaluate("document.getElementById('play').click()")
    now = until(browser, lambda now: now["state"] == "playing" and now["time"] > 0)
    assert moving(browser, since=now)["latency"] < LATENCY


def test_comes_back_after_a_restart_of_the_server(browser, make_server, media, publish, monkeypatch):
    server = make_server()
    publish(media / "av.flv", server.rtmp_url("live/cam"))
    wait_for(lambda: server.live("live/cam"))
    watch(browser, server, "live/cam")
    until(browser, lambda now: now["state"] == "playing" and now["time"] > 0)
    ports = [server.http, server.https, server.rtmp, server.rtmps]
    stop_server(server)
    until(browser, lambda now: now["state"] == "reconnecting" and "rying again" in now["text"])
    monkeypatch.setattr("conftest.free_port", iter(ports).__next__)
    server = make_server()
    publish(media / "av.flv", server.rtmp_url("live/cam"))
    now = until(browser, lambda now: now["state"] == "playing" and now["reconnects"] > 0, seconds=60)
    moving(browser, since=now)


GUARDED = "auth:\n  keys:\n    - key: letmein-please\n      do: [publish, play]\n"


def test_asks_for_a_token(browser, make_server, media, publish):
    server = make_server(configuration=GUARDED)
    publish(media / "av.flv", server.rtmp_url("live/cam?token=letmein-please"))
    wait_for(lambda: server.live("live/cam"))
    watch(browser, server, "live/cam")
    until(browser, lambda now: now["state"] == "failed" and "live/cam" in now["text"])
    assert browser.evaluate("!document.getElementById('access').hidden")
    browser.evaluate("""(() => {
      const form = document.getElementById("access");
      form.elements.token.value = "letmein-please";
      form.requestSubmit();
    })()""")
    until(browser, lambda now: now["state"] == "playing" and now["time"] > 0)


# The dashboard


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")


def test_dashboard_shows_streams_and_stops_them(browser, server, media, publish):
    path = own(browser, "shown")
    publish(media / "av.flv", server.rtmp_url(path))
    wait_for(lambda: server.live(path))
    browser.open(server.url("/"))
    card = f'[aria-label="{path}"]'
    wait_for(lambda: all(part in text(browser, card) for part in ["H264 640 × 360", "AAC 48 kHz", "bit/s", "RTMP"]))
    # The preview: 16 to 9 as it was published.
    wait_for(lambda: browser.evaluate(f"document.querySelector('{card} img').naturalWidth") > 0)
    assert text(browser, "#version") and text(browser, "#uptime")
    # The graph grows with each answer.
    wait_for(lambda: browser.evaluate(f"document.querySelector('{card} .graph .line').getAttribute('d').split('L').length") >= 3)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def confirm(about):
        assert about in wait_for(lambda: text(browser, "dialog[open]"))
        browser.evaluate("document.querySelector('dialog[open] .danger').click()")

    # A viewer that comes later is listed, what it was sent grows, and it can be closed.
    with urllib.request.urlopen(server.url(f"/{path}.flv"), timeout=10) as viewer:
        row = f"[...document.querySelectorAll('{card} tbody tr')].find(row => row.textContent.includes('HTTP-FLV'))"
        browser.evaluate(f"document.querySelectorAll('{card} details')[1].open = true")
        sent = f"{row}?.cells[4].textContent"
        first = wait_for(lambda: browser.evaluate(sent))
        assert "1 HTTP-FLV" in text(browser, card)
        reader = threading.Thread(target=viewer.read)
        reader.start()
        wait_for(lambda: browser.evaluate(sent) not in (None, first))
        browser.evaluate(f"{row}.querySelector('button').click()")
        confirm("viewer")
        reader.join(10)
        assert not reader.is_alive()
    wait_for(lambda: not browser.evaluate(row))
    browser.evaluate(f"document.querySelector('{card} .actions .danger').click()")
    confirm(path)
    wait_for(lambda: not server.live(path))


def test_pages_break_no_rule_of_their_own(chromium, server, media, publish):
    """Nothing inline, nothing from elsewhere, no error on the console."""
    publish(media / "av.flv", server.rtmp_url("live/rules"))
    wait_for(lambda: server.live("live/rules"))
    chromium.problems.clear()
    chromium.open(server.url("/"))
    wait_for(lambda: "live/rules" in text(chromium, "#streams"))
    watch(chromium, server, "live/rules")
    until(chromium, lambda now: now["state"] == "playing")
    assert chromium.problems == []


def test_dashboard_asks_for_the_administrators_token(browser, server):
    """Only a page that was asked for by this machine's own name or address is let in without."""
    browser.open(server.url("/").replace("127.0.0.1", "martlet.localhost"))
    wait_for(lambda: browser.evaluate("!document.getElementById('access').hidden"))

    def offer(token):
        browser.evaluate(f"""(() => {{
          const form = document.getElementById("access");
          form.elements.token.value = {json.dumps(token)};
          form.requestSubmit();
        }})()""")

    offer("wrong")
    wait_for(lambda: "This token does not do" in text(browser, "#problem"))
    offer((server.log.parent / "state/martlet/admin-token").read_text().strip())
    wait_for(lambda: text(browser, "#version"))
    assert browser.evaluate("document.getElementById('access').hidden") and text(browser, "#problem") == ""


@pytest.mark.parametrize("token", ["", "letmein-please"])
def test_publish_hints_work(chromium, make_server, media, publish, token):
    """The texts that the page gives to copy are run as they are."""
    server = make_server(configuration=GUARDED if token else None)
    chromium.open(server.url("/"))
    wait_for(lambda: chromium.evaluate("!document.getElementById('publish').hidden"))
    hints = chromium.evaluate(f"""(async () => {{
      const {{ placeOf, publishHints }} = await import("/hints.js");
      const server = await (await fetch("/api/v1/server")).json();
      return ["obs", "ff", "gst"].map((name, i) => Object.fromEntries(publishHints(placeOf(server), "live/" + name, {json.dumps(token)})[i].lines));
    }})()""")
    # OBS joins server and key with a slash, as ffmpeg is told here.
    publish(media / "av.flv", f"{hints[0]['Server']}/{hints[0]['Stream Key']}")
    shell = [hints[1]["Command"].replace("FILE", shlex.quote(str(media / "av.flv"))), hints[2]["Command"]]
    processes = [subprocess.Popen(["sh", "-c", f"exec {command}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) for command in shell]
    try:
        for name in ["obs", "ff", "gst"]:
            stream = wait_for(lambda: (s := server.live(f"live/{name}")) and len(s["tracks"]) == 2 and s, seconds=30)
            assert {track["codec"] for track in stream["tracks"]} == {"H264", "AAC"}, name
    finally:
        for process in processes:
            process.kill()
            process.wait()
