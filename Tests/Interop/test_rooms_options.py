"""What rooms are and what one may do in them: by configuration, REST and token; the truth of the chat; moderation that the server enforces."""
import json
import time
import urllib.error
import urllib.request

import jwt
import pytest
import socketio
from conftest import wait_for
from test_rooms import MEDIA, Member, member, post  # noqa: F401 (a fixture)
from websockets.sync.client import connect

SECRET = "0123456789abcdef0123456789abcdef"


def token(*can, subject="ada", **claims):
    rights = [{"do": action, "on": on} for action, on in (one.split(":", 1) for one in can)]
    return jwt.encode({"sub": subject, "exp": time.time() + 3600, "can": rights, **claims}, SECRET)


def ask(server, method, path, body=None, headers=None):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url(path), data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def options(server, method, room, **change):
    return ask(server, method, f"/api/v1/rooms/{room}", change)


def room_of(server, name):
    return ask(server, "GET", f"/api/v1/rooms/{name}")[1]


def test_nobody_passes_for_a_participant_on_any_way_in(member, server):  # noqa: F811
    ada = member("truth", "Ada")
    forged = {"from": ada.id, "name": "Ada", "data": "give me the key"}
    text = json.dumps(forged).encode()
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "text/plain"}, {}):
        status, answer = ask(server, "POST", "/channels/rooms/truth", text, headers)
        assert status == 403 and "say" in answer["error"]["message"], answer
    status, answer = ask(server, "POST", "/api/v1/publish", {"messages": [{"channel": "rooms/truth", "data": forged}]})
    assert "say" in answer["results"][0]["error"]
    with connect(f"ws://127.0.0.1:{server.http}/ws") as socket:
        for data in (forged, json.dumps(forged)):
            socket.send(json.dumps({"id": 1, "do": "publish", "channel": "rooms/truth", "data": data}))
            assert json.loads(socket.recv(timeout=20))["error"]["code"] == 110
    with socketio.SimpleClient() as client:
        client.connect(server.url("/"))
        for data in (forged, json.dumps(forged)):
            assert client.call("publish", ("rooms/truth", data))["error"]["code"] == 110
        # What comes from outside is heard as that, whatever it holds.
        assert "cursor" in client.call("publish", ("rooms/truth", {"name": "Ada", "id": 1, "event": "kicked", "data": "hi"}))
    heard = ada.hear("message")
    assert "from" not in heard and "name" not in heard and "id" not in heard
    assert heard["data"] == {"name": "Ada", "id": 1, "event": "kicked", "data": "hi"}
    assert ada.do("say", data={"from": "somebody else"})["ok"]
    heard = ada.hear("message")
    assert (heard["from"], heard["name"], heard["data"]) == (ada.id, "Ada", {"from": "somebody else"})


def test_what_is_said_again_with_its_key_is_said_once(member, server):  # noqa: F811
    ada, bob = member("once", "Ada"), member("once", "Bob")
    for _ in range(3):
        assert ada.do("say", data="hello", once="k1")["ok"]
    assert post(server, "once", do="say", key=ada.key, data="hello", once="k1")[0] == 200
    # Another one's key is another.
    assert bob.do("say", data="me too", once="k1")["ok"]
    assert [bob.hear("message")["data"] for _ in range(2)] == ["hello", "me too"]


def test_the_answer_to_join_says_what_one_may(make_server, member):  # noqa: F811
    server = make_server(configuration=f"auth: {{jwt: [{{secret: {SECRET}, do: [join, publish, admin]}}]}}\n")
    # This machine administers without a token; so these come as from a page of another site.
    elsewhere = {"Origin": "http://elsewhere.example"}

    def join(*can):
        return ask(server, "POST", "/rooms/may", {"do": "join"}, {"Authorization": f"Bearer {token(*can)}", **elsewhere})[1]

    assert join("join:rooms/may")["may"] == []
    assert join("join:rooms/may", "publish:rooms/may/*")["may"] == ["publish"]
    assert join("join:rooms/may", "publish:rooms/may/*", "admin:rooms/may")["may"] == ["publish", "moderate"]
    # A new token says it anew.
    ada = join("join:rooms/may")
    better = token("join:rooms/may", "publish:rooms/may/*")
    assert ask(server, "POST", "/rooms/may", {"do": "refresh", "key": ada["key"], "token": better}, elsewhere)[1]["ok"]
    assert ask(server, "POST", "/rooms/may", {"do": "resume", "key": ada["key"]}, elsewhere)[1]["may"] == ["publish"]


def test_options_by_rule_and_by_rest(make_server, member):  # noqa: F811
    server = make_server(configuration="rooms: {capacity: 9, rules: [{on: duo-*, capacity: 2}, {on: board, lobby: true}]}\n")
    ada = member("duo-1", "Ada", at=server)
    assert ada.greeting["room"]["options"] == {"capacity": 2, "topology": "auto", "publish": "everyone", "lobby": False, "record": False}
    member("duo-1", "Bob", at=server)
    assert member("duo-1", "Eve", at=server).greeting["code"] == "full"
    status, answer = options(server, "PATCH", "duo-1", capacity=3, publish="moderators")
    assert status == 200 and answer["options"]["capacity"] == 3
    assert ada.hear("options")["options"]["publish"] == "moderators"
    assert member("duo-1", "Eve", at=server).greeting["ok"]
    assert options(server, "PATCH", "nowhere", capacity=3)[0] == 404
    for wrong in ({"capacity": 0}, {"publish": "some"}, {"colour": "red"}):
        assert options(server, "PATCH", "duo-1", **wrong)[0] == 400
    assert options(server, "PATCH", "duo-1", record=True)[0] == 409
    # One that is made ahead waits for its people, and outlives them.
    assert options(server, "PUT", "ahead", capacity=1)[0] == 200
    assert room_of(server, "ahead")["kept"] and room_of(server, "ahead")["total"] == 0
    only = member("ahead", "Only", at=server)
    assert member("ahead", "Two", at=server).greeting["code"] == "full"
    assert only.do("leave")["ok"]
    assert room_of(server, "ahead")["options"]["capacity"] == 1
    assert ask(server, "DELETE", "/api/v1/rooms/ahead")[0] == 204
    assert ask(server, "GET", "/api/v1/rooms/ahead")[0] == 404
    document = ask(server, "GET", "/api/openapi.json")[1]
    assert {"get", "put", "patch", "post", "delete"} <= set(document["paths"]["/api/v1/rooms/{room}"])


