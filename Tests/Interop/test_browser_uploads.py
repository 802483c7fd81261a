"""Uploads of martlet.js in Chromium and Firefox: parts, progress, a server that dies in between, abort."""
import hashlib
import json
import signal

import pytest
from browsers import BROWSERS
from conftest import free_port, start_server, stop_server, wait_for

KEY = "a secret of more than thirty-two letters"


def token(on="**"):
    import time

    import jwt

    return jwt.encode({"exp": time.time() + 600, "can": [{"do": ["upload", "download"], "on": on}]}, KEY)


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request):
    browser = BROWSERS[request.param]()
    yield browser
    browser.close()


class Site:
    def __init__(self, folder):
        self.folder = folder
        self.ports = [free_port() for _ in range(4)]
        self.start()

    def start(self):
        self.server = start_server(self.folder, "--workers", "2", ports=self.ports, configuration=(
            f"auth: {{jwt: [{{secret: {KEY}, do: [upload]}}]}}\nfiles: {{path: {self.folder}/files}}\n"))

    def kill(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait(10)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    stop_server(site.server)


BYTES = 5_500_000


def content():
    return bytes((n * 7 + n // 251) & 255 for n in range(BYTES))


def begin(browser, site, name, options="", credentials=None):
    """Begins an upload of `content()`; what happens is written down, and requests pass through `window.network`."""
    browser.open(site.server.url("/healthz"))
    browser.evaluate(f"""(async () => {{
      const {{ Martlet }} = await import("/martlet.js");
      const bytes = new Uint8Array({BYTES});
      for (let n = 0; n < bytes.length; n += 1) bytes[n] = (n * 7 + Math.floor(n / 251)) & 255;
      window.sent = [];
      const native = window.fetch.bind(window);
      window.fetch = (url, init) => {{
        sent.push([init.method, init.headers["Content-Range"] ?? ""]);
        return native(url, init);
      }};
      window.martlet = new Martlet({{ token: {json.dumps(credentials or token())}, backoff: {{ min: 50, max: 500 }} }});
      window.events = [];
      window.upload = martlet.upload(new File([bytes], "x.bin"), {{ name: {json.dumps(name)}, {options} }});
      for (const type of ["loadstart", "progress", "load", "error", "abort", "loadend"]) {{
        upload.addEventListener(type, ({{ loaded, total }}) => events.push([type, loaded, total]));
      }}
      upload.done.then(({{ url }}) => (window.result = url), (error) => (window.result = `failed: ${{error.message}}`));
    }})()""")


def test_a_file_goes_in_parts_with_progress(browser, site):
    begin(browser, site, "ü/x.bin")
    wait_for(lambda: browser.evaluate("window.result"), 30)
    assert browser.evaluate("result") == site.server.url("/files/%C3%BC/x.bin")
    events = browser.evaluate("events")
    assert [event[0] for event in events] == ["loadstart", *["progress"] * 6, "load", "loadend"]
    assert [event[1] for event in events if event[0] == "progress"] == [n << 20 for n in range(1, 6)] + [BYTES]
    assert [method for method, _ in browser.evaluate("sent")] == ["HEAD"] + ["PUT"] * 6
    status, _, body = site.server.get("/files/%C3%BC/x.bin", {"Authorization": f"Bearer {token()}"})
    assert status == 200 and hashlib.sha256(body).digest() == hashlib.sha256(content()).digest()


def test_only_the_part_that_failed_is_sent_again(browser, site):
    begin(browser, site, "again.bin", "chunk: 100_000")
    wait_for(lambda: browser.evaluate("upload.loaded") > 500_000)
    site.kill()
    wait_for(lambda: browser.evaluate("sent.at(-1)[0]") == "HEAD")
    site.start()
    wait_for(lambda: browser.evaluate("window.result"), 40)
    assert browser.evaluate("result").endswith("/files/again.bin")
    parts = [part for method, part in browser.evaluate("sent") if method == "PUT"]
    # What was under way, and at most what the server had not written yet, went twice.
    assert len(parts) <= 55 + 3 and len(set(parts)) == 55
    body = site.server.get("/files/again.bin", {"Authorization": f"Bearer {token()}"})[2]
    assert hashlib.sha256(body).digest() == hashlib.sha256(content()).digest()


def test_abort_ends_it_and_later_it_goes_on(browser, site):
    begin(browser, site, "later.bin", "chunk: 50_000")
    wait_for(lambda: browser.evaluate("upload.loaded") > 200_000)
    browser.evaluate("upload.abort()")
    wait_for(lambda: browser.evaluate("events.at(-1)[0]") == "loadend")
    assert browser.evaluate("events.at(-2)[0]") == "abort"
    arrived = browser.evaluate("upload.loaded")
    begin(browser, site, "later.bin")
    wait_for(lambda: browser.evaluate("window.result"), 30)
    first = next(part for method, part in browser.evaluate("sent") if method == "PUT")
    assert int(first.split()[1].split("-")[0]) >= arrived
    body = site.server.get("/files/later.bin", {"Authorization": f"Bearer {token()}"})[2]
    assert hashlib.sha256(body).digest() == hashlib.sha256(content()).digest()


def test_a_refusal_is_an_error_at_once(browser, site):
    begin(browser, site, "theirs/x", credentials=token("own/**"))
    wait_for(lambda: browser.evaluate("window.result"))
    assert browser.evaluate("result").startswith("failed: ")
    assert [event[0] for event in browser.evaluate("events")] == ["loadstart", "error", "loadend"]
    assert [method for method, _ in browser.evaluate("sent")] == ["HEAD", "PUT"]
    # Browsers would make another address of it.
    assert "dots" in browser.evaluate("(() => { try { martlet.upload(new Blob(), { name: 'a/../x' }); } catch (error) { return error.message; } })()")
