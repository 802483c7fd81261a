"""Chromium and Firefox on channels: their own WebSocket and EventSource, and martlet.js on each of its transports."""
import json
import signal
import time
import urllib.request

import jwt
import pytest
from browsers import BROWSERS, BrowserError
from conftest import free_port, start_server, stop_server, wait_for

CONFIGURATION = (
    "channels:\n  retry: 100ms\n  heartbeat: 1s\n"
    "  namespaces:\n    kept: {durable: true, history: 100000, age: 1h, bytes: 64MiB}\n    chat: {presence: true}\n")


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request):
    browser = BROWSERS[request.param]()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def both():
    browsers = [make() for make in BROWSERS.values()]
    yield browsers
    for browser in browsers:
        browser.close()


class Site:
    """A server that may be killed and comes back at the same address with the same disk."""

    def __init__(self, folder, configuration=CONFIGURATION):
        self.folder = folder
        self.configuration = configuration
        self.ports = [free_port() for _ in range(4)]
        self.start()

    def start(self):
        self.server = start_server(self.folder, "--workers", "2", ports=self.ports, configuration=self.configuration)

    def kill(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait(10)

    def url(self, path):
        return self.server.url(path)

    def publish(self, channel, text):
        request = urllib.request.Request(self.url(f"/channels/{channel}"), text.encode(), {"Content-Type": "text/plain"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["cursor"]


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    stop_server(site.server)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    stop_server(site.server)


def blank(browser, site):
    """A page of the server without a policy of its own, and without what an earlier page remembered."""
    browser.open(site.url("/healthz"))
    browser.evaluate("sessionStorage.clear()")


# The browsers' own objects


@pytest.mark.parametrize("path, offer, expected", [
    ("/ws", ["martlet.v1"], "martlet.v1"), ("/ws", ["soap", "martlet.v1"], "martlet.v1"), ("/ws", None, ""), ("/ws", ["soap"], "error"),
    ("/diag/echo", ["soap"], "error"),
])
def test_an_offer_of_subprotocols_without_a_match_is_an_error_in_the_browser(browser, shared, path, offer, expected):
    """The handshake is answered without one; Chromium fails it then, as the WebSocket standard says, and Firefox does not."""
    blank(browser, shared)
    if expected == "error" and type(browser).__name__ == "Firefox":
        expected = ""
    assert browser.evaluate(f"""new Promise((resolve) => {{
      const socket = new WebSocket("ws://" + location.host + {json.dumps(path)}, {json.dumps(offer or [])});
      socket.onopen = () => (resolve(socket.protocol), socket.close());
      socket.onerror = () => resolve("error");
    }})""") == expected


def test_a_websocket_of_the_browser_hears_what_is_published(browser, shared):
    blank(browser, shared)
    browser.evaluate("""new Promise((resolve) => {
      window.heard = [];
      const socket = new WebSocket("ws://" + location.host + "/ws");
      socket.onopen = () => socket.send(JSON.stringify({ do: "subscribe", id: 1, channel: "plain" }));
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.id) resolve();
        else heard.push(message.data);
      };
    })""")
    shared.publish("plain", "grüße")
    wait_for(lambda: browser.evaluate("heard") == ["grüße"])


def test_an_event_source_goes_on_after_a_restart_without_loss(browser, site):
    blank(browser, site)
    site.publish("kept/es", "before")
    browser.evaluate("""new Promise((resolve) => {
      window.heard = [];
      window.source = new EventSource("/channels/kept/es/events?last=1");
      source.onmessage = ({ data }) => (heard.push(data), resolve());
    })""")
    for n in range(20):
        site.publish("kept/es", f"a{n}")
    site.kill()
    site.start()
    for n in range(20):
        site.publish("kept/es", f"b{n}")
    expected = ["before", *(f"a{n}" for n in range(20)), *(f"b{n}" for n in range(20))]
    wait_for(lambda: len(browser.evaluate("heard")) >= len(expected), 30)
    assert browser.evaluate("heard") == expected
    browser.evaluate("source.close()")


# martlet.js


def connect(browser, site, channel, options="{}", subscribe="{}", block=()):
    """Opens a page that subscribes to a channel; `block` names what finds nobody at the other end."""
    blank(browser, site)
    nowhere = free_port()
    for name, scheme in (("WebSocket", "ws"), ("EventSource", "http")):
        if name in block:
            browser.evaluate(f"""(() => {{
              const Native = window.{name};
              window.{name} = class extends Native {{ constructor(url, ...rest) {{ super("{scheme}://127.0.0.1:{nowhere}/", ...rest); }} }};
            }})()""")
    return browser.evaluate(f"""(async () => {{
      const {{ Martlet }} = await import("/martlet.js");
      window.martlet = new Martlet({options});
      window.states = [];
      window.heard = [];
      window.others = [];
      martlet.addEventListener("state", ({{ state, transport }}) => states.push([state, transport]));
      window.channel = martlet.channel({json.dumps(channel)});
      channel.addEventListener("message", ({{ data }}) => heard.push(data));
      channel.addEventListener("lost", ({{ cursor }}) => others.push("lost"));
      channel.addEventListener("presence", ({{ action, member }}) => others.push(action + " " + member.info?.name));
      await channel.subscribe({subscribe});
      return martlet.transport;
    }})()""")


def close(browser):
    browser.evaluate("martlet.close()")


FALLBACKS = [((), "websocket"), (("WebSocket",), "sse"), (("WebSocket", "EventSource"), "poll")]


def transport_is(browser, name):
    wait_for(lambda: browser.evaluate("martlet.state === 'connected' && martlet.transport") == name, 30)


@pytest.mark.parametrize("block, transport", FALLBACKS)
def test_falls_back_and_remembers(browser, shared, block, transport):
    name = f"{transport}-{type(browser).__name__}"
    connect(browser, shared, name, block=block)
    transport_is(browser, transport)
    shared.publish(name, "one")
    wait_for(lambda: browser.evaluate("heard") == ["one"])
    assert browser.evaluate("""(async () => {
      const { cursor } = await channel.publish({ x: [1, null, "ü"] });
      const { messages } = await channel.history({ last: 1 });
      return messages[0].cursor === cursor && messages[0].contentType === "application/json";
    })()""")
    wait_for(lambda: browser.evaluate("heard") == ["one", {"x": [1, None, "ü"]}])
    # Bytes arrive as bytes, whatever carries them.
    assert browser.evaluate("""(async () => {
      const bytes = new Promise((resolve) => channel.addEventListener("message", resolve, { once: true }));
      await channel.publish(new Uint8Array([0, 255, 128, 10]), { contentType: "image/x", event: "picture" });
      const { data, contentType, event } = await bytes;
      return [Object.prototype.toString.call(data) === "[object ArrayBuffer]", ...new Uint8Array(data), contentType, event];
    })()""") == [True, 0, 255, 128, 10, "image/x", "picture"]
    # The next connection of this page begins with what worked.
    assert browser.evaluate("""(async () => {
      const { Martlet } = await import("/martlet.js");
      const other = new Martlet();
      const first = new Promise((resolve) => other.addEventListener("state", ({ state, transport }) => state === "connecting" && transport && resolve(transport)));
      martlet.close();
      await new Promise((resolve) => setTimeout(resolve));
      other.connect();
      const name = await first;
      other.close();
      return name;
    })()""") == transport


@pytest.mark.parametrize("block, transport", FALLBACKS)
def test_comes_back_after_the_servers_death_and_has_missed_nothing(browser, site, block, transport):
    connect(browser, site, "kept/back", options="{ backoff: { min: 50, max: 500 } }", block=block)
    transport_is(browser, transport)
    # The page publishes all the while: what is sent into the void is sent again, and published once.
    browser.evaluate("""(() => {
      window.given = [];
      window.broken = [];
      (async () => {
        for (let n = 0; n < 150; n += 1) {
          try {
            given.push((await channel.publish(`own ${n}`)).cursor);
          } catch (error) {
            broken.push(`${n}: ${error.message}`);
          }
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        window.isDone = true;
      })();
    })()""")
    wait_for(lambda: browser.evaluate("given.length") > 20)
    site.kill()
    # Long enough for it to try in vain.
    wait_for(lambda: browser.evaluate("martlet.state") in ("waiting", "connecting"))
    site.start()
    site.publish("kept/back", "other")
    wait_for(lambda: browser.evaluate("window.isDone"), 60)
    assert browser.evaluate("broken") == []
    expected = [f"own {n}" for n in range(150)]
    wait_for(lambda: len(browser.evaluate("heard")) >= 151)
    heard = browser.evaluate("heard")
    assert [text for text in heard if text != "other"] == expected and heard.count("other") == 1
    assert browser.evaluate("new Set(given).size") == 150 and browser.evaluate("others") == []
    close(browser)


def test_goes_back_up_to_the_transport_that_worked_before(browser, site):
    blank(browser, site)
    # A network that lets WebSockets through, then does not, then does again.
    browser.evaluate(f"""(() => {{
      window.sockets = [];
      const Native = window.WebSocket;
      window.WebSocket = class extends Native {{
        constructor(url, ...rest) {{
          super(window.isBlocked ? "ws://127.0.0.1:{free_port()}/" : url, ...rest);
          sockets.push(this);
        }}
      }};
    }})()""")
    browser.evaluate("""(async () => {
      const { Martlet } = await import("/martlet.js");
      window.heard = [];
      window.martlet = new Martlet({ backoff: { min: 20, max: 50 }, promoteAfter: 1000 });
      martlet.channel("kept/up").addEventListener("message", ({ data }) => heard.push(data));
      await martlet.channel("kept/up").subscribe();
    })()""")
    transport_is(browser, "websocket")
    site.publish("kept/up", "by websocket")
    browser.evaluate("(window.isBlocked = true, sockets.at(-1).close())")
    transport_is(browser, "sse")
    site.publish("kept/up", "by events")
    wait_for(lambda: len(browser.evaluate("heard")) == 2)
    browser.evaluate("window.isBlocked = false")
    wait_for(lambda: browser.evaluate("martlet.state === 'connected' && martlet.transport") == "websocket", 30)
    site.publish("kept/up", "by websocket again")
    wait_for(lambda: len(browser.evaluate("heard")) >= 3)
    assert browser.evaluate("heard") == ["by websocket", "by events", "by websocket again"]
    close(browser)


@pytest.mark.parametrize("event", ["window.dispatchEvent(new Event('online'))", "document.dispatchEvent(new Event('visibilitychange'))"])
def test_a_network_that_is_back_or_a_page_looked_at_ends_the_wait(browser, site, event):
    connect(browser, site, "kept/wake", options="{ backoff: { min: 600000, max: 600000 }, transports: ['websocket'] }")
    site.kill()
    wait_for(lambda: browser.evaluate("martlet.state") == "waiting")
    site.start()
    site.publish("kept/wake", "meanwhile")
    browser.evaluate(event)
    wait_for(lambda: browser.evaluate("heard") == ["meanwhile"], 30)
    close(browser)


def test_says_when_history_was_lost(browser, site):
    """A channel in memory begins anew with the server."""
    connect(browser, site, "fleeting", options="{ backoff: { min: 50, max: 500 } }")
    site.publish("fleeting", "one")
    wait_for(lambda: browser.evaluate("heard") == ["one"])
    site.kill()
    site.start()
    wait_for(lambda: "lost" in browser.evaluate("others"), 30)
    site.publish("fleeting", "two")
    wait_for(lambda: browser.evaluate("heard") == ["one", "two"])
    close(browser)


def test_a_loop_over_a_channel_and_many_channels_on_one_connection(browser, shared):
    connect(browser, shared, "loop/a")
    assert browser.evaluate("""(async () => {
      const names = Array.from({ length: 200 }, (_, n) => `loop/${n}`);
      await Promise.all(names.map((name) => martlet.channel(name).subscribe()));
      const got = [];
      const loop = (async () => {
        for await (const message of martlet.channel("loop/7")) if (got.push(message.data) === 300) break;
      })();
      await Promise.all(Array.from({ length: 300 }, (_, n) => martlet.channel("loop/7").publish(n)));
      await loop;
      return got.every((value, n) => value === n);
    })()""")
    clients = [c for c in shared.server.api("/clients")["clients"] if c.get("channels") and len(c["channels"]) == 201]
    assert len(clients) == 1
    close(browser)


SECRET = "a secret of more than thirty-two letters"


@pytest.mark.parametrize("block, transport", FALLBACKS)
def test_a_token_is_asked_for_before_it_expires(browser, tmp_path, block, transport):
    site = Site(tmp_path, f"auth:\n  leeway: 0\n  jwt: [{{secret: {SECRET}, do: [publish, subscribe, history]}}]\n")
    try:
        # Each lives four seconds longer than the one before.
        now = time.time()
        tokens = [jwt.encode({"sub": "ada", "exp": now + 4 * n, "can": [{"do": ["subscribe", "publish", "history"], "on": "own/**"}]}, SECRET)
                  for n in range(1, 30)]
        options = f"""{{
          token: async () => {{
            window.asked = (window.asked ?? 0) + 1;
            return {json.dumps(tokens)}.find((_, n) => {now} + 4 * (n + 1) > Date.now() / 1000 + 2);
          }}
        }}"""
        connect(browser, site, "own/a", options=options, block=block)
        transport_is(browser, transport)
        before = browser.evaluate("states.length")
        for n in range(16):
            assert browser.evaluate(f"channel.publish({n}).then(({{ cursor }}) => cursor, (error) => error.message)").endswith(f":{n + 1}")
            time.sleep(0.5)
        wait_for(lambda: browser.evaluate("heard") == list(range(16)))
        assert browser.evaluate("asked") >= 3 and browser.evaluate("states.length") == before, browser.evaluate("states")
        # What the token is not for fails alone, and says why.
        assert browser.evaluate("martlet.channel('theirs').subscribe().catch(({ code, message }) => code)") == 103
        assert browser.evaluate("martlet.channel('theirs').state") == "failed" and browser.evaluate("channel.state") == "subscribed"
        close(browser)
    finally:
        stop_server(site.server)


def test_stops_when_an_administrator_says_so(browser, shared):
    connect(browser, shared, "stopped")
    transport_is(browser, "websocket")
    identifier = browser.evaluate("martlet.client")
    urllib.request.urlopen(urllib.request.Request(shared.url(f"/api/v1/clients/{identifier}"), method="DELETE"), timeout=10)
    wait_for(lambda: browser.evaluate("martlet.state") == "closed")
    assert browser.evaluate("channel.state") == "failed"
    assert "closed" in browser.evaluate("channel.publish('x').catch((error) => error.message)")


def test_the_chat_of_two_browsers_with_presence(both, shared):
    def enter(browser, name, query=""):
        browser.open(shared.url(f"/chat.html?channel=chat/two{query}"))
        browser.evaluate(f"""(() => {{
          const form = document.getElementById("enter");
          form.elements.name.value = {json.dumps(name)};
          form.requestSubmit();
        }})()""")

    def members(browser):
        return browser.evaluate("[...document.querySelectorAll('#members li')].map((line) => line.textContent)")

    def lines(browser):
        return browser.evaluate("[...document.querySelectorAll('#messages li')].map((line) => line.innerText)")

    def say(browser, text):
        browser.evaluate(f"""(() => {{
          document.getElementById("text").value = {json.dumps(text)};
          document.getElementById("say").requestSubmit();
        }})()""")

    def is_there(browser):
        try:
            return browser.evaluate("document.getElementById('enter') !== null")
        except BrowserError:
            return False  # On its way.

    ada, bob = both
    enter(ada, "Ada")
    wait_for(lambda: members(ada) == ["Ada"])
    # Whoever falls back to an event stream is present like everybody else.
    enter(bob, "Bob", "&transports=sse")
    for browser in both:
        wait_for(lambda: members(browser) == ["Ada", "Bob"])
    say(ada, "Is this <b>safe</b>?")
    say(bob, "It is.")
    for browser in both:
        wait_for(lambda: len(lines(browser)) == 2)
    assert "<b>safe</b>" in lines(bob)[0] and bob.evaluate("document.querySelectorAll('.own').length") == 1
    assert ada.evaluate("document.getElementById('connection').textContent") == "Connected"
    # A page that is left is not present, though the browser keeps it for the way back.
    for browser, other, name in ((ada, bob, "Bob"), (bob, ada, "Ada")):
        browser.open("about:blank")
        wait_for(lambda: members(other) == [name])
        browser.evaluate("void setTimeout(() => history.back())")
        wait_for(lambda: is_there(browser))
        if not browser.evaluate("document.getElementById('enter').hidden"):
            enter(browser, "Ada" if browser is ada else "Bob", "" if browser is ada else "&transports=sse")
        wait_for(lambda: members(other) == ["Ada", "Bob"])
    bob.open("about:blank")
    wait_for(lambda: members(ada) == ["Ada"])
    # Who comes later sees what was said.
    enter(bob, "Bob")
    wait_for(lambda: len(lines(bob)) == 2)


def test_the_channels_page_shows_and_takes_part(browser, site):
    name = f"page/{type(browser).__name__}"
    getattr(browser, "problems", []).clear()
    site.publish(name, "first")
    browser.open(site.url("/channels.html"))
    row = f"[...document.querySelectorAll('#channels tbody tr')].find((row) => row.cells[0].textContent === {json.dumps(name)})"
    wait_for(lambda: browser.evaluate(f"{row}?.cells[2].textContent ?? ''").startswith("1 message,"))
    browser.evaluate(f"{row}.querySelector('button').click()")
    log = "document.querySelector('.log').innerText"
    wait_for(lambda: "first" in browser.evaluate(log))
    browser.evaluate("""(() => {
      document.getElementById("message").value = "from the console";
      document.querySelector(".publish").requestSubmit();
    })()""")
    wait_for(lambda: "from the console" in browser.evaluate(log))
    wait_for(lambda: "1 WebSocket" in browser.evaluate(f"{row}.cells[1].textContent"))
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for problem in getattr(browser, "problems", []):
        raise AssertionError(problem)
