"""What is sent to WebRTC viewers follows what the path takes: Chromium with an open path and behind a narrow one."""
import os
import shutil
import subprocess

import pytest
from conftest import AUDIO, start_server, stop_server, wait_for
from webrtc import page

pytestmark = pytest.mark.alone

HERE, THERE = "10.213.9.1", "10.213.9.2"
NAME, NEAR, FAR = "mrtlnarrow", "mrtlnar0", "mrtlnar1"
LIMIT = 500_000


def run(*command):
    return subprocess.run(command, capture_output=True, text=True).returncode == 0


def remove():
    run("ip", "link", "del", NEAR)
    run("ip", "netns", "del", NAME)


@pytest.fixture
def narrow(tmp_path):
    """A server whose every byte to here goes through a link of `LIMIT` bits a second."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        pytest.skip("a narrow link needs root, iproute2 and tc")
    inside = ("ip", "netns", "exec", NAME)
    remove()
    made = (
        run("ip", "netns", "add", NAME)
        and run("ip", "link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", NAME)
        and run("ip", "addr", "add", f"{HERE}/24", "dev", NEAR) and run("ip", "link", "set", NEAR, "up")
        and run("ip", "-n", NAME, "addr", "add", f"{THERE}/24", "dev", FAR)
        and run("ip", "-n", NAME, "link", "set", FAR, "up") and run("ip", "-n", NAME, "link", "set", "lo", "up")
        and run(*inside, "tc", "qdisc", "add", "dev", FAR, "root", "tbf", "rate", f"{LIMIT}bit", "burst", "6kb", "latency", "600ms"))
    if not made:
        remove()
        pytest.skip("network namespaces and traffic control are not permitted here")
    server = start_server(tmp_path, configuration="auth: {keys: [{key: narrow-key-1, do: [admin]}]}\n", host=THERE, prefix=inside)
    server.token = "narrow-key-1"
    yield server
    stop_server(server)
    remove()


@pytest.fixture
def encoder():
    """Publishes pictures of the named bits a second, and sound."""
    processes = []

    def start(server, path, bitrate):
        command = [
            "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30", *AUDIO, "-c:v", "libx264", "-preset",
            "ultrafast", "-tune", "zerolatency", "-g", "60", "-pix_fmt", "yuv420p", "-b:v", bitrate, "-minrate", bitrate, "-maxrate", bitrate,
            "-bufsize", bitrate, "-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-f", "flv", server.rtmp_url(path)]
        processes.append(subprocess.Popen(command))
        wait_for(lambda: server.live(path))

    yield start
    for process in processes:
        process.kill()
        process.wait()


def watch(browser, server, path):
    page(browser, server)
    assert browser.evaluate(f"watch('/{path}/whep').then(() => 'done')") == "done"


def session(server, path):
    return next(iter(server.api(f"/webrtc?path={path}")["sessions"]), None)


@pytest.mark.peer("chromium", "loss and delay: an open path")
def test_the_estimate_of_an_open_path_is_told_and_holds_nothing_back(chromium, server, encoder):
    encoder(server, "live/open", "1500k")
    watch(chromium, server, "live/open")
    found = wait_for(lambda: (s := session(server, "live/open")) and s.get("estimate_reason") == "delay" and s["estimate"] > 1_000_000 and s, 30)
    assert found["estimate"] <= 100_000_000
    frames = lambda: chromium.evaluate("received()").get("video", {}).get("frames", 0)
    first = frames()
    wait_for(lambda: frames() > first + 90, 30)
    status, _, text = server.get("/metrics")
    padding = next(line for line in text.decode().splitlines() if line.startswith("martlet_webrtc_padding_bytes_total"))
    assert status == 200 and int(float(padding.split()[1])) < 1_000_000
    chromium.evaluate("viewer.close()")


@pytest.mark.peer("chromium", "loss and delay: a narrow link")
def test_behind_a_narrow_link_sound_goes_on_and_the_estimate_is_that_of_the_link(chromium, narrow, encoder):
    encoder(narrow, "live/narrow", "1500k")
    watch(chromium, narrow, "live/narrow")

    def settled():
        found = session(narrow, "live/narrow")
        return found if found and found["left_out"] > 0 and found.get("estimate", 1 << 40) < 1.2 * LIMIT else None
    found = wait_for(settled, 40)
    assert found["estimate"] > 0.3 * LIMIT and found["estimate_reason"] in ("delay", "loss")
    sound = lambda: chromium.evaluate("received()")["audio"]
    first = sound()
    # 50 packets a second, most of which are there.
    later = wait_for(lambda: (now := sound())["packets"] >= first["packets"] + 250 and now, 30)
    lost = later["lost"] - first["lost"]
    assert lost < 50
    # Pictures come, from key frame to key frame.
    frames = lambda: chromium.evaluate("received()")["video"]["frames"]
    before = frames()
    wait_for(lambda: frames() > before, 30)
    chromium.evaluate("viewer.close()")
