"""Who may publish and play: keys, tokens made by PyJWT and by `martlet token`, addresses, webhooks, and their reload."""
import asyncio
import datetime
import hashlib
import hmac
import http.server
import json
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import jwt
import pytest
import websockets
from conftest import BINARY, start_server, stop_server, wait_for
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = "a secret of more than thirty-two letters"
ALGORITHMS = ["HS256", "RS256", "ES256", "EdDSA"]


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate()}


def mint(algorithm="HS256", seconds=60, do=("publish", "play"), on="live/**", key=None, **claims):
    payload = {"iat": int(time.time()), "exp": time.time() + seconds, "can": [{"do": list(do), "on": on}], **claims}
    return jwt.encode(payload, key or (SECRET if algorithm == "HS256" else KEYS[algorithm]), algorithm=algorithm)


def publisher(media, url):
    return subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(media / "av.flv"), "-c", "copy", "-f",
                             "flv", url], stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, media):
    """Publishing and playing take a key or a token; `live/cam` is there to be watched."""
    folder = tmp_path_factory.mktemp("guarded")
    jwts = [f"{{secret: {SECRET}}}"]
    for name, key in KEYS.items():
        (folder / f"{name}.pem").write_bytes(public_pem(key))
        jwts.append(f"{{public_key: {folder / (name + '.pem')}}}")
    server = start_server(folder, configuration=(
        "streams: {wait_for_publisher: 2s}\n"
        "auth:\n  leeway: 0\n"
        "  keys: [{key: publish-key-1, do: [publish], on: [live/*]}, {key: play-key-1, do: [play], on: [live/cam]}]\n"
        f"  jwt: [{', '.join(jwts)}]\n"))
    process = publisher(media, server.rtmp_url("live/cam?key=publish-key-1"))
    wait_for(lambda: server.live("live/cam"))
    yield server
    process.kill()
    process.wait()
    stop_server(server)


def flv_status(server, query="", headers=None):
    """The status of HTTP-FLV, without waiting for its end."""
    head = f"GET /live/cam.flv{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", server.http)) as s:
        s.settimeout(10)
        s.sendall(head.encode())
        return int(s.recv(65536).split(b" ")[1])


def rtmp_plays(url):
    result = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", url], capture_output=True, text=True,
                            timeout=30)
    return "h264" in result.stdout


def rtmp_publishes(server, media, name, query):
    process = publisher(media, server.rtmp_url(f"live/{name}{query}"))
    try:
        return wait_for(lambda: process.poll() is not None or server.live(f"live/{name}"), 15) and process.poll() is None
    finally:
        process.kill()
        process.wait()


# Static keys

def test_without_permission_nothing_goes(guarded, media):
    assert flv_status(guarded) == 401
    assert not rtmp_plays(guarded.rtmp_url("live/cam"))
    assert not rtmp_publishes(guarded, media, "nokey", "")
    for path in ["/live/cam.m3u8", "/live/cam.ts", "/live/cam.mp4", "/live/cam.jpg"]:
        status, fields, body = guarded.get(path)
        assert status == 401 and b"auth" in body, path
        # RFC 9110 §15.5.2: 401 says how to authenticate.
        assert fields["WWW-Authenticate"].startswith("Bearer"), path


def test_static_keys(guarded, media):
    assert flv_status(guarded, "?key=play-key-1") == 200
    assert flv_status(guarded, "?key=publish-key-1") == 403, "a key to publish does not play"
    assert flv_status(guarded, "?key=wrong") == 403
    assert rtmp_plays(guarded.rtmp_url("live/cam?key=play-key-1"))
    assert rtmp_publishes(guarded, media, "keyed", "?key=publish-key-1")
    assert not rtmp_publishes(guarded, media, "keyed/deeper", "?key=publish-key-1"), "live/* is one segment"


# Tokens

@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_tokens_by_every_way(guarded, media, algorithm):
    token = mint(algorithm)
    assert flv_status(guarded, f"?token={token}") == 200
    assert flv_status(guarded, headers={"Authorization": f"Bearer {token}"}) == 200
    assert flv_status(guarded, headers={"Cookie": f"other=1; martlet_token={token}"}) == 200
    assert rtmp_publishes(guarded, media, f"token-{algorithm}", f"?token={token}")
    assert rtmp_plays(guarded.rtmp_url(f"live/cam?token={token}"))


def test_a_cookie_from_a_strange_page_counts_for_nothing(guarded):
    assert flv_status(guarded, headers={"Cookie": f"martlet_token={mint()}", "Origin": "https://evil.example"}) == 401


