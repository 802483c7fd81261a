"""Channels over WebSocket, event streams, polls and POST: one order, one cursor, nothing lost and nothing twice."""
import asyncio
import base64
import gzip
import json
import random
import signal
import struct
import subprocess
import time

import aiohttp
import jwt
import pytest
from conftest import free_port, start_server, stop_server, wait_for

SECRET = "a secret of more than thirty-two letters"


def run(coroutine, seconds=60):
    return asyncio.run(asyncio.wait_for(coroutine, seconds))


def mint(do, on="**", seconds=60, **claims):
    return jwt.encode({"exp": time.time() + seconds, "can": [{"do": do, "on": on}], **claims}, SECRET)


@pytest.fixture(scope="module")
def channels(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("channels"), "--workers", "2", configuration=(
        "channels:\n  heartbeat: 1s\n  retry: 100ms\n"
        "  namespaces:\n    short: {history: 0, age: 1s}\n    team: {presence: true}\n"))
    yield server
    stop_server(server)


class Socket:
    """One connection of /ws."""

    def __init__(self, session, server, **options):
        self.context = session.ws_connect(server.url("/ws"), **options)
        self.count = 0
        self.pushed = []

    async def __aenter__(self):
        self.ws = await self.context.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.context.__aexit__(*error)

    async def ask(self, **command):
        self.count += 1
        await self.ws.send_str(json.dumps({"id": self.count, **command}))
        while True:
            reply = await self.receive()
            if reply.get("id") == self.count:
                return reply
            self.pushed.append(reply)

    async def receive(self):
        message = await self.ws.receive(timeout=20)
        if message.type == aiohttp.WSMsgType.BINARY:
            size, = struct.unpack(">H", message.data[:2])
            return {**json.loads(message.data[2:2 + size]), "bytes": message.data[2 + size:]}
        assert message.type == aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def message(self):
        return self.pushed.pop(0) if self.pushed else await self.receive()


async def events(response, decode=lambda chunk: chunk):
    """The events of a stream as dictionaries."""
    rest = b""
    async for chunk in response.content.iter_any():
        rest += decode(chunk)
        while b"\n\n" in rest:
            block, rest = rest.split(b"\n\n", 1)
            event = {"data": []}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(":")
                if name == "data":
                    event["data"].append(value.removeprefix(" "))
                elif name:
                    event[name] = value.removeprefix(" ")
            event["data"] = "\n".join(event["data"])
            if block.strip(b":\n"):
                yield event


async def publish(session, server, channel, data, **options):
    async with session.post(server.url(f"/channels/{channel}"), data=data, **options) as response:
        assert response.status == 200, await response.text()
        return (await response.json())["cursor"]


def test_what_one_transport_publishes_all_others_get(channels):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels) as socket:
            subscribed = await socket.ask(do="subscribe", channel="all")
            stream = await session.get(channels.url("/channels/all/events"))
            received = events(stream)
            assert (await anext(received))["retry"] == "100"
            assert (await anext(received))["id"] == subscribed["cursor"]
            held = asyncio.create_task(session.get(channels.url(f"/channels/all/poll?since={subscribed['cursor']}")))
            await asyncio.sleep(0.2)
            assert not held.done()
            cursor = await publish(session, channels, "all", "one\ntwo", params={"event": "greeting"})
            answer = await (await held).json()
            event, pushed = await anext(received), await socket.message()
            assert pushed == {"channel": "all", "cursor": cursor, "time": pushed["time"], "event": "greeting", "data": "one\ntwo"}
            assert answer == {"messages": [pushed], "lost": [], "cursor": cursor}
            assert event == {"event": "greeting", "id": cursor, "data": "one\ntwo"}
            reply = await socket.ask(do="publish", channel="all", data={"n": [1, None]})
            event = await anext(received)
            assert (event["id"], json.loads(event["data"])) == (reply["cursor"], {"n": [1, None]})
            stream.close()
    run(main())


