"""The pages and programs of docs/, run as they stand there; only addresses are put in."""
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
from browsers import BROWSERS
from conftest import ROOT, start_server, stop_server, wait_for
from documents import block, blocks

# What `Scripts/bootstrap --interop` takes from the package that has it; MARTLET_SOCKETIO_CLIENT names another copy.
SOCKETIO = os.environ.get("MARTLET_SOCKETIO_CLIENT", ROOT / ".build/venv/socket.io.min.js")

PAGES = [("transports.md", heading) for heading in ("WebSocket", "EventSource", "Long-poll", "Socket.IO")] + [
    ("javascript.md", "JavaScript: martlet.js")]


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request):
    browser = BROWSERS[request.param]()
    yield browser
    browser.close()


def publish(server, channel, text, token=None):
    headers = {"Content-Type": "text/plain", **({"Authorization": f"Bearer {token}"} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(server.url(f"/channels/{channel}"), text.encode(), headers), timeout=10) as response:
        return json.load(response)["cursor"]


@pytest.mark.parametrize("page, heading", PAGES)
def test_the_page_of_each_transport_hears_and_says(browser, server, elsewhere, page, heading):
    folder, address = elsewhere
    html = block(page, heading, "html").replace("localhost:8080", f"127.0.0.1:{server.http}")
    if "cdn.socket.io" in html:
        shutil.copy(SOCKETIO, folder / "socket.io.min.js")
        html = re.sub(r"https://cdn\.socket\.io/[\d.]+/", "/", html)
    (folder / "page.html").write_text(html)
    browser.open(f"{address}/page.html")
    lines = "[...document.querySelectorAll('#log li')].map((line) => line.textContent)"
    name = f"{heading} {type(browser).__name__}"
    # The page hears others, says something, and hears that once.
    wait_for(lambda: publish(server, "chat", f"to {name}") and f"to {name}" in browser.evaluate(lines))
    browser.evaluate(f"""(() => {{
      document.getElementById("text").value = {json.dumps(f"from {name}")};
      document.getElementById("say").requestSubmit();
    }})()""")
    wait_for(lambda: f"from {name}" in browser.evaluate(lines))
    publish(server, "chat", f"end of {name}")
    wait_for(lambda: f"end of {name}" in browser.evaluate(lines))
    assert browser.evaluate(lines).count(f"from {name}") == 1


def test_the_first_message_of_the_readme(browser, server, elsewhere):
    folder, address = elsewhere
    html = block("../README.md", "Your first message in a minute", "html").replace("localhost:8080", f"127.0.0.1:{server.http}")
    (folder / "first.html").write_text(f"<!doctype html><body>{html}")
    browser.open(f"{address}/first.html")
    wait_for(lambda: "hello from the browser" in browser.evaluate("document.body.innerText"))


# Tokens


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("guarded"), configuration=block("tokens.md", "Tokens", "yaml"))
    yield server
    stop_server(server)