@pytest.mark.parametrize("token", [
    mint(seconds=-60), mint(on="other/*"), mint(do=["publish"]), mint(key="another secret of more than thirty-two letters"),
    jwt.encode({"can": [{"do": "play", "on": "**"}]}, None, algorithm="none"),
    mint("ES256", key=ec.generate_private_key(ec.SECP256R1())), "a.b.c", "..", mint(nbf=time.time() + 3600),
    # The public key as an HMAC secret: the old confusion of algorithms.
    # PyJWT itself refuses to make it, so it is made by hand.
    None,
], ids=["expired", "other stream", "publish only", "other secret", "none", "other key", "garbage", "dots", "not yet", "confusion"])
def test_bad_tokens(guarded, token):
    if token is None:
        def part(value):
            return jwt.utils.base64url_encode(json.dumps(value).encode() if isinstance(value, dict) else value).decode()

        text = part({"alg": "HS256", "typ": "JWT"}) + "." + part({"exp": int(time.time()) + 60, "can": [{"do": "play", "on": "**"}]})
        token = text + "." + part(hmac.new(public_pem(KEYS["RS256"]), text.encode(), hashlib.sha256).digest())
    assert flv_status(guarded, f"?token={token}") == 403


def flv_end(server, query, ends):
    with socket.create_connection(("127.0.0.1", server.http)) as s:
        s.settimeout(15)
        s.sendall(f"GET /live/cam.flv{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        begun = s.recv(65536)
        try:
            while s.recv(1 << 20):
                pass
        except ConnectionError:
            pass
    ends["flv"] = time.time() if b" 200 " in begun[:20] else None


def websocket_end(server, query, ends):
    async def watch():
        async with websockets.connect(f"ws://127.0.0.1:{server.http}/live/cam.flv{query}", max_size=1 << 24) as s:
            try:
                while True:
                    await asyncio.wait_for(s.recv(), 15)
            except websockets.ConnectionClosed as closed:
                ends["ws"], ends["code"] = time.time(), closed.rcvd.code if closed.rcvd else None

    asyncio.run(watch())


def rtmp_end(server, path, ends, kind, media=None):
    url = server.rtmp_url(path)
    if kind == "publish":
        process = publisher(media, url)
    else:
        process = subprocess.Popen(["ffmpeg", "-v", "quiet", "-nostdin", "-i", url, "-c", "copy", "-f", "null", "-"])
    try:
        process.wait(15)
        ends[kind] = time.time()
    except subprocess.TimeoutExpired:
        process.kill()


def watch_until_closed(server, media, token, publish_name, act=lambda: None):
    """Sessions of every kind by one token; answers when each ended."""
    ends = {}
    query = f"?token={token}"
    jobs = [(flv_end, (server, query, ends)), (websocket_end, (server, query, ends)),
            (rtmp_end, (server, f"live/cam{query}", ends, "play")), (rtmp_end, (server, f"live/{publish_name}{query}", ends, "publish", media))]
    threads = [threading.Thread(target=job, args=arguments) for job, arguments in jobs]
    for thread in threads:
        thread.start()
    act()
    for thread in threads:
        thread.join(25)
    return ends


def test_sessions_end_with_their_token(guarded, media):
    expires = int(time.time()) + 5
    ends = watch_until_closed(guarded, media, mint(exp=expires), "expiring")
    assert ends.pop("code") == 4501
    assert set(ends) == {"flv", "ws", "play", "publish"}
    for kind, end in ends.items():
        assert -0.2 < end - expires < 1.5, (kind, end - expires)


def test_revocation_ends_sessions_and_the_token(guarded, media):
    token = mint(jti="token-7", sub="ann")
    times = {}

    def act():
        wait_for(lambda: len([c for c in guarded.api("/clients")["clients"] if c.get("user") == "ann"]) == 4)
        answer = subprocess.run(["curl", "-s", "-d", '{"token_id": "token-7"}', guarded.url("/api/v1/auth/revoke")], capture_output=True)
        times["revoked"] = time.time()
        assert json.loads(answer.stdout)["closed"] == 4

    ends = watch_until_closed(guarded, media, token, "revoked", act)
    assert ends.pop("code") == 4501 and len(ends) == 4
    assert all(end - times["revoked"] < 1.5 for end in ends.values()), ends
    assert flv_status(guarded, f"?token={token}") == 403
    other = mint(jti="token-8", sub="ann")
    assert flv_status(guarded, f"?token={other}") == 200
    subprocess.run(["curl", "-s", "-d", '{"user": "ann"}', guarded.url("/api/v1/auth/revoke")], capture_output=True)
    assert flv_status(guarded, f"?token={other}") == 403


def test_hls_ends_with_the_token(guarded):
    expires = int(time.time()) + 4
    token = mint(exp=expires)
    assert guarded.get(f"/live/cam/index.m3u8?token={token}")[0] == 200
    time.sleep(max(0, expires - time.time()) + 1)
    assert guarded.get(f"/live/cam/index.m3u8?token={token}")[0] == 403


def martlet(*arguments, **options):
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=20, **options)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_tokens_of_martlet_token(guarded, tmp_path, algorithm):
    (tmp_path / "key").write_bytes(SECRET.encode() + b"\n" if algorithm == "HS256" else pem(KEYS[algorithm]))
    made = martlet("token", "--key-file", str(tmp_path / "key"), "--can", "play:live/*", "--expires", "5m", "--sub", "bob")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    claims = jwt.decode(token, SECRET if algorithm == "HS256" else KEYS[algorithm].public_key(), algorithms=[algorithm])
    assert claims["sub"] == "bob" and 290 < claims["exp"] - time.time() < 310 and claims["jti"]
    assert flv_status(guarded, f"?token={token}") == 200
    refused = martlet("token", "--secret", SECRET, "--can", "pubish:live/*")
    assert refused.returncode == 64 and "did you mean publish" in refused.stderr