def test_binary_keeps_its_bytes_and_its_type(channels):
    payload = bytes(range(256))

    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels) as socket:
            await socket.ask(do="subscribe", channel="bytes")
            cursor = await publish(session, channels, "bytes", payload, headers={"Content-Type": "image/png"})
            pushed = await socket.message()
            assert (pushed["bytes"], pushed["type"], pushed["cursor"]) == (payload, "image/png", cursor)
            head = json.dumps({"do": "publish", "id": 77, "channel": "bytes", "type": "x/y"}).encode()
            await socket.ws.send_bytes(struct.pack(">H", len(head)) + head + payload[::-1])
            replies = [await socket.receive(), await socket.receive()]
            assert any(r.get("id") == 77 and r["ok"] for r in replies) and any(r.get("bytes") == payload[::-1] for r in replies)
            async with session.get(channels.url("/channels/bytes/history")) as response:
                assert [base64.b64decode(m["b64"]) for m in (await response.json())["messages"]] == [payload, payload[::-1]]
    run(main())


def test_an_event_stream_resumes_with_what_was_missed_and_says_when_it_cannot(channels):
    async def main():
        async with aiohttp.ClientSession() as session:
            cursors = [await publish(session, channels, "resume", f"m{n}") for n in range(5)]
            for options in ({"headers": {"Last-Event-ID": cursors[1]}}, {"params": {"lastEventId": cursors[1]}}, {"params": {"since": cursors[1]}}):
                async with session.get(channels.url("/channels/resume/events"), **options) as response:
                    received = events(response)
                    got = [await anext(received) for _ in range(5)]
                    assert [e["data"] for e in got[2:]] == ["m2", "m3", "m4"] and got[1]["id"] == cursors[1]
            async with session.get(channels.url("/channels/resume/events"), headers={"Last-Event-ID": "elsewhere:3"}) as response:
                received = events(response)
                got = [await anext(received) for _ in range(3)]
                assert (got[1]["event"], got[1]["id"], got[2]["data"]) == ("lost", cursors[3], "m4")
            async with session.get(channels.url("/channels/resume/events"), headers={"Last-Event-ID": "end"}) as response:
                assert response.status == 204
            async with session.get(channels.url("/channels/resume/events"), headers={"Last-Event-ID": "nonsense"}) as response:
                assert response.status == 400 and "EPOCH:OFFSET" in await response.text()
    run(main())


def test_one_stream_of_several_channels_resumes_in_all_of_them(channels):
    async def main():
        async with aiohttp.ClientSession() as session:
            for name in ("m/a", "m/b"):
                await publish(session, channels, name, f"first of {name}")
            params = [("channel", "m/a"), ("channel", "m/b"), ("last", "1")]
            async with session.get(channels.url("/events"), params=params) as response:
                received = events(response)
                got = [await anext(received) for _ in range(4)]
            texts = [json.loads(e["data"]) for e in got[2:]]
            assert sorted((t["channel"], t["data"]) for t in texts) == [("m/a", "first of m/a"), ("m/b", "first of m/b")]
            for name in ("m/b", "m/a"):
                await publish(session, channels, name, f"second of {name}")
            async with session.get(channels.url("/events"), params=params[:2], headers={"Last-Event-ID": got[3]["id"]}) as response:
                received = events(response)
                again = [await anext(received) for _ in range(4)]
            assert sorted(json.loads(e["data"])["data"] for e in again[2:]) == ["second of m/a", "second of m/b"]
            async with session.get(channels.url("/poll"), params=[*params[:2], ("since", got[3]["id"])]) as response:
                answer = await response.json()
                assert [m["data"] for m in answer["messages"]] == ["second of m/a", "second of m/b"] and answer["lost"] == []
    run(main())


def test_a_compressed_stream_is_one_gzip_stream(channels):
    import zlib

    async def main():
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            async with session.get(channels.url("/channels/gz/events"), headers={"Accept-Encoding": "gzip"}) as response:
                assert response.headers["Content-Encoding"] == "gzip"
                inflate = zlib.decompressobj(31)
                received = events(response, inflate.decompress)
                await anext(received)
                await anext(received)
                for n in range(20):
                    await publish(session, channels, "gz", f"{n} " + "text " * 100)
                    assert (await anext(received))["data"] == f"{n} " + "text " * 100
    run(main())


def test_an_event_stream_over_http_2_is_the_same(channels):
    for n in range(3):
        subprocess.run(["curl", "-sf", "-d", f"m{n}", channels.url("/channels/h2")], check=True, stdout=subprocess.DEVNULL)
    result = subprocess.run(["curl", "-skN", "--http2", "-m", "2", "-w", "%{stderr}%{http_version}",
                             f"https://127.0.0.1:{channels.https}/channels/h2/events?last=3"], capture_output=True, text=True)
    assert result.stderr.startswith("2") and [l for l in result.stdout.split("\n") if l.startswith("data")] == ["data: m0", "data: m1", "data: m2"]
    assert ":\n\n" in result.stdout, "it is kept alive, too"


