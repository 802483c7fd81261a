"""The configurations of docs/proxies.md in a real nginx and a real HAProxy; only addresses are put in."""
import asyncio
import shutil
import subprocess
import time
import urllib.request

import aiohttp
import pytest
from browsers import Chromium
from conftest import free_port, start_server, stop_server, wait_for
from documents import block

TRUSTED = block("proxies.md", "Behind a proxy", "yaml")


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("behind"), configuration=TRUSTED + "channels: {heartbeat: 1s}\n")
    yield server
    stop_server(server)


class Proxy:
    """A proxy in the foreground, on a port of its own."""

    def __init__(self, kind, folder, server):
        self.port = free_port()
        language = kind.lower()
        text = block("proxies.md", kind, language).replace("127.0.0.1:8080", f"127.0.0.1:{server.http}")
        path = folder / f"{language}.cfg"
        if kind == "nginx":
            text = text.replace("listen 80;", f"listen 127.0.0.1:{self.port};")
            places = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            path.write_text(f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log info;\n"
                            f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{places}{text}}}\n")
            command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(path)]
        else:
            path.write_text(text.replace("bind :80", f"bind 127.0.0.1:{self.port}"))
            command = [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(path)]
        self.process = subprocess.Popen(command, stdout=(folder / "output").open("w"), stderr=subprocess.STDOUT)
        wait_for(lambda: self.answers(folder))

    def answers(self, folder):
        assert self.process.poll() is None, (folder / "output").read_text()
        try:
            with urllib.request.urlopen(self.url("/readyz"), timeout=2) as response:
                return response.status == 200
        except OSError:
            return False

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module", params=["nginx", "HAProxy"])
def proxy(request, tmp_path_factory, behind):
    proxy = Proxy(request.param, tmp_path_factory.mktemp(request.param), behind)
    yield proxy
    proxy.stop()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_websockets_event_streams_and_polls_pass_at_once(proxy):
    async def main():
        async with aiohttp.ClientSession() as session, session.ws_connect(proxy.url("/ws"), protocols=["martlet.v1"]) as socket:
            await socket.send_json({"do": "subscribe", "id": 1, "channel": "via"})
            cursor = (await socket.receive_json(timeout=5))["cursor"]
            stream = await session.get(proxy.url("/channels/via/events"))
            assert stream.headers["Content-Type"] == "text/event-stream"
            poll = asyncio.create_task(session.get(proxy.url(f"/channels/via/poll?since={cursor}")))
            # Each arrives by itself, while the answers before it are still open.
            text = ""
            for n in range(20):
                async with session.post(proxy.url("/channels/via"), data=f"message {n}") as response:
                    assert response.status == 200
                assert (await socket.receive_json(timeout=5))["data"] == f"message {n}"
                while f"data: message {n}\n\n" not in text:
                    text += (await asyncio.wait_for(stream.content.readany(), 5)).decode()
            answer = await (await poll).json()
            assert answer["messages"][0]["data"] == "message 0"
            # And on a quiet stream the comments.
            while not text.endswith(":\n\n"):
                text += (await asyncio.wait_for(stream.content.readany(), 5)).decode()
            stream.close()
    run(main())


def test_the_server_knows_who_the_client_is(proxy, behind):
    async def main():
        async with aiohttp.ClientSession(headers={"X-Forwarded-For": "198.51.100.9"}) as session:
            async with session.ws_connect(proxy.url("/ws")) as socket:
                await socket.send_json({"do": "subscribe", "id": 1, "channel": "who"})
                await socket.receive_json(timeout=5)
                client = next(c for c in behind.api("/clients")["clients"] if c.get("channels") == ["who"])
                # The proxy wrote 127.0.0.1 behind what the client said; that address is trusted too, so its word counts.
                assert client["address"].split(":")[0] == "198.51.100.9"
            # What came through a proxy is not from this machine.
            async with session.get(proxy.url("/api/v1/server")) as response:
                assert response.status == 401
    run(main())


def test_live_video_passes_as_it_comes(proxy, behind, media, publish):
    path = f"live/{type(proxy).__name__}-{proxy.port}"
    publish(media / "av.flv", behind.rtmp_url(path))
    wait_for(lambda: behind.live(path))
    with urllib.request.urlopen(proxy.url(f"/{path}.flv"), timeout=10) as response:
        assert response.read(3) == b"FLV"
        started, count = time.monotonic(), 0
        while time.monotonic() - started < 3:
            before = time.monotonic()
            count += len(response.read1(65536))
            assert time.monotonic() - before < 1.5, "the proxy collects"
        assert count > 50_000


def test_a_large_publication_passes(proxy):
    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.post(proxy.url("/channels/large"), data=b"\xff" * 200_000) as response:
                assert response.status == 200
            async with session.get(proxy.url("/channels/large/history")) as response:
                assert len((await response.json())["messages"][0]["b64"]) > 200_000
    run(main())


def test_a_page_behind_the_proxy_uses_websockets(proxy):
    """The page's origin is the proxy's: the Host that arrives must be the same."""
    browser = Chromium()
    try:
        browser.open(proxy.url("/chat.html?channel=via"))
        browser.evaluate("""(() => {
          document.querySelector("#enter input").value = "Ada";
          document.getElementById("enter").requestSubmit();
        })()""")
        wait_for(lambda: browser.evaluate("document.getElementById('connection').textContent") == "Connected")
    finally:
        browser.close()
