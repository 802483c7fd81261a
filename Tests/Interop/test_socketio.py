"""Socket.IO with a real client (python-socketio), over every way it can come in, on two workers; and, when they are present,
the official protocol suites."""
import asyncio
import json
import urllib.error
import urllib.request

import aiohttp
import engineio.payload
import pytest
import socketio

import socketio_suite

# By itself this client takes 16 packets of one answer to a poll; browsers take what there is.
engineio.payload.Payload.max_decode_packets = 10_000

QUICK = "socketio: {ping_interval: 300ms, ping_timeout: 200ms, connect_timeout: 1s}\n"
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}


@pytest.fixture(params=TRANSPORTS)
def transports(request):
    return TRANSPORTS[request.param]


async def connect(server, transports, namespaces=("/",), auth=None):
    client = socketio.AsyncClient(reconnection=False)
    client.heard = asyncio.Queue()
    for namespace in namespaces:
        @client.on("*", namespace=namespace)
        async def hear(event, *arguments, namespace=namespace):
            await client.heard.put((namespace, event, *arguments))
    await client.connect(server.url("/"), socketio_path="/diag/socket.io", transports=transports, namespaces=list(namespaces),
                         auth=auth, wait_timeout=10)
    return client


async def hear(client):
    return await asyncio.wait_for(client.heard.get(), 10)


def run(body):
    asyncio.run(asyncio.wait_for(body, 60))


def test_events_binary_and_acknowledgements(server, transports):
    async def body():
        client = await connect(server, transports, auth={"token": "abc"})
        assert await hear(client) == ("/", "auth", {"token": "abc"})
        await client.emit("message", ("text", 1, {"a": [True, None, 2.5]}))
        assert await hear(client) == ("/", "message-back", "text", 1, {"a": [True, None, 2.5]})
        await client.emit("message", (b"\x00\x01\xff", {"deep": [b"second"]}))
        assert await hear(client) == ("/", "message-back", b"\x00\x01\xff", {"deep": [b"second"]})
        assert await client.call("message-with-ack", ("ü€😀", b"raw"), timeout=10) == ("ü€😀", b"raw")
        await client.disconnect()

    run(body())


def test_an_upgrade_ends_on_a_websocket_and_loses_nothing_on_the_way(server):
    async def body():
        for _ in range(8):  # the session and the WebSocket meet on one worker and on two
            client = await connect(server, ["polling", "websocket"])
            await hear(client)
            for number in range(200):
                await client.emit("message", number)
            heard = [(await hear(client))[2] for _ in range(200)]
            assert heard == list(range(200))
            assert client.transport() == "websocket"
            await client.disconnect()

    run(body())


def test_the_server_asks_and_the_client_answers_or_does_not(server, transports):
    async def body():
        client = await connect(server, transports)
        await hear(client)

        @client.on("question")
        async def question(value):
            if value == "silence":
                await asyncio.sleep(2)
            return "answer", value

        await client.emit("ask", 7)
        assert await hear(client) == ("/", "answered", "answer", 7)
        await client.emit("ask", b"bytes")
        assert await hear(client) == ("/", "answered", "answer", b"bytes")
        await client.emit("ask", "silence")
        assert await hear(client) == ("/", "answered", "timeout")
        await client.disconnect()

    run(body())


def test_namespaces_share_a_connection_and_an_unknown_one_is_refused(server, transports):
    async def body():
        client = await connect(server, transports, ["/", "/custom"], auth={"n": 1})
        assert {(await hear(client))[0], (await hear(client))[0]} == {"/", "/custom"}
        await client.emit("message", "x", namespace="/custom")
        assert await hear(client) == ("/custom", "message-back", "x")
        await client.disconnect()
        with pytest.raises(socketio.exceptions.ConnectionError):
            await connect(server, transports, ["/unknown"])

    run(body())


def test_the_server_puts_a_client_out(server, transports):
    async def body():
        for event in ["leave-me", "close-me"]:
            client = await connect(server, transports)
            gone = asyncio.Event()
            client.on("disconnect", lambda *_: gone.set())
            await hear(client)
            await client.emit(event)
            await asyncio.wait_for(gone.wait(), 10)
            await client.disconnect()

    run(body())


def test_a_room_reaches_every_worker_and_every_transport(server):
    async def body():
        clients = [await connect(server, list(TRANSPORTS.values())[index % 3]) for index in range(12)]
        for client in clients:
            await hear(client)
        await asyncio.gather(*(client.call("join", "room", timeout=10) for client in clients[:9]))
        sender = clients[0]
        for number in range(50):
            await sender.emit("broadcast", ("room", number, b"\x01\x02"))
        for client in clients[1:9]:
            assert [await hear(client) for _ in range(50)] == [("/", "news", number, b"\x01\x02") for number in range(50)]
        await asyncio.sleep(0.3)
        assert all(client.heard.empty() for client in [sender, *clients[9:]])
        await clients[1].call("leave", "room", timeout=10)
        await sender.emit("broadcast", ("room", "last"))
        assert await hear(clients[2]) == ("/", "news", "last")
        await asyncio.sleep(0.3)
        assert clients[1].heard.empty()
        await asyncio.gather(*(client.disconnect() for client in clients))

    run(body())