def test_compressed_and_plain_sockets_hear_the_same(channels):
    text = "the same words again and again, " * 40

    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels, compress=15) as packed, Socket(session, channels) as plain:
            assert packed.ws.compress and not plain.ws.compress
            for socket in (packed, plain):
                await socket.ask(do="subscribe", channel="packed")
            for n in range(20):
                await publish(session, channels, "packed", f"{n} {text}")
            for socket in (packed, plain):
                assert [(await socket.message())["data"] for _ in range(20)] == [f"{n} {text}" for n in range(20)]
    run(main())


def test_a_quiet_stream_is_kept_alive_by_comments(channels):
    async def main():
        async with aiohttp.ClientSession() as session, session.get(channels.url("/channels/quiet/events")) as response:
            text = b""
            while text.count(b":\n\n") < 2:
                text += await response.content.readany()
    run(main(), 15)


def test_a_poll_that_finds_nothing_new_costs_a_304(channels):
    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.get(channels.url("/channels/etag/poll")) as response:
                cursor, tag = (await response.json())["cursor"], response.headers["ETag"]
            url = channels.url(f"/channels/etag/poll?since={cursor}&wait=0")
            async with session.get(url, headers={"If-None-Match": tag}) as response:
                assert response.status == 304
            started = time.monotonic()
            async with session.get(channels.url(f"/channels/etag/poll?since={cursor}&wait=0.5"), headers={"If-None-Match": tag}) as response:
                assert response.status == 304 and time.monotonic() - started >= 0.45
            await publish(session, channels, "etag", "news")
            async with session.get(url, headers={"If-None-Match": tag}) as response:
                assert [m["data"] for m in (await response.json())["messages"]] == ["news"]
    run(main())


def test_the_same_idempotency_key_publishes_once(channels):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels) as socket:
            first = await publish(session, channels, "keys", "a", headers={"Idempotency-Key": "k1"})
            assert await publish(session, channels, "keys", "a", headers={"Idempotency-Key": "k1"}) == first
            assert (await socket.ask(do="publish", channel="keys", data="a", key="k1"))["cursor"] == first
            assert await publish(session, channels, "keys", "b", headers={"Idempotency-Key": "k2"}) != first
    run(main())


def test_presence_knows_who_is_there(channels):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels) as one:
            await one.ask(do="subscribe", channel="team/red", presence=True, info={"name": "Ada"})
            async with Socket(session, channels) as two:
                await two.ask(do="subscribe", channel="team/red", info={"name": "Bob"})
                event = await one.message()
                assert (event["presence"], event["member"]["info"]) == ("join", {"name": "Bob"})
                there = await one.ask(do="presence", channel="team/red")
                assert [m["info"]["name"] for m in there["members"]] == ["Ada", "Bob"] and there["count"] == 2
            assert (await one.message())["presence"] == "leave"
            async with session.get(channels.url("/channels/team/red/presence")) as response:
                assert (await response.json())["count"] == 1
            assert (await one.ask(do="presence", channel="elsewhere"))["error"]["code"] == 108
    run(main())

def test_event_streams_take_part_in_presence(channels):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels) as one:
            await one.ask(do="subscribe", channel="team/sse", presence=True, info={"name": "Ada"})
            info = json.dumps({"name": "Bob"})
            single = await session.get(channels.url("/channels/team/sse/events"), params={"presence": "true", "info": info})
            received = events(single)
            joined = await one.message()
            assert (joined["presence"], joined["member"]["transport"], joined["member"]["info"]) == ("join", "sse", {"name": "Bob"})
            # A page that hears several channels says something of itself for each.
            params = [("channel", "team/sse"), ("channel", "team/other"), ("info", '{"name":"Eve"}'), ("info", ""), ("presence", "true")]
            merged = await session.get(channels.url("/events"), params=params)
            assert (await one.message())["member"]["info"] == {"name": "Eve"}
            # It may also hear of Ada, whose coming is told on another worker at the same time.
            while (event := await anext(received)).get("event") != "presence" or "Eve" not in event["data"]:
                pass
            assert json.loads(event["data"])["presence"] == "join" and "id" not in event
            there = await one.ask(do="presence", channel="team/sse")
            assert [m["info"]["name"] for m in there["members"]] == ["Ada", "Bob", "Eve"]
            single.close()
            assert (await one.message())["presence"] == "leave"
            merged.close()
            for bad in ("{", '"' + "x" * 2000 + '"'):
                async with session.get(channels.url("/channels/team/sse/events"), params={"info": bad}) as response:
                    assert response.status == 400
    run(main())