# Addresses

def test_deny_and_allow_by_address(make_server, media):
    server = make_server(configuration=(
        "auth:\n  deny: [{do: [publish], from: [127.0.0.0/8]}]\n  allow: [{do: [play], from: [192.0.2.0/24]}]\n"
        "http: {trusted_proxies: [127.0.0.1]}\n"))
    assert not rtmp_publishes(server, media, "denied", "")
    assert "auth.deny" in server.log.read_text()
    status, _, body = server.get("/live/x.flv")
    assert status == 403 and b"auth.allow" in body
    status, _, body = server.get("/live/x.jpg", headers={"X-Forwarded-For": "192.0.2.9"})
    assert status == 404, "behind a trusted proxy the client's address counts"


# Webhooks

class Receiver(http.server.ThreadingHTTPServer):
    """Writes down what comes; answers what `answer` says."""
    daemon_threads = True

    def __init__(self):
        self.requests, self.answer = [], lambda path, body: (200, {})
        received = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                received.requests.append((self.path, dict(self.headers), raw, time.time()))
                status, answer = received.answer(self.path, json.loads(raw))
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def bodies(self, path):
        return [json.loads(raw) for where, _, raw, _ in self.requests if where == path]


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.shutdown()
    receiver.server_close()


def verify(headers, raw, secret):
    parts = dict(part.split("=", 1) for part in headers["Martlet-Signature"].split(","))
    assert abs(time.time() - int(parts["t"])) < 30
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + raw, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected, parts["v1"])


def test_a_webhook_decides(make_server, receiver, media):
    ends = int(time.time()) + 8

    def answer(path, question):
        if question.get("token") == "letmein":
            return 200, {"user": "carol", "expires": ends}
        return 403, {"message": "carol says no"}

    receiver.answer = answer
    server = make_server(configuration=f"auth: {{webhook: {{url: \"{receiver.url('/may')}\", do: [publish, play], secret: whs-1}}}}\n")
    process = publisher(media, server.rtmp_url("live/cam?token=letmein"))
    try:
        wait_for(lambda: server.live("live/cam"))
        assert server.stream("live/cam")["publisher"]["user"] == "carol"
        assert flv_status(server, "?token=letmein") == 200
        status, _, body = server.get("/live/cam.flv?token=no")
        assert status == 403 and b"carol says no" in body
        path, headers, raw, _ = receiver.requests[0]
        question = json.loads(raw)
        assert question["do"] == "publish" and question["on"] == "live/cam" and question["transport"] == "rtmp"
        assert question["address"] == "127.0.0.1" and question["token"] == "letmein"
        verify(headers, raw, "whs-1")
        process.wait(15)
        assert -0.5 < time.time() - ends < 2, "the session ends when the webhook said"
    finally:
        process.kill()
        process.wait()
    receiver.shutdown()
    receiver.server_close()
    status, _, _ = server.get("/live/cam.flv?token=letmein")
    assert status == 403, "no answer is a refusal"


