"""Rooms on the dashboard, in both browsers: who is there, how they are connected, what goes to whom, and moderation."""
import os

import pytest
from browsers import Chromium, Firefox
from conftest import wait_for
from test_rooms import MEDIA, member  # noqa: F401 (a fixture)
from test_rooms_options import PAIR, flows, options, room_of
from webrtc import FIREFOX

pytestmark = pytest.mark.paired

# A folder for pictures of the page, for whoever wants to look.
PICTURES = os.environ.get("MARTLET_PICTURES")
CARD = "document.querySelector('[data-room=\"%s\"]')"


@pytest.fixture(scope="module")
def call(chromium, server):
    """Two who publish and watch each other by way of the server."""
    chromium.open(server.url("/publish.html"))
    chromium.evaluate(MEDIA + "; 0")
    chromium.evaluate(PAIR % {"room": "board"})
    chromium.evaluate("(async () => { await bob.publish({ audio: true, video: true }); await ada.watch(bob.participant, ['camera', 'microphone']); return 0; })()")
    # Who listens at its inbox is there.
    chromium.evaluate("window.listening = [ada, bob].map(({ channels: { inbox } }) => new EventSource(`/channels/${inbox.name}/events`)), 0")
    flows(chromium, "0")
    return chromium


@pytest.mark.parametrize("make", [Chromium, lambda: Firefox(preferences=FIREFOX)], ids=["chromium", "firefox"])
def test_the_dashboard_shows_rooms_and_moderates(make, call, server, member):  # noqa: F811
    host, eve = member("board", "Grace Hopper"), member("board", "Eve")
    small = [member("tea", name) for name in ("Ada", "Bob", "Kim", "Lou")]
    assert small[0].do("topology", topology="mesh")["ok"]
    assert host.do("topology", topology="sfu")["ok"]
    assert options(server, "PATCH", "tea", capacity=12)[0] == 200
    page = make()
    try:
        page.open(server.url("/"))
        board, tea = CARD % "board", CARD % "tea"

        def shows(script):
            try:
                return wait_for(lambda: page.evaluate(f"Boolean({script})"), 40)
            except AssertionError:
                raise AssertionError(f"in vain for {script}; the page has {page.evaluate('document.body.innerText')}") from None

        shows(f"{board} && {tea}")
        assert page.evaluate(f"{tea}.querySelector('svg').getAttribute('aria-label')") == "4 participants, each connected to each"
        assert page.evaluate(f"{tea}.querySelectorAll('svg line').length") == 6
        assert page.evaluate(f"{tea}.querySelectorAll('tbody tr').length") == 4
        shows(f"{board}.querySelector('svg').getAttribute('aria-label') === '4 participants, each connected to this server'")
        assert page.evaluate(f"{board}.querySelectorAll('svg line').length") == 4
        # What comes of Ada and goes to Bob, with figures.
        shows(f"/camera VP8: [1-9]/.test({board}.textContent) && /Ada, camera: [1-9]/.test({board}.textContent)")
        if PICTURES:
            page.evaluate("document.getElementById('rooms').scrollIntoView(), 0")
            page.screenshot(f"{PICTURES}/dashboard-rooms-{type(page).__name__.lower()}.png")
        button = f"[...{board}.querySelectorAll('button')].find((each) => each.getAttribute('aria-label') === '%s')"
        page.evaluate((button % "Mute: Eve") + ".click()")
        assert eve.hear("mute")["muted"] == ["microphone"]
        shows(button % "Unmute: Eve")
        page.evaluate((button % "Send out: Eve") + ".click()")
        page.evaluate("document.querySelector('dialog button[value=yes]').click()")
        assert eve.hear("kicked")
        page.evaluate(f"[...{board}.querySelectorAll('button')].find((each) => each.textContent === 'Lock').click()")
        assert host.hear("locked")
        shows(f"/locked/.test({board}.textContent)")
        page.evaluate(f"(({{ value }}) => 0)(Object.assign({tea}.querySelector('select'), {{ value: 'supernode' }}))")
        page.evaluate(f"{tea}.querySelector('select').dispatchEvent(new Event('change')), 0")
        supernode = small[0].hear("topology", topology="supernode")["supernode"]
        assert supernode in {one.id for one in small}
        shows(f"{tea}.querySelectorAll('svg line').length === 3")
    finally:
        page.close()
    assert host.do("unlock")["ok"]
    for one in (host, *small):
        assert one.do("leave")["ok"]
    wait_for(lambda: room_of(server, "tea").get("error"), 20)