def test_names_of_events_in_a_stream_of_several_channels_are_the_servers_own(channels):
    """A page cannot listen to names it does not know, and nobody shall publish an `end`."""
    async def main():
        async with aiohttp.ClientSession() as session:
            stream = await session.get(channels.url("/events"), params=[("channel", "own")])
            received = events(stream)
            assert (await anext(received))["retry"] == "100"
            first = await anext(received)
            assert (first["event"], first["data"]) == ("ready", first["id"])
            await publish(session, channels, "own", "x", params={"event": "end"})
            event = await anext(received)
            assert "event" not in event and json.loads(event["data"])["event"] == "end"
            stream.close()
    run(main())


@pytest.mark.parametrize("command, code", [
    ("nonsense", 100), ("{}", 100), ('{"do":"fly"}', 100), ('{"do":"subscribe"}', 100), ('{"do":"subscribe","channel":"a//b"}', 100),
    ('{"do":"subscribe","channel":"a","since":"x"}', 100), ('{"do":"publish","channel":"a"}', 100), ('{"do":"unsubscribe","channel":"a"}', 106),
    ('{"do":"publish","channel":"a","data":"x","b64":"eA=="}', 100), ('{"do":"subscribe","channel":"' + "x" * 300 + '"}', 100),
    ("[" * 2000 + "]" * 2000, 100), ('{"do":"publish","channel":"a","data":"' + "x" * 300_000 + '"}', 107), ("7", 100), ("[1]", 100),
])
def test_a_bad_command_is_answered_and_the_connection_goes_on(channels, command, code):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels) as socket:
            await socket.ws.send_str(command)
            error = (await socket.receive())["error"]
            assert error["code"] == code and error["message"] and error["retry"] is False
            assert (await socket.ask(do="ping"))["ok"]
    run(main())


@pytest.mark.parametrize("path, body, headers, status", [
    ("/channels/a/%2E%2E/b", b"x", {}, 400), ("/channels/" + "x" * 300, b"x", {}, 400),
    ("/channels/j", b"{nonsense", {"Content-Type": "application/json"}, 400), ("/channels/t", b"\xff", {"Content-Type": "text/plain"}, 400),
    ("/channels/big", b"x" * 300_000, {}, 413), ("/channels/k", b"x", {"Idempotency-Key": "k" * 200}, 400),
])
def test_a_bad_publication_is_refused_with_a_reason(channels, path, body, headers, status):
    async def main():
        async with aiohttp.ClientSession() as session:
            import yarl
            async with session.post(yarl.URL(channels.url(path), encoded=True), data=body, headers=headers) as response:
                assert response.status == status and len(await response.text()) > 10
    run(main())


def test_batch_publish_and_the_list_of_channels(channels):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, channels) as socket:
            await socket.ask(do="subscribe", channel="batch/b")
            messages = [{"channel": f"batch/{c}", "data": n} for n in range(3) for c in "ab"]
            async with session.post(channels.url("/api/v1/publish"), json={"messages": messages}) as response:
                results = (await response.json())["results"]
            assert [r["cursor"].split(":")[1] for r in results] == ["1", "1", "2", "2", "3", "3"]
            assert [(await socket.message())["data"] for _ in range(3)] == [0, 1, 2]
            listed = {c["name"]: c for c in channels.api("/channels")["channels"]}
            assert listed["batch/b"]["messages"] == 3 and listed["batch/b"]["subscribers"] == {"total": 1, "by_transport": {"ws": 1}}
            assert channels.api("/channels/batch/a")["cursor"] == results[4]["cursor"]
            client = next(c for c in channels.api("/clients")["clients"] if c.get("channels") == ["batch/b"])
            async with session.delete(channels.url(f"/api/v1/clients/{client['id']}")) as response:
                assert response.status == 204
            closed = await socket.ws.receive(timeout=5)
            assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 4503)
    run(main())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("guarded"), "--workers", "2", configuration=(
        f"auth:\n  leeway: 0\n  jwt: [{{secret: {SECRET}, do: [publish, subscribe, history, presence]}}]\n"))
    yield server
    stop_server(server)