SECRET = "a secret of more than thirty-two letters"
LANGUAGES = {"Node": ("js", "mint.mjs", ["node"]), "Python": ("python", "mint.py", ["python3"]), "PHP": ("php", "mint.php", ["php"]),
             "Go": ("go", "mint.go", ["go", "run"])}


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_token_made_as_the_page_says_is_accepted(guarded, tmp_path, name):
    language, file, command = LANGUAGES[name]
    text = block("tokens.md", name, language)
    assert len([line for line in text.splitlines() if line.strip()]) <= 12
    (tmp_path / file).write_text(text)
    environment = dict(os.environ, SECRET=SECRET, GOFLAGS="-mod=mod", GO111MODULE="off", GOCACHE=str(tmp_path / "cache"))
    result = subprocess.run([*command, file], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
    assert result.returncode == 0, result.stderr
    check(guarded, result.stdout.strip())


def check(server, token):
    assert publish(server, "chat/general", "hello", token)
    with urllib.request.urlopen(urllib.request.Request(
            server.url("/channels/chat/general/poll?last=1"), headers={"Authorization": f"Bearer {token}"}), timeout=10) as response:
        assert json.load(response)["messages"][0]["user"] == "ada"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        publish(server, "orders/1", "hello", token)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        publish(server, "chat/general", "hello")


def test_the_command_of_the_page_makes_a_token(guarded, tmp_path):
    from conftest import BINARY

    command = next(b.text for b in blocks("tokens.md", "sh") if b.text.startswith("martlet token"))
    result = subprocess.run(["sh", "-c", command.replace("martlet ", f"'{BINARY}' ", 1)], env=dict(os.environ, SECRET=SECRET),
                            capture_output=True, text=True, timeout=20)
    assert result.returncode == 0, result.stderr
    check(guarded, result.stdout.strip())


def test_the_curl_lines_of_the_pages_work(server, guarded):
    for page, target, environment in (("transports.md", server, {}), ("channels.md", server, {})):
        for text in (b.text for b in blocks(page, "sh")):
            for line in text.splitlines():
                line = line.split("  #")[0].replace("localhost:8080", f"127.0.0.1:{target.http}").replace("127.0.0.1:8080", f"127.0.0.1:{target.http}")
                if not line.startswith("curl") or " -N " in line or "@photo" in line:
                    continue
                result = subprocess.run(["sh", "-c", line + " -sS --fail-with-body"], capture_output=True, text=True, timeout=20)
                assert result.returncode == 0 and "cursor" in result.stdout, (line, result.stdout, result.stderr)


# The library itself


def test_the_library_is_for_pages_of_any_site_and_may_be_kept(server, make_server):
    strict = make_server(configuration="http: {cors: {origins: [\"https://friend.example\"], credentials: true}}\n")
    for each in (server, strict):
        status, fields, body = each.get("/martlet.js", {"Origin": "https://stranger.example"})
        assert status == 200 and fields["Access-Control-Allow-Origin"] == "*" and "Access-Control-Allow-Credentials" not in fields
        assert fields["Content-Type"].startswith("text/javascript") and fields["Cache-Control"] == "no-cache"
        assert each.get("/martlet.js", {"If-None-Match": fields["ETag"]})[0] == 304
        status, kept, same = each.get(fields["Content-Location"])
        assert status == 200 and same == body and "immutable" in kept["Cache-Control"]
        # Another version's address gives this one, which must not be kept under it.
        assert each.get("/martlet.js?v=0000000000000000")[1]["Cache-Control"] == "no-cache"
        assert each.get("/martlet.d.ts")[1]["Content-Type"].startswith("application/typescript")


TYPED = """
import { Martlet, MartletError, type Message } from "./martlet.js";
const martlet = new Martlet("https://x", { token: async () => "t", transports: ["sse"], backoff: { min: 1 } });
new Martlet({ token: () => null });
martlet.addEventListener("state", ({ state, retryIn }) => console.log(state, retryIn?.toFixed()));
const channel = martlet.channel<{ x: number }>("chat");
channel.addEventListener("message", ({ data, cursor, event }) => console.log(data.x.toFixed(), cursor, event));
channel.addEventListener("presence", ({ action, member }) => console.log(action, member.client));
async function use() {
  const { cursor, lost } = await channel.subscribe({ since: "a:1", presence: true, info: { name: "A" } });
  for await (const message of channel) { const typed: Message<{ x: number }> = message; console.log(typed.data.x, cursor, lost); }
  await channel.publish(new Uint8Array(3), { event: "e", key: "k" });
  const { messages } = await channel.history({ last: 3 });
  const upload = martlet.upload(new Blob([]), { name: "x", chunk: 3 });
  upload.addEventListener("progress", ({ loaded }) => console.log(loaded.toFixed(), messages[0].data.x));
  console.log((await upload.done).url.length);
  try { upload.abort(); } catch (error) { if (error instanceof MartletError) console.log(error.code.toFixed()); }
  WRONG
}
"""


def test_the_types_let_right_programs_through_and_wrong_ones_not(server, tmp_path):
    (tmp_path / "martlet.d.ts").write_bytes(server.get("/martlet.d.ts")[2])
    command = ["tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "node",
               "--lib", "es2022,dom,dom.iterable", "use.ts"]
    for wrong in ("", 'channel.publish(() => 1);', 'channel.subscribe({ last: "3" });', 'martlet.channel(7);'):
        (tmp_path / "use.ts").write_text(TYPED.replace("WRONG", wrong))
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (result.returncode == 0) == (wrong == ""), result.stdout


def test_the_types_name_what_the_module_has(server, tmp_path):
    module = server.get("/martlet.js")[2].decode()
    types = server.get("/martlet.d.ts")[2].decode()
    exported = set(re.findall(r"^export class (\w+)", module, re.M))
    assert exported == set(re.findall(r"^export class (\w+)", types, re.M)) == {"Martlet", "Channel", "Upload", "MartletError"}
    for name in exported:
        pattern = rf"^export class {name}\b.*?^}}$"
        declared = set(re.findall(r"^  (?:readonly )?(\w+)[(?:<]", re.search(pattern, types, re.M | re.S)[0], re.M)) - {"constructor", "private"}
        body = re.search(pattern, module, re.M | re.S)[0]
        inherited = {"addEventListener", "removeEventListener"}
        for member in declared - inherited:
            assert re.search(rf"\b{member}\b", body), f"{name}.{member}"