def test_heartbeats_keep_a_quiet_client(make_server):
    server = make_server(configuration=QUICK)

    async def body():
        clients = [await connect(server, transports) for transports in TRANSPORTS.values()]
        await asyncio.sleep(2)
        for client in clients:
            await hear(client)
            assert await client.call("message-with-ack", "still here", timeout=10) == "still here"
            await client.disconnect()

    run(body())


def test_large_messages_wait_for_one_another_and_none_is_lost(server):
    async def body():
        for _ in range(6):
            client = await connect(server, ["polling", "websocket"])
            await hear(client)
            while client.transport() != "websocket":
                await asyncio.sleep(0.05)
            for number in range(40):
                await client.emit("message", (number, bytes([number]) * 300_000))
            for number in range(40):
                assert await hear(client) == ("/", "message-back", number, bytes([number]) * 300_000)
            await client.disconnect()

    run(body())


def test_what_is_sent_no_faster_than_it_is_taken_arrives_whole(make_server, transports):
    server = make_server(configuration="socketio: {queue: 1MiB}\n")

    async def body():
        for _ in range(3):
            client = await connect(server, transports)
            await hear(client)
            await client.emit("flood", 10_000)
            for number in reversed(range(10_000)):
                assert (await hear(client))[2] == number
            await client.disconnect()

    run(body())


def test_a_client_that_does_not_read_is_closed_and_costs_the_others_nothing(make_server):
    server = make_server(configuration="socketio: {queue: 1MiB}\n")

    async def body():
        sender = await connect(server, ["websocket"])
        others = [await connect(server, ["websocket"]) for _ in range(4)]
        url = server.url("/diag/socket.io/?EIO=4&transport=websocket")
        async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as stuck:
            await stuck.send_str("40")
            await stuck.send_str('42["join","room"]')
            for client in others:
                await hear(client)
                await client.call("join", "room", timeout=10)
            await stuck.receive()
            stuck._reader._protocol.pause_reading()
            for number in range(300):
                await sender.call("broadcast", ("room", number, b"x" * 100_000), timeout=10)
                for client in others:
                    assert (await hear(client))[2] == number
            stuck._reader._protocol.resume_reading()
            heard = 0
            async for message in stuck:
                heard += 1
            assert heard < 600, "everything waited for a client that did not read"
        for client in [sender, *others]:
            await client.disconnect()

    run(body())


def post(server, sid, body, path="/socket.io/"):
    request = urllib.request.Request(server.url(f"{path}?EIO=4&transport=polling&sid={sid}"), data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_refusals_have_the_codes_that_clients_know(server):
    def refusal(query):
        status, _, body = server.get("/socket.io/?" + query)
        return status, json.loads(body)

    assert refusal("EIO=4") == (400, {"code": 0, "message": "Transport unknown"})
    assert refusal("EIO=4&transport=polling&sid=AAAA") == (400, {"code": 1, "message": "Session ID unknown"})
    assert refusal("EIO=3&transport=polling") == (400, {"code": 5, "message": "Unsupported protocol version"})
    assert refusal("EIO=4&transport=websocket") == (400, {"code": 3, "message": "Bad request"})


def test_a_body_beyond_the_limit_ends_the_session(make_server):
    server = make_server(configuration="socketio: {max_payload: 2048}\n")
    status, _, body = server.get("/socket.io/?EIO=4&transport=polling")
    opened = json.loads(body[1:])
    assert (status, opened["maxPayload"]) == (200, 2048)
    assert post(server, opened["sid"], b"4" * 4096)[0] == 413
    assert post(server, opened["sid"], b"40")[0] == 400


def test_a_cookie_where_it_is_asked_for(make_server):
    server = make_server(configuration="socketio: {cookie: io}\n")
    _, headers, body = server.get("/socket.io/?EIO=4&transport=polling")
    assert headers["Set-Cookie"].startswith("io=" + json.loads(body[1:])["sid"] + ";")


def test_garbage_closes_its_own_session_only(server):
    async def body():
        client = await connect(server, ["websocket"])
        await hear(client)
        async with aiohttp.ClientSession() as session:
            for garbage in ["", "abc", "4", "40[", "42[\"a\"", "452-[]", "4" + "2" * 500, "4" + "[" * 5000, "49", "\u0000"]:
                url = server.url("/diag/socket.io/?EIO=4&transport=websocket")
                async with session.ws_connect(url) as socket:
                    await socket.receive(timeout=10)
                    await socket.send_str(garbage)
                    message = await socket.receive(timeout=10)
                    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), (garbage, message)
        assert await client.call("message-with-ack", 1, timeout=10) == 1
        await client.disconnect()

    run(body())


@pytest.mark.skipif(not socketio_suite.available(), reason="MARTLET_SOCKETIO_SUITES names no check-out, or mocha is missing")
@pytest.mark.parametrize("name, tests", [("engine.io", 24), ("socket.io", 32)])
def test_the_official_suite_passes(make_server, tmp_path, name, tests):
    # The suites send over one connection and expect it to be heard before what they send over another a moment later: one
    # worker hears in the order of arrival, whatever else the machine does.
    server = make_server("--workers", "1", configuration=QUICK)
    passed, failed, output = socketio_suite.run(name, server.url("/diag"), tmp_path)
    assert (passed, failed) == (tests, 0), output