def test_a_token_decides_what_a_connection_may(guarded):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, guarded) as socket:
            assert (await socket.ask(do="subscribe", channel="news"))["error"]["code"] == 101
            assert (await socket.ask(do="connect", token=mint(["subscribe"], "news", sub="ada")))["ok"]
            assert (await socket.ask(do="subscribe", channel="news"))["ok"]
            assert (await socket.ask(do="subscribe", channel="other"))["error"]["code"] == 103
            assert (await socket.ask(do="publish", channel="news", data="x"))["error"]["code"] == 103
            async with session.post(guarded.url("/channels/news"), data="x") as response:
                assert response.status == 401 and response.headers["WWW-Authenticate"].startswith("Bearer")
            token = mint(["publish"], "news", sub="bob")
            async with session.post(guarded.url("/channels/news"), data="x", headers={"Authorization": f"Bearer {token}"}) as response:
                assert response.status == 200
            assert (await socket.message())["user"] == "bob"
            async with session.get(guarded.url("/channels/news/events")) as response:
                assert response.status == 401
            async with session.get(guarded.url("/channels/news/events"), params={"token": token}) as response:
                assert response.status == 403 and "subscribe" in await response.text()
    run(main())


def test_sessions_end_with_their_token_unless_it_is_refreshed(guarded):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, guarded) as ends, Socket(session, guarded) as stays:
            for socket in (ends, stays):
                await socket.ask(do="connect", token=mint(["subscribe"], seconds=2))
                assert (await socket.ask(do="subscribe", channel="short"))["ok"]
            stream = await session.get(guarded.url("/channels/short/events"), params={"token": mint(["subscribe"], seconds=2)})
            assert (await stays.ask(do="refresh", token=mint(["subscribe"], seconds=60)))["ok"]
            last = [event async for event in events(stream)][-1]
            assert (last["event"], last["id"]) == ("end", "end")
            closed = await ends.ws.receive(timeout=5)
            assert closed.data == 4501
            await publish(session, guarded, "short", "still here", headers={"Authorization": "Bearer " + mint(["publish"])})
            assert (await stays.message())["data"] == "still here"
    run(main())


def test_a_refresh_names_the_channels_that_it_ends(guarded):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, guarded) as socket:
            await socket.ask(do="connect", token=mint(["subscribe"]))
            for channel in ("kept", "ended"):
                assert (await socket.ask(do="subscribe", channel=channel))["ok"]
            reply = await socket.ask(do="refresh", token=mint(["subscribe"], "kept"))
            assert (reply["channel"], reply["error"]["code"], reply["error"]["retry"]) == ("ended", 103, False)
            bearer = {"Authorization": "Bearer " + mint(["publish"])}
            await publish(session, guarded, "ended", "not for it", headers=bearer)
            await publish(session, guarded, "kept", "for it", headers=bearer)
            assert (await socket.message())["data"] == "for it"
    run(main())


def test_a_revoked_user_is_closed_on_every_transport(guarded):
    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, guarded) as socket:
            token = mint(["subscribe"], sub="eve", iat=time.time() - 5)
            await socket.ask(do="connect", token=token)
            await socket.ask(do="subscribe", channel="x")
            stream = await session.get(guarded.url("/channels/x/events"), params={"token": token})
            poll = asyncio.create_task(session.get(guarded.url("/channels/x/poll?since=" + (await socket.ask(do="subscribe", channel="y"))["cursor"]),
                                                   params={"token": token}))
            await asyncio.sleep(0.3)
            async with session.post(guarded.url("/api/v1/auth/revoke"), json={"user": "eve"}) as response:
                assert (await response.json())["closed"] >= 2
            assert (await socket.ws.receive(timeout=3)).data == 4501
            assert [event async for event in events(stream)][-1]["event"] == "end"
            poll.cancel()
    run(main())


