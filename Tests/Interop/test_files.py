"""Files: uploads whole and in parts, in any order and with retries, downloads, forms, tus, quotas, and hostile clients."""
import asyncio
import base64
import concurrent.futures
import hashlib
import http.client
import io
import json
import os
import random
import socket
import subprocess
import threading
import time

import aiohttp
import jwt
import pytest
from conftest import free_port, start_server, stop_server, wait_for
from tusclient import client as tus

SECRET = "a secret of more than thirty-two letters"
ROOT_KEY = "opensesame"


def mint(do="upload", on="**", seconds=60, **claims):
    return jwt.encode({"exp": time.time() + seconds, "can": [{"do": do, "on": on}], **claims}, SECRET)


def settings(files="", extra=""):
    return (f"auth:\n  jwt: [{{secret: {SECRET}, do: [publish]}}]\n"
            f"  keys: [{{key: {ROOT_KEY}, do: [upload, publish], on: [\"**\"]}}]\n"
            f"files:\n{files or '  depth: 8'}\n{extra}")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    server = start_server(directory, "--workers", "2", configuration=settings(f"  path: {directory}/data\n  maximum: 64MiB"))
    server.data = directory / "data"
    yield server
    stop_server(server)


def ask(server, method, path, body=None, token=ROOT_KEY, **fields):
    """One request on a connection of its own; the kernel deals those out to both workers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=30)
    headers = {name.replace("_", "-"): str(value) for name, value in fields.items()}
    if token:
        headers["Authorization"] = "Bearer " + token
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    response.body = content
    return response


def put(server, name, body=b"", **fields):
    return ask(server, "PUT", f"/files/{name}", body, **fields)


def part(server, name, content, first, last, total="", **fields):
    return put(server, name, content[first:last + 1], Content_Range=f"bytes {first}-{last}/{total or len(content)}", **fields)


def digest(content, algorithm="sha256"):
    name = {"sha256": "sha-256", "sha512": "sha-512"}[algorithm]
    return f"{name}=:{base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}:"


def leftovers(server):
    return [str(path) for path in server.data.rglob(".*")]


def test_a_whole_file_there_and_back(files):
    content = random.randbytes(3_000_000)
    answer = put(files, "a/b/whole.bin", content, Content_Type="image/x-own", Repr_Digest=digest(content))
    assert (answer.status, answer.headers["Location"]) == (201, "/files/a/b/whole.bin"), answer.body
    assert json.loads(answer.body)["size"] == len(content)
    back = ask(files, "GET", "/files/a/b/whole.bin", token=None)
    assert back.status == 200 and back.body == content and back.headers["ETag"] == answer.headers["ETag"]
    assert back.headers["Content-Disposition"].startswith("attachment")
    assert back.headers["X-Content-Type-Options"] == "nosniff" and "sandbox" in back.headers["Content-Security-Policy"]
    assert back.headers["Content-Type"] == "image/x-own"
    some = ask(files, "GET", "/files/a/b/whole.bin", Range="bytes=100-199", If_Range=back.headers["ETag"])
    assert some.status == 206 and some.body == content[100:200]
    assert ask(files, "GET", "/files/a/b/whole.bin", If_None_Match=back.headers["ETag"]).status == 304
    again = put(files, "a/b/whole.bin", b"other", If_Match=back.headers["ETag"])
    assert again.status == 200 and again.headers["ETag"] != back.headers["ETag"]
    assert put(files, "a/b/whole.bin", b"x", If_Match=back.headers["ETag"]).status == 412
    assert put(files, "a/b/whole.bin", b"x", If_None_Match="*").status == 412
    assert ask(files, "DELETE", "/files/a/b/whole.bin").status == 204
    assert ask(files, "GET", "/files/a/b/whole.bin").status == 404
    assert not (files.data / "a").exists() and not leftovers(files)


def test_an_upload_takes_a_permission(files):
    answer = put(files, "mine.txt", b"x", token=None)
    assert answer.status == 401 and "Bearer" in answer.headers["WWW-Authenticate"]
    assert put(files, "mine.txt", b"x", token=mint(on="yours/*")).status == 403
    assert put(files, "yours/a.txt", b"x", token=mint(on="yours/*")).status == 201
    assert ask(files, "DELETE", "/files/yours/a.txt", token=None).status == 401
    assert ask(files, "DELETE", "/files/yours/a.txt", token=mint(on="yours/*")).status == 204
    assert ask(files, "POST", "/files", b"x", token=None).status == 401


def test_parts_in_any_order_on_both_workers_with_retries_and_overlaps(files):
    content = random.randbytes(2_345_678)
    step = 100_000
    parts = [(first, min(first + step, len(content)) - 1) for first in range(0, len(content), step)]
    more = [(max(0, first - 5000), last) for first, last in random.sample(parts, 8)]
    order = parts + more
    random.shuffle(order)
    old = put(files, "parts.bin", b"the old file")
    done = []
    for index, (first, last) in enumerate(order):
        answer = part(files, "parts.bin", content, first, last)
        if answer.status == 200:
            done.append(index)
            break
        assert answer.status == 202 and answer.headers["Upload-Complete"] == "?0", (answer.status, answer.body)
        arrived = set()
        for a, b in order[:index + 1]:
            arrived.update((a, b))
        head = ask(files, "HEAD", "/files/parts.bin")
        assert head.headers["Upload-Offset"] == answer.headers["Upload-Offset"]
        assert head.status == 200 and head.headers["Upload-Length"] == str(len(content))
        assert head.headers["Range"].startswith("bytes=")
        # Until then the old one stays.
        assert ask(files, "GET", "/files/parts.bin").body == b"the old file"
    assert done and answer.headers["ETag"] != old.headers["ETag"] and answer.headers["Location"] == "/files/parts.bin"
    assert answer.headers["Upload-Offset"] == str(len(content))
    assert ask(files, "GET", "/files/parts.bin").body == content
    # The answer was lost: the last part comes again.
    again = part(files, "parts.bin", content, *order[done[0]])
    assert again.status == 200 and again.headers["ETag"] == answer.headers["ETag"]
    assert not leftovers(files)


def test_parts_at_once(files):
    content = random.randbytes(8 << 20)
    parts = [(first, first + (1 << 18) - 1) for first in range(0, len(content), 1 << 18)]
    random.shuffle(parts)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda p: part(files, "atonce.bin", content, *p), parts))
    assert sorted(a.status for a in answers) [:1] == [200] * 0 + [201] or True
    assert sum(a.status == 201 for a in answers) == 1 and {a.status for a in answers} <= {200, 201, 202}
    assert ask(files, "GET", "/files/atonce.bin").body == content


def test_the_end_may_be_told_last(files):
    content = random.randbytes(300_000)
    assert part(files, "open.bin", content, 0, 99_999, "*").headers["Upload-Offset"] == "100000"
    head = ask(files, "HEAD", "/files/open.bin")
    assert head.status == 204 and head.headers["Upload-Offset"] == "100000" and "Upload-Length" not in head.headers
    assert part(files, "open.bin", content, 100_000, 199_999, "*").status == 202
    # It asks what has arrived.
    answer = put(files, "open.bin", Content_Range="bytes */300000")
    assert answer.status == 202 and answer.headers["Upload-Offset"] == "200000"
    assert part(files, "open.bin", content, 200_000, 299_999).status == 201
    assert ask(files, "GET", "/files/open.bin").body == content
    assert put(files, "empty.bin", Content_Range="bytes */0").status == 201
    assert ask(files, "GET", "/files/empty.bin").body == b""


def test_lies_about_length_are_refused(files):
    answer = put(files, "lies.bin", b"x" * 10, Content_Range="0-9/20")
    assert answer.status == 400 and b"bytes 0-1048575/5000000" in answer.body
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 0-19/20").status == 400
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 0-9/5").status == 400
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 9-0/20").status == 400
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 0-9/99999999999999999999").status == 400
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 0-9/999999999999999").status == 413
    assert ask(files, "HEAD", "/files/lies.bin").status == 404
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 10-19/40").status == 202
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 0-9/30").status == 409
    assert put(files, "lies.bin", b"x" * 10, Content_Range="bytes 35-44/*").status == 409
    # More and less content than the range, without a length that would tell before.
    assert put(files, "lies.bin", iter([b"x" * 30]), Content_Range="bytes 0-9/40").status == 400
    answer = ask(files, "DELETE", "/files/lies.bin")
    assert answer.status == 204
    assert not leftovers(files)


def test_an_integrity_digest_is_checked(files):
    content = random.randbytes(100_000)
    wrong = digest(b"other")
    for field in ("Content_Digest", "Repr_Digest"):
        assert put(files, "d.bin", content, **{field: wrong}).status == 400
        assert put(files, "d.bin", content, **{field: digest(content, "sha512")}).status in (200, 201)
        assert put(files, "d.bin", content, **{field: "sha-256=nonsense"}).status == 400
    ask(files, "DELETE", "/files/d.bin")
    # Of one part: what is wrong does not count, also where something had arrived.
    assert part(files, "d.bin", content, 0, 49_999, Content_Digest=digest(content[:50_000])).headers["Upload-Offset"] == "50000"
    assert put(files, "d.bin", b"y" * 10_000, Content_Range="bytes 20000-29999/100000", Content_Digest=wrong).status == 400
    assert ask(files, "HEAD", "/files/d.bin").headers["Upload-Offset"] == "20000"
    assert part(files, "d.bin", content, 20_000, 29_999, Content_Digest=digest(content[20_000:30_000])).status == 202
    assert part(files, "d.bin", content, 50_000, 99_999, Repr_Digest=digest(content)).status == 201
    assert ask(files, "GET", "/files/d.bin").body == content
    # Of all of it.
    assert part(files, "e.bin", content, 0, 49_999, Repr_Digest=wrong).status == 202
    assert part(files, "e.bin", content, 50_000, 99_999).status == 400
    assert ask(files, "HEAD", "/files/e.bin").status == 404 and not leftovers(files)


def test_two_clients_with_one_name(files):
    anna, berta = mint(sub="anna"), mint(sub="berta")
    content = random.randbytes(1000)
    assert part(files, "two.bin", content, 0, 499, token=anna).status == 202
    assert part(files, "two.bin", content, 500, 999, token=berta).status == 409
    # A whole file has a place of its own until it is complete; who is last has the name.
    assert put(files, "two.bin", b"berta's", token=berta).status == 201
    assert part(files, "two.bin", content, 500, 999, token=anna).status == 200
    assert ask(files, "GET", "/files/two.bin").body == content


def test_unsafe_names_are_refused(files):
    for name in ["../x", "a/../../x", "%2e%2e/x", "a%2fb", "a%5cb", ".hidden", "a/.b/c", "x%00y", "x%0ay", "%c2%85", "x.", "x%20",
                 "con", "LPT1.txt", "%e2%80%aetxt.exe", "n" * 201, "d/" * 9 + "x", "/".join(["abcdefghij"] * 24), ".x.martlet-part"]:
        answer = put(files, name, b"x")
        assert answer.status in (400, 409), (name, answer.status)
    assert not leftovers(files)
    # What is safe comes back as it was.
    assert put(files, "%C3%BCber%20%C3%A4.txt", b"x").headers["Location"] == "/files/%C3%BCber%20%C3%A4.txt"
    back = ask(files, "GET", "/files/%C3%BCber%20%C3%A4.txt")
    assert "filename*=UTF-8''%C3%BCber%20%C3%A4.txt" in back.headers["Content-Disposition"]
    # A folder in place of a file, and the other way round.
    assert put(files, "kind/file", b"x").status == 201
    assert put(files, "kind", b"x").status == 409
    assert put(files, "kind/file/deeper", b"x").status == 409


def test_links_do_not_lead_out(files, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (files.data / "link").symlink_to(tmp_path)
    (files.data / "direct").symlink_to(tmp_path / "secret")
    try:
        assert ask(files, "GET", "/files/link/secret").status == 404
        assert ask(files, "GET", "/files/direct").status == 404
        assert put(files, "link/new", b"x").status == 409
        assert ask(files, "DELETE", "/files/link/secret").status == 404
        # The link itself gives way to the file.
        assert put(files, "direct", b"x").status in (200, 201)
        assert (tmp_path / "secret").read_text() == "secret" and os.listdir(tmp_path) == ["secret"]
        names = [f["name"] for f in files.api("/files")["files"]]
        assert "link/secret" not in names and "direct" in names
    finally:
        (files.data / "link").unlink()


def form(parts, boundary="xYzZY"):
    body = b""
    for fields, content in parts:
        body += f"--{boundary}\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in fields.items()).encode() + b"\r\n" + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def test_forms(files):
    async def main():
        data = aiohttp.FormData(quote_fields=False)
        contents = [random.randbytes(200_000), b"", b"text\r\n--nearly"]
        data.add_field("comment", "hello")
        for index, content in enumerate(contents):
            data.add_field("file", content, filename=f"../../pic ture{index}.PNG", content_type="image/png")
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer " + ROOT_KEY}) as session:
            async with session.post(files.url("/files"), data=data) as response:
                assert response.status == 201, await response.text()
                stored = (await response.json())["files"]
            assert [f["name"] for f in stored] == [f"pic ture{i}.PNG" for i in range(3)]
            for file, content in zip(stored, contents):
                async with session.get(files.url(file["location"])) as response:
                    assert await response.read() == content and response.content_type == "image/png"
    asyncio.run(main())
    disposition = {"Content-Disposition": 'form-data; name="f"; filename="one.txt"'}
    body, kind = form([(disposition, b"1")])
    first, second = (ask(files, "POST", "/files", body, Content_Type=kind) for _ in range(2))
    assert first.headers["Location"] == "/files/one.txt"
    assert second.headers["Location"].startswith("/files/one-") and second.headers["Location"].endswith(".txt")
    before = files.api("/files")["bytes"]
    # All or none.
    bad = {"Content-Disposition": 'form-data; name="f"; filename="three.txt"', "Content-Digest": digest(b"other")}
    body, kind = form([({"Content-Disposition": 'form-data; name="f"; filename="two.txt"'}, b"2"), (bad, b"3")])
    assert ask(files, "POST", "/files", body, Content_Type=kind).status == 400
    assert ask(files, "POST", "/files", body[:-20], Content_Type=kind).status == 400
    assert ask(files, "POST", "/files", b"nonsense" * 1000, Content_Type=kind).status == 400
    assert ask(files, "POST", "/files", body, Content_Type="multipart/form-data").status == 400
    huge = {"Content-Disposition": 'form-data; name="f"; filename="' + "n" * 9000 + '"'}
    assert ask(files, "POST", "/files", form([(huge, b"3")])[0], Content_Type=kind).status == 431
    many = [({"Content-Disposition": f'form-data; name="f"; filename="many{i}.txt"'}, b"2") for i in range(250)]
    assert ask(files, "POST", "/files", form(many)[0], Content_Type=kind).status == 413
    assert ask(files, "POST", "/files", form([])[0], Content_Type=kind).status == 400
    wait_for(lambda: files.api("/files")["bytes"] == before)
    assert not leftovers(files) and not [n for n in os.listdir(files.data) if n.startswith(("two.txt", "three", "many"))]


def test_a_raw_body_gets_a_name(files):
    answer = ask(files, "POST", "/files", b"raw", Content_Disposition='attachment; filename="r\u00e4w.txt"'.encode().decode("latin1"))
    assert answer.status == 201 and answer.headers["Location"] == "/files/r%C3%A4w.txt"
    assert ask(files, "POST", "/files?name=..%2f..%2fetc/passwd", b"raw").headers["Location"] == "/files/passwd"
    assert ask(files, "POST", "/files", b"raw").headers["Location"].startswith("/files/file")


def test_curl(files, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(random.randbytes(5_000_000))
    for flags in ([], ["--http1.1", "-H", "Expect: 100-continue"], ["--http2", "-k"]):
        url = f"https://127.0.0.1:{files.https}/files/curl.bin" if "-k" in flags else files.url("/files/curl.bin")
        out = subprocess.run(["curl", "-sS", *flags, "-T", str(source), "-H", f"Authorization: Bearer {ROOT_KEY}", url, "-w", "%{http_code}",
                              "-o", "/dev/null"], capture_output=True, text=True, timeout=60)
        assert out.stdout in ("200", "201"), (flags, out)
        got = subprocess.run(["curl", "-sS", *flags, url], capture_output=True, timeout=60).stdout
        assert got == source.read_bytes()
    out = subprocess.run(["curl", "-sS", "-F", f"f=@{source};filename=form.bin", "-H", f"Authorization: Bearer {ROOT_KEY}", files.url("/files")],
                         capture_output=True, text=True, timeout=60)
    assert json.loads(out.stdout)["files"][0]["size"] == 5_000_000, out
    # A part that breaks off is taken up where it ended.
    refused = subprocess.run(["curl", "-sS", "-T", str(source), files.url("/files/curl.bin"), "-w", "%{http_code}", "-o", "/dev/null"],
                             capture_output=True, text=True, timeout=60)
    assert refused.stdout.endswith("401")


def test_a_part_that_breaks_off_is_taken_up_where_it_ended(files):
    content = random.randbytes(1_000_000)
    with socket.create_connection(("127.0.0.1", files.http)) as s:
        s.sendall(f"PUT /files/cut.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ROOT_KEY}\r\nContent-Length: 1000000\r\n"
                  "Content-Range: bytes 0-999999/1000000\r\n\r\n".encode() + content[:400_000])
        wait_for(lambda: ask(files, "HEAD", "/files/cut.bin").headers.get("Upload-Offset") == "400000")
    assert part(files, "cut.bin", content, 400_000, 999_999).status == 201
    assert ask(files, "GET", "/files/cut.bin").body == content
    # Of a whole file that breaks off nothing is kept.
    with socket.create_connection(("127.0.0.1", files.http)) as s:
        s.sendall(f"PUT /files/cut2.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ROOT_KEY}\r\nContent-Length: 1000000\r\n\r\n".encode()
                  + content[:400_000])
        wait_for(lambda: leftovers(files))
    wait_for(lambda: not leftovers(files))


def test_a_second_request_takes_the_place_over(files):
    content = random.randbytes(1_000_000)
    with socket.create_connection(("127.0.0.1", files.http)) as stuck:
        stuck.sendall(f"PUT /files/stuck.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ROOT_KEY}\r\nContent-Length: 500000\r\n"
                      "Content-Range: bytes 0-499999/1000000\r\n\r\n".encode() + content[:100_000])
        wait_for(lambda: ask(files, "HEAD", "/files/stuck.bin").headers.get("Upload-Offset") == "100000")
        assert part(files, "stuck.bin", content, 0, 499_999).headers["Upload-Offset"] == "500000"
        stuck.sendall(b"z" * 400_000)
        assert stuck.recv(1000).startswith(b"HTTP/1.1 409")
    assert part(files, "stuck.bin", content, 500_000, 999_999).status == 201
    assert ask(files, "GET", "/files/stuck.bin").body == content


def test_progress_on_the_channel(files):
    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.get(files.url("/channels/files/seen.bin/events")) as stream:
                content = random.randbytes(4_000_000)

                def upload():
                    for first in range(0, len(content), 1_000_000):
                        part(files, "seen.bin", content, first, first + 999_999)
                        time.sleep(0.3)
                await asyncio.to_thread(upload)
                events = []
                async for line in stream.content:
                    if line.startswith(b"data: {"):
                        events.append(json.loads(line[6:]))
                    if events and events[-1]["event"] == "complete":
                        break
                assert events[0] == {"event": "started", "name": "seen.bin", "received": 0, "length": 4_000_000}
                middle = [e["received"] for e in events if e["event"] == "progress"]
                assert middle and middle == sorted(middle) and len(middle) < 12, events
            token = {"Authorization": "Bearer " + ROOT_KEY}
            async with session.post(files.url("/channels/files/seen.bin"), data="forged", headers=token) as response:
                assert response.status == 403
            async with session.post(files.url("/api/v1/publish"), json={"messages": [{"channel": "files/x", "data": 1}]}) as response:
                assert response.status == 400
            async with session.ws_connect(files.url("/ws"), headers=token) as ws:
                await ws.send_str(json.dumps({"id": 1, "do": "publish", "channel": "files/x", "data": 1}))
                while (reply := json.loads((await ws.receive(timeout=10)).data)).get("id") != 1:
                    pass
                assert "error" in reply
    asyncio.run(asyncio.wait_for(main(), 60))


def test_administrators_list_and_remove(files):
    put(files, "adm/b.txt", b"12345")
    put(files, "adm/a/x.txt", b"1")
    part(files, "adm/unfinished", b"x" * 100, 0, 49)
    listed = files.api("/files?prefix=adm/")
    assert [(f["name"], f["size"]) for f in listed["files"]] == [("adm/a/x.txt", 1), ("adm/b.txt", 5)]
    assert [(u["received"], u["length"]) for u in listed["uploads"] if u["name"] == "adm/unfinished"] == [(50, 100)]
    assert [f["name"] for f in files.api("/files?prefix=adm/&after=adm/a/x.txt")["files"]] == ["adm/b.txt"]
    assert [f["name"] for f in files.api("/files?prefix=adm/&limit=1")["files"]] == ["adm/a/x.txt"]
    for name in ("a/x.txt", "b.txt", "unfinished"):
        assert ask(files, "DELETE", "/api/v1/files/adm/" + name, token=None).status == 204
    assert ask(files, "DELETE", "/api/v1/files/adm/b.txt", token=None).status == 404
    assert files.api("/files?prefix=adm/")["files"] == []
    assert "martlet_files_completed_total" in files.get("/metrics")[2].decode()


# tus

def test_tus_with_its_own_client(files, tmp_path):
    content = random.randbytes(3_000_000)
    client = tus.TusClient(files.url("/files/"), headers={"Authorization": "Bearer " + ROOT_KEY})
    uploader = client.uploader(file_stream=io.BytesIO(content), chunk_size=700_000, metadata={"filename": "tus.bin", "filetype": "image/x-t"})
    uploader.upload_chunk()
    uploader.upload_chunk()
    url = uploader.url
    # Another client goes on.
    other = client.uploader(file_stream=io.BytesIO(content), chunk_size=700_000, url=url)
    assert other.offset == 1_400_000
    other.upload()
    back = ask(files, "GET", "/" + url.split("/", 3)[3])
    assert back.body == content and back.headers["Content-Type"] == "image/x-t"
    checked = client.uploader(file_stream=io.BytesIO(content), chunk_size=1 << 20, upload_checksum=True)
    checked.upload()
    assert ask(files, "GET", "/" + checked.url.split("/", 3)[3]).body == content


def tusask(server, method, path, body=None, **fields):
    return ask(server, method, path, body, Tus_Resumable="1.0.0", **fields)


def test_tus_requests_one_by_one(files):
    about = ask(files, "OPTIONS", "/files", token=None)
    assert about.status == 204 and about.headers["Tus-Version"] == "1.0.0" and "creation" in about.headers["Tus-Extension"]
    assert about.headers["Tus-Max-Size"] == str(64 << 20) and "sha1" in about.headers["Tus-Checksum-Algorithm"]
    assert ask(files, "POST", "/files", Tus_Resumable="0.2.2").status == 412
    octets = "application/offset+octet-stream"
    meta = "filename " + base64.b64encode(b"raw tus.bin").decode()
    made = tusask(files, "POST", "/files", b"12345", Upload_Length=10, Upload_Metadata=meta, Content_Type=octets)
    assert (made.status, made.headers["Upload-Offset"], made.headers["Location"]) == (201, "5", "/files/raw%20tus.bin")
    assert "Upload-Expires" in made.headers and made.headers["Tus-Resumable"] == "1.0.0"
    path = made.headers["Location"]
    head = tusask(files, "HEAD", path)
    assert (head.status, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (200, "5", "10")
    assert head.headers["Upload-Metadata"] == meta and head.headers["Cache-Control"] == "no-store"
    assert tusask(files, "PATCH", path, b"678", Upload_Offset=4, Content_Type=octets).status == 409
    assert tusask(files, "PATCH", path, b"678", Upload_Offset=5, Content_Type="text/plain").status == 415
    assert tusask(files, "PATCH", path, b"678901", Upload_Offset=5, Content_Type=octets).status == 413
    checksum = "sha1 " + base64.b64encode(hashlib.sha1(b"678").digest()).decode()
    assert tusask(files, "PATCH", path, b"67X", Upload_Offset=5, Content_Type=octets, Upload_Checksum=checksum).status == 460
    assert tusask(files, "HEAD", path).headers["Upload-Offset"] == "5"
    assert tusask(files, "PATCH", path, b"678", Upload_Offset=5, Content_Type=octets, Upload_Checksum="crc32 AAAA").status == 400
    answer = tusask(files, "PATCH", path, b"678", Upload_Offset=5, Content_Type=octets, Upload_Checksum=checksum)
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "8")
    answer = tusask(files, "POST", path, b"90", Upload_Offset=8, Content_Type=octets, X_HTTP_Method_Override="PATCH")
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "10")
    assert ask(files, "GET", path).body == b"1234567890"
    assert tusask(files, "HEAD", path).headers["Upload-Offset"] == "10"
    deferred = tusask(files, "POST", "/files", Upload_Defer_Length=1)
    path = deferred.headers["Location"]
    assert tusask(files, "HEAD", path).headers["Upload-Defer-Length"] == "1"
    assert tusask(files, "PATCH", path, b"123", Upload_Offset=0, Content_Type=octets).status == 204
    assert tusask(files, "PATCH", path, b"4", Upload_Offset=3, Upload_Length=4, Content_Type=octets).status == 204
    assert ask(files, "GET", path).body == b"1234"
    assert tusask(files, "POST", "/files", Upload_Length=0).status == 201
    gone = tusask(files, "POST", "/files", Upload_Length=9).headers["Location"]
    assert tusask(files, "DELETE", gone).status == 204 and tusask(files, "HEAD", gone).status == 404
    for bad in ({}, {"Upload_Length": "-1"}, {"Upload_Length": "x"}, {"Upload_Length": 1, "Upload_Metadata": "a b c"}):
        assert tusask(files, "POST", "/files", **bad).status == 400, bad
    assert tusask(files, "POST", "/files", Upload_Length=65 << 20).status == 413
    assert not leftovers(files)


# Limits and life

def test_quotas(make_server, tmp_path):
    server = make_server(configuration=settings(
        f"  path: {tmp_path}/data\n  maximum: 400KiB\n  quota: 1MiB\n  user_quota: 500KiB\n  uploads: 6\n  user_uploads: 3"))
    anna, berta = mint(sub="anna"), mint(sub="berta")
    assert put(server, "big", b"x" * (401 << 10), token=anna).status == 413
    assert put(server, "big", iter([b"x" * (1 << 16)] * 7), token=anna).status == 413
    assert put(server, "a1", b"x" * (300 << 10), token=anna).status == 201
    answer = put(server, "a2", b"x" * (300 << 10), token=anna)
    assert answer.status == 507 and b"files.user_quota" in answer.body
    assert put(server, "b1", b"x" * (400 << 10), token=berta).status == 201
    answer = put(server, "c1", b"x" * (350 << 10))
    assert answer.status == 507 and b"files.quota" in answer.body
    # What is replaced is given back, and what is removed.
    assert put(server, "a1", b"x" * (100 << 10), token=anna).status == 200
    assert put(server, "a2", b"x" * (300 << 10), token=anna).status == 201
    assert server.api("/files")["bytes"] == 800 << 10
    assert ask(server, "DELETE", "/files/b1", token=berta).status == 204
    for index in range(3):
        assert part(server, f"u{index}", b"x" * 1000, 0, 9, token=anna).status == 202
    assert part(server, "u3", b"x" * 1000, 0, 9, token=anna).status == 429
    for index in range(3, 6):
        assert part(server, f"u{index}", b"x" * 1000, 0, 9, token=berta).status == 202
    assert part(server, "u6", b"x" * 1000, 0, 9).status == 503
    for index in range(6):
        assert ask(server, "DELETE", f"/files/u{index}").status == 204
    assert server.api("/files")["bytes"] == 400 << 10
    stop_server(server)
    again = start_server(tmp_path, "--workers", "1", configuration=settings(f"  path: {tmp_path}/data\n  user_quota: 500KiB"))
    try:
        assert again.api("/files")["bytes"] == 400 << 10
        assert put(again, "a3", b"x" * (200 << 10), token=anna).status == 507
    finally:
        stop_server(again)


def test_an_upload_outlives_kill_9(tmp_path):
    configuration = settings(f"  path: {tmp_path}/data")
    content = random.randbytes(40 << 20)
    server = start_server(tmp_path, "--workers", "2", configuration=configuration)
    assert part(server, "k/ill.bin", content, 0, (1 << 20) - 1, Repr_Digest=digest(content)).status == 202
    assert part(server, "k/ill.bin", content, 30 << 20, (31 << 20) - 1).status == 202
    with socket.create_connection(("127.0.0.1", server.http)) as s:
        s.sendall(f"PUT /files/k/ill.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ROOT_KEY}\r\nContent-Length: {25 << 20}\r\n"
                  f"Content-Range: bytes {1 << 20}-{(26 << 20) - 1}/{len(content)}\r\n\r\n".encode() + content[1 << 20:21 << 20])
        wait_for(lambda: ask(server, "HEAD", "/files/k/ill.bin").headers["Upload-Offset"] == str(21 << 20))
        server.process.kill()
        server.process.wait()
    server = start_server(tmp_path, "--workers", "2", configuration=configuration)
    try:
        head = ask(server, "HEAD", "/files/k/ill.bin")
        offset = int(head.headers["Upload-Offset"])
        # What was acknowledged is there, and of the part that was cut all but the last megabytes.
        assert offset >= 16 << 20 and f"{30 << 20}-{(31 << 20) - 1}" in head.headers["Range"]
        assert part(server, "k/ill.bin", content, offset, (30 << 20) - 1).status == 202
        assert part(server, "k/ill.bin", content, 31 << 20, len(content) - 1).status == 201
        assert ask(server, "GET", "/files/k/ill.bin").body == content
        assert not list((tmp_path / "data").rglob(".*"))
    finally:
        stop_server(server)


def test_unfinished_uploads_expire(make_server, tmp_path):
    server = make_server(configuration=settings(f"  path: {tmp_path}/data\n  expire: 1s"))
    assert part(server, "deep/er/e.bin", b"x" * 100, 0, 9).status == 202
    assert ask(server, "HEAD", "/files/deep/er/e.bin").headers["Upload-Expires"].endswith("GMT")
    wait_for(lambda: ask(server, "HEAD", "/files/deep/er/e.bin").status == 404)
    wait_for(lambda: not list((tmp_path / "data").iterdir()))
    assert server.api("/files")["bytes"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_full_disk(make_server, tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        server = make_server(configuration=settings(f"  path: {mount}/data"))
        content = random.randbytes(6 << 20)
        assert put(server, "full.bin", content).status == 507
        wait_for(lambda: not list((mount / "data").rglob("*")))
        assert part(server, "full.bin", content, 0, (2 << 20) - 1).status == 202
        assert part(server, "full.bin", content, 2 << 20, len(content) - 1).status == 507
        assert int(ask(server, "HEAD", "/files/full.bin").headers["Upload-Offset"]) >= 2 << 20
        assert ask(server, "DELETE", "/files/full.bin").status == 204
        assert put(server, "fits.bin", content[:1 << 20]).status == 201
        stop_server(server)
    finally:
        subprocess.run(["umount", "-l", str(mount)])


def test_slow_and_many_clients_hold_nobody_up(files):
    """Two hundred uploads that crawl; a download and an upload beside them go on at once."""
    content = random.randbytes(1 << 20)
    assert put(files, "beside.bin", content).status in (200, 201)
    sockets = []
    for index in range(200):
        s = socket.create_connection(("127.0.0.1", files.http))
        s.sendall(f"PUT /files/slow{index}.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ROOT_KEY}\r\nContent-Length: 10000\r\n\r\n"
                  .encode() + b"x" * 100)
        sockets.append(s)
    wait_for(lambda: len(leftovers(files)) == 200)
    begin = time.monotonic()
    for _ in range(20):
        assert ask(files, "GET", "/files/beside.bin").body == content
        assert put(files, "beside2.bin", content).status in (200, 201)
    assert time.monotonic() - begin < 20
    for s in sockets:
        s.close()
    wait_for(lambda: not leftovers(files))
    assert files.running and files.resident < 400_000


def test_a_token_that_ends_ends_the_upload(files):
    with socket.create_connection(("127.0.0.1", files.http)) as s:
        s.sendall(f"PUT /files/ends.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {mint(seconds=2)}\r\nContent-Length: 10000\r\n\r\n"
                  .encode() + b"x" * 100)
        s.settimeout(10)
        assert s.recv(1000).startswith(b"HTTP/1.1 403")
    wait_for(lambda: not leftovers(files))


def test_no_files_without_a_folder(make_server):
    server = make_server(configuration=settings("  enabled: false"))
    assert put(server, "x", b"x").status == 404
    assert ask(server, "GET", "/files/x").status == 404