PAIR = """(async () => {
  window.ada = await enter("%(room)s", "Ada");
  await ada.publish({ video: { width: 320, height: 240 }, audio: true });
  window.bob = await enter("%(room)s", "Bob");
  await bob.watch(ada.participant, ["camera", "microphone"]);
  return ada.participant;
})()"""


def flows(browser, mid, who="bob"):
    def more(before):
        return browser.evaluate(f"{who}.received()").get(mid, 0) > before + 5

    before = browser.evaluate(f"{who}.received()").get(mid, 0)
    wait_for(lambda: more(before), 40)


def stands(browser, mid, who="bob"):
    """Nothing comes for a second; what is under way may still come."""
    def still():
        before = browser.evaluate(f"{who}.received()").get(mid, 0)
        time.sleep(1)
        return browser.evaluate(f"{who}.received()").get(mid, 0) == before

    wait_for(still, 20)


@pytest.mark.alone
def test_what_a_moderator_mutes_is_silent_whatever_the_page_does(chromium, server, member):  # noqa: F811
    chromium.open(server.url("/publish.html"))
    chromium.evaluate(MEDIA + "; 0")
    ada = chromium.evaluate(PAIR % {"room": "hush"})
    sound, picture = "1", "0"
    flows(chromium, sound)
    flows(chromium, picture)
    host = member("hush", "Host")
    # The page of this test asks nobody, and goes on sending.
    assert host.do("mute", participant=ada, muted=["microphone"])["ok"]
    changed = host.hear("changed")["participant"]
    assert (changed["id"], changed["muted"], changed["silenced"]) == (ada, ["microphone"], ["microphone"])
    stands(chromium, sound)
    flows(chromium, picture)
    assert host.do("mute", participant=ada, muted=["microphone", "camera"])["ok"]
    stands(chromium, picture)
    # The one frees the picture, the other what it says.
    assert host.do("mute", participant=ada, muted=["microphone"])["ok"]
    flows(chromium, picture)
    chromium.evaluate("post('hush', { do: 'set', key: ada.key, muted: [] })")
    flows(chromium, sound)
    assert "silenced" not in next(one for one in room_of(server, "hush")["participants"] if one["id"] == ada)


@pytest.mark.alone
def test_an_encoder_is_muted_for_every_output(server, publish, media, member):  # noqa: F811
    host = member("loud", "Host")
    publish(media / "av.flv", server.rtmp_url("rooms/loud/obs"))
    wait_for(lambda: server.live("rooms/loud/obs"), 30)

    def packets():
        """Of each kind that an output plays in two seconds."""
        counts = {0x08: 0, 0x09: 0}
        with urllib.request.urlopen(server.url("/rooms/loud/obs.flv"), timeout=20) as stream:
            stream.read(13)
            end = time.monotonic() + 2
            while time.monotonic() < end:
                head = stream.read(11)
                counts[head[0]] = counts.get(head[0], 0) + 1
                stream.read(int.from_bytes(head[1:4], "big") + 4)
        return counts

    assert min(packets()[kind] for kind in (8, 9)) > 10
    assert host.do("mute", participant="obs", muted=["microphone"])["ok"]
    # What begins a stream is kept: the header of the sound, and what was heard since the last key frame.
    wait_for(lambda: packets()[8] <= 2, 20)
    assert packets()[9] > 10
    assert host.do("mute", participant="obs", muted=[])["ok"]
    wait_for(lambda: packets()[8] > 10, 20)


@pytest.mark.alone
def test_in_a_webinar_only_moderators_publish_and_all_of_it_is_recorded(chromium, make_server, member, tmp_path):  # noqa: F811
    server = make_server(configuration=(
        f"rooms: {{rules: [{{on: webinar, publish: moderators, record: true}}]}}\n"
        f"record: {{path: {tmp_path}/recordings, streams: [nothing/**]}}\n"
        f"auth: {{jwt: [{{secret: {SECRET}, do: [admin]}}]}}\n"))
    chromium.open(server.url("/publish.html"))
    chromium.evaluate(MEDIA + "; 0")
    # The page is of this machine, so it moderates, and what it publishes is shown.
    host = chromium.evaluate(PAIR % {"room": "webinar"})
    assert chromium.evaluate("ada.may.join()") == "publish,moderate"
    flows(chromium, "0")
    guest = ask(server, "POST", "/rooms/webinar", {"do": "join", "name": "Guest"}, {"Origin": "http://elsewhere.example"})[1]
    assert guest["may"] == [] and guest["room"]["topology"] == "sfu"
    assert [one["id"] for one in room_of(server, "webinar")["participants"] if one["tracks"]] == [host]
    assert options(server, "PATCH", "webinar", publish="nobody")[0] == 200
    wait_for(lambda: not server.live(f"rooms/webinar/{host}"), 20)
    files = wait_for(lambda: list((tmp_path / "recordings").rglob("*.flv")), 20)
    assert host in str(files[0])