def test_a_subscriber_that_reads_nothing_is_closed_and_the_others_notice_nothing(make_server):
    server = make_server("--workers", "1", configuration="channels: {stuck: 2s, history: 100000, bytes: 256MiB, message: 1MiB}\n")

    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, server) as good:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.http, limit=1024)
            writer.write(b"GET /channels/flood/events HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await good.ask(do="subscribe", channel="flood")
            for n in range(300):
                await publish(session, server, "flood", f"{n} " + "x" * 100_000)
                assert (await good.message())["data"].startswith(f"{n} ")
            await asyncio.sleep(4)
            kinds = {c["transport"] for c in server.api("/clients")["clients"]}
            assert kinds == {"ws"}
            writer.close()
    run(main())


def test_a_user_has_so_many_connections_and_no_more(make_server):
    server = make_server("--workers", "2", configuration=(
        f"channels: {{user_connections: 2}}\nauth: {{jwt: [{{secret: {SECRET}, do: [subscribe]}}]}}\n"))

    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, server) as one, Socket(session, server) as other:
            token = mint(["subscribe"], sub="ada")
            await one.ask(do="connect", token=token)
            assert (await one.ask(do="subscribe", channel="a"))["ok"] and (await one.ask(do="subscribe", channel="b"))["ok"]
            stream = await session.get(server.url("/channels/a/events"), params={"token": token})
            await other.ask(do="connect", token=token)
            error = (await other.ask(do="subscribe", channel="a"))["error"]
            assert error["code"] == 103 and "user_connections" in error["message"]
            await other.ask(do="connect", token=mint(["subscribe"], sub="bob"))
            assert (await other.ask(do="subscribe", channel="a"))["ok"]
            stream.close()
            async with Socket(session, server) as third:
                await third.ask(do="connect", token=token)
                for _ in range(50):
                    reply = await third.ask(do="subscribe", channel="a")
                    if "ok" in reply:
                        return
                    await asyncio.sleep(0.1)
                raise AssertionError(reply)
    run(main())


class Durable:
    """A server that may be killed and comes back at the same place."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = [free_port() for _ in range(4)]
        self.start()

    def start(self):
        self.server = start_server(self.folder, "--workers", "2", ports=self.ports, configuration=(
            "channels:\n  retry: 50ms\n  namespaces:\n    kept: {durable: true, history: 100000, bytes: 256MiB, age: 1h}\n"))

    def kill(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait(10)


@pytest.fixture
def durable(tmp_path):
    durable = Durable(tmp_path)
    yield durable
    stop_server(durable.server)


def test_what_was_acknowledged_survives_kill_9_and_no_cursor_means_two_messages(durable):
    """Publishers go on while the server is killed: every acknowledged message is there, with the cursor it was given."""
    given = {}

    async def publisher(session, name):
        for n in range(10_000):
            try:
                given[f"{name}-{n}"] = await publish(session, durable.server, "kept/a", f"{name}-{n}")
            except aiohttp.ClientError:
                return

    async def storm(round):
        async with aiohttp.ClientSession() as session:
            tasks = [asyncio.create_task(publisher(session, f"{name}{round}")) for name in "abcdefgh"]
            await asyncio.sleep(1)
            durable.kill()
            await asyncio.gather(*tasks)

    for round in range(2):
        before = len(given)
        run(storm(round))
        assert len(given) > before + 50
        durable.start()
    stored = {}
    since = ""
    while True:
        page = json.loads(durable.server.get(f"/channels/kept/a/poll?wait=0&last=1000000" + since)[2])
        for message in page["messages"]:
            assert message["cursor"] not in stored
            stored[message["cursor"]] = message["data"]
        if not page["messages"]:
            break
        since = "&since=" + page["cursor"]
    for text, cursor in given.items():
        assert stored[cursor] == text


def test_a_client_resumes_across_a_restart_as_if_nothing_had_been(durable):
    async def before():
        async with aiohttp.ClientSession() as session:
            return [await publish(session, durable.server, "kept/b", f"m{n}") for n in range(5)]

    async def after(cursor):
        async with aiohttp.ClientSession() as session, Socket(session, durable.server) as socket:
            reply = await socket.ask(do="subscribe", channel="kept/b", since=cursor)
            assert reply["lost"] is False
            assert [(await socket.message())["data"] for _ in range(3)] == ["m2", "m3", "m4"]
            assert int((await publish(session, durable.server, "kept/b", "m5")).split(":")[1]) == 6
    cursors = run(before())
    durable.kill()
    durable.start()
    run(after(cursors[1]))


# Seconds in a file are added to what the system says the time is; the monotonic clock stays.
WALL_CLOCK = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
  long seconds = 0;
  FILE *file = fopen(getenv("WALL_CLOCK_OFFSET"), "r");
  if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
  return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += offset();
  return result;
}
int gettimeofday(struct timeval *time, void *zone) {
  int result = (int)syscall(SYS_gettimeofday, time, zone);
  time->tv_sec += offset();
  return result;
}
"""