def test_webhooks_tell_of_sessions_in_order_signed_and_again_after_a_500(make_server, receiver, media):
    failures = iter([500, 503])
    receiver.answer = lambda path, body: (next(failures, 200), {})
    server = make_server(configuration=(
        f"streams: {{grace: 1s}}\nwebhooks: {{targets: [{{url: \"{receiver.url('/hook')}\", secret: whs-2}}]}}\n"))
    process = publisher(media, server.rtmp_url("live/hooked"))
    wait_for(lambda: server.live("live/hooked"))
    wait_for(lambda: len(receiver.requests) >= 3)
    with socket.create_connection(("127.0.0.1", server.http)) as s:
        s.sendall(b"GET /live/hooked.flv HTTP/1.1\r\nHost: x\r\nUser-Agent: by hand\r\n\r\n")
        s.recv(65536)
        wait_for(lambda: any(b["event"] == "play" for b in receiver.bodies("/hook")))
    wait_for(lambda: any(b["event"] == "stop" for b in receiver.bodies("/hook")))
    process.kill()
    process.wait()
    wait_for(lambda: any(b["event"] == "unpublish" for b in receiver.bodies("/hook")))
    # The first message came three times, with pauses of one and two seconds, signed each time.
    bodies = receiver.bodies("/hook")
    assert bodies[0] == bodies[1] == bodies[2] and bodies[0]["event"] == "publish"
    times = [t for _, _, _, t in receiver.requests]
    assert 0.8 < times[1] - times[0] < 1.6 and 1.8 < times[2] - times[1] < 2.6, times
    assert [b["event"] for b in bodies[2:]] == ["publish", "play", "stop", "unpublish"]
    play = bodies[3]
    assert (play["stream"], play["transport"], play["address"], play["user_agent"]) == ("live/hooked", "http-flv", "127.0.0.1", "by hand")
    assert bodies[4]["client"] == play["client"] and bodies[5]["client"] == bodies[0]["client"] != play["client"]
    for _, headers, raw, _ in receiver.requests:
        verify(headers, raw, "whs-2")


# The configuration

@pytest.mark.parametrize("text,words", [
    ("streams:\n  grase: 10s\n", [":2:", "grase", "grace"]),
    ("workers: 2\nhls:\n  fragment: soon\n", [":3:", "hls.fragment", "duration"]),
    ("listeners: {http: \"8080x\"}\n", [":1:", "listeners.http"]),
    ("auth:\n  keys:\n    - {key: a-key-1234, do: [pubish]}\n", [":3:", "publish"]),
    ("a: [\n", [":"]),
    ("streams: {grace: 1s}\nstreams: {grace: 2s}\n", [":2:", "streams"]),
])
def test_config_check_names_line_and_fix(tmp_path, text, words):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    result = martlet("config", "check", str(file))
    assert result.returncode == 78, result.stdout
    for word in words:
        assert word in result.stderr + result.stdout, (word, result.stderr)


def test_the_example_is_good(tmp_path):
    example = martlet("config", "example")
    (tmp_path / "x.yaml").write_text(example.stdout)
    assert martlet("config", "check", str(tmp_path / "x.yaml")).returncode == 0


def reload(server, text):
    mark = len(server.log.read_text())
    (server.log.parent / "martlet.yaml").write_text(text)
    server.process.send_signal(signal.SIGHUP)
    return lambda words: wait_for(lambda: words in server.log.read_text()[mark:], 5)


def test_sighup_takes_over_keys_and_says_what_waits(make_server, media):
    text = "auth: {{keys: [{{key: {}, do: [play], on: [live/*]}}]}}\nworkers: {}\n"
    server = make_server(configuration=text.format("first-key", 2))
    process = publisher(media, server.rtmp_url("live/cam"))
    try:
        wait_for(lambda: server.live("live/cam"))
        assert flv_status(server, "?key=first-key") == 200
        said = reload(server, text.format("second-key", 1))
        said("workers")
        wait_for(lambda: flv_status(server, "?key=second-key") == 200, 5)
        assert flv_status(server, "?key=first-key") == 403
        said = reload(server, "auth: {keyz: []}\n")
        said("keys")
        assert flv_status(server, "?key=second-key") == 200, "after a mistake the running configuration stays"
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def certificate(folder, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(key, hashes.SHA256()))
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(pem(key))


def served_name(port):
    text = ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    return x509.load_pem_x509_certificate(text.encode()).subject.rfc4514_string()


def test_sighup_reads_certificates_anew(make_server, tmp_path):
    certificate(tmp_path, "one.example")
    text = f"tls: {{certificate: {tmp_path / 'cert.pem'}, key: {tmp_path / 'key.pem'}}}\n"
    server = make_server(configuration=text)
    assert served_name(server.https) == served_name(server.rtmps) == "CN=one.example"
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", server.https)) as raw, context.wrap_socket(raw) as old:
        certificate(tmp_path, "two.example")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: served_name(server.https) == "CN=two.example", 5)
        assert served_name(server.rtmps) == "CN=two.example"
        # A connection from before goes on.
        old.sendall(b"GET /diag/hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert old.recv(100).startswith(b"HTTP/1.1 200")
    (tmp_path / "cert.pem").write_text("nonsense")
    said = reload(server, text)
    said("cert.pem")
    assert served_name(server.https) == "CN=two.example"