def test_a_wall_clock_that_jumps_moves_no_message_and_no_timer(tmp_path):
    """An hour back (summer time set by hand) and a day forward (the first answer of a time server), while people talk."""
    clock, source, library = tmp_path / "clock", tmp_path / "clock.c", tmp_path / "clock.so"
    clock.write_text("+0")
    source.write_text(WALL_CLOCK)
    subprocess.run(["clang", "-shared", "-fPIC", "-o", library, source], check=True)
    server = start_server(tmp_path, "--workers", "2", configuration="channels: {heartbeat: 1s, age: 1h}\n", environment={
        "LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(clock)})

    async def talk():
        async with aiohttp.ClientSession() as session, Socket(session, server) as socket:
            await socket.ask(do="subscribe", channel="c")
            seen, cursors = [], []
            for n, offset in enumerate(["+0", "-3600", "+86400", "-3600"]):
                clock.write_text(offset)
                cursors.append(await publish(session, server, "c", f"m{n}"))
                seen.append(await socket.message())
            assert [m["data"] for m in seen] == ["m0", "m1", "m2", "m3"]
            assert [m["cursor"] for m in seen] == cursors
            times = [m["time"] for m in seen]
            assert times == sorted(times) and times[2] - times[0] > 80_000_000, times
            async with session.get(server.url(f"/channels/c/poll?wait=0&since={cursors[0]}")) as response:
                assert [m["data"] for m in (await response.json())["messages"]] == ["m1", "m2", "m3"]
            # A held poll still ends by its own time, and heartbeats go on.
            began = time.monotonic()
            async with session.get(server.url(f"/channels/c/poll?wait=1&since={cursors[-1]}")) as response:
                assert (await response.json())["messages"] == []
            assert time.monotonic() - began < 20
            async with session.get(server.url("/channels/c/events")) as response:
                beats = 0
                async for line in response.content:
                    beats += line.startswith(b":")
                    if beats == 2:
                        break
    run(talk())
    stop_server(server)


def test_floods_cost_the_flooder_alone(make_server):
    """A flood of subscriptions, of commands whose answers nobody reads, and of absurd frames, while somebody else chats."""
    server = make_server("--workers", "1", configuration="channels: {subscriptions: 100, maximum: 500}\n")

    async def flood(session, writer):
        async with Socket(session, server) as socket:
            codes = [(await socket.ask(do="subscribe", channel=f"flood/{n}")).get("error", {}).get("code") for n in range(120)]
            assert codes == [None] * 100 + [107] * 20
            await socket.ws.send_str(json.dumps([{"do": "ping", "id": n} for n in range(256)]))
            assert [(await socket.receive())["id"] for _ in range(256)] == list(range(256))
            await socket.ws.send_str(json.dumps([{"do": "ping"}] * 257))
            assert (await socket.receive())["error"]["code"] == 100
        # Asks and never reads: it is made to wait, and costs its queue.
        frame = json.dumps([{"do": "history", "id": n, "channel": "big", "limit": 1000} for n in range(100)]).encode()
        header = b"\x81\xfe" + struct.pack(">H", len(frame)) + b"\0\0\0\0"
        writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + (header + frame) * 50)

    async def main():
        async with aiohttp.ClientSession() as session, Socket(session, server) as good:
            await good.ask(do="subscribe", channel="chat")
            for n in range(64):
                await publish(session, server, "big", "x" * 16_000)
            before = server.resident
            _, writer = await asyncio.open_connection("127.0.0.1", server.http, limit=1024)
            task = asyncio.create_task(flood(session, writer))
            for n in range(100):
                await publish(session, server, "chat", str(n))
                assert (await good.message())["data"] == str(n)
                await asyncio.sleep(0.02)
            await task
            await asyncio.sleep(1)
            assert server.resident - before < 64 * 1024, "what is not read is not made"
            codes = set()
            for n in range(600):
                async with session.post(server.url(f"/channels/many/{n}"), data="x") as response:
                    codes.add(response.status)
            assert codes == {200, 507}
            writer.close()
    run(main())
