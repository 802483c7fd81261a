import Foundation
import MartletCrypto
import MartletEndpoints
import MartletMedia
import MartletPrimitives
import MartletServer
import MartletWeb
import TestSupport
import Testing

@Suite(.serialized) struct LiveServerTests {
  @Test func `a server of several workers shares the port that the kernel chose`() async throws {
    try await withServer { server, port in
      #expect(port > 0)
      let answers = try await blocking { try (0..<20).map { _ in try RawClient.request("GET", "/healthz", port: port).status } }
      #expect(answers.allSatisfy { $0 == 200 })
      let answer1 = try await blocking { try RawClient.request("GET", "/readyz", port: port).body }
      #expect(answer1 == "ready\n")
    }
  }

  @Test func `a published stream is shown with its tracks, its viewers and its publisher`() async throws {
    try await withServer { _, port in
      let stream = try await blocking { () -> JSON in
        let publisher = try publish(port: port)
        _ = try waitForStream(port: port)
        let viewer = try RawClient(port: port)
        viewer.send("GET /live/cam.flv HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = viewer.receive()
        let stream = try waitForStream(port: port)
        let clients = try json(RawClient.request("GET", "/api/v1/clients", port: port).body)
        #expect(clients["total"] == 2)
        let kinds = clients["clients"]?.arrayValue?.compactMap { $0["role"]?.stringValue } ?? []
        #expect(Set(kinds) == ["publisher", "viewer"])
        withExtendedLifetime((publisher, viewer)) {}
        return stream
      }
      #expect(stream["tracks"]?[0]?["codec"] == "H264" && stream["tracks"]?[1]?["codec"] == "AAC")
      #expect(stream["viewers"]?["by_transport"]?["http-flv"] == 1 && stream["viewers"]?["total"] == 1)
      #expect(stream["publisher"]?["transport"] == "http-flv" && stream["live"] == true)
    }
  }

  @Test func `deleting a stream closes its publisher, deleting a client closes that one`() async throws {
    try await withServer { _, port in
      try await blocking {
        let publisher = try publish(port: port)
        _ = try waitForStream(port: port)
        let viewer = try RawClient(port: port)
        viewer.send("GET /live/cam.flv HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = viewer.receive()
        _ = try RawClient.request("POST", "/channels/chat/a", port: port, body: "hello")
        let clients = try json(RawClient.request("GET", "/api/v1/clients", port: port).body)["clients"]?.arrayValue ?? []
        let id = clients.first { $0["role"] == "viewer" }?["id"]?.stringValue ?? "?"
        #expect(try RawClient.request("DELETE", "/api/v1/clients/\(id)", port: port).status == 204)
        _ = viewer.receiveAll()
        #expect(try RawClient.request("DELETE", "/api/v1/clients/\(id)", port: port).status == 404)
        #expect(try RawClient.request("DELETE", "/api/v1/streams/live/cam", port: port).status == 204)
        #expect(String(decoding: publisher.receiveAll(), as: UTF8.self).contains("409"))
        #expect(try RawClient.request("DELETE", "/api/v1/streams/live/cam", port: port).status == 404)
        #expect(try RawClient.request("DELETE", "/api/v1/streams/one", port: port).status == 400)
      }
    }
  }

  // DESIGN §3 "Permissions": loopback only, by a literal Host, without proxies, from no other site's page.
  @Test func `administration without a token is for this machine alone`() async throws {
    try await withServer { _, port in
      let statuses = try await blocking { () -> [Int] in
        let attempts: [[String]] = [
          [], ["Host: localhost:\(port)"], ["Host: [::1]:\(port)"], ["Origin: http://127.0.0.1:\(port)"],
          ["Host: example.org"], ["Host: 127.0.0.1.example.org"], ["X-Forwarded-For: 127.0.0.1"], ["Forwarded: for=127.0.0.1"],
          ["X-Forwarded-Host: localhost"], ["Origin: http://example.org"], ["Origin: null"], ["Origin: https://127.0.0.1:\(port)"],
          ["Sec-Fetch-Site: cross-site"],
        ]
        return try attempts.map { try RawClient.request("GET", "/api/v1/server", port: port, fields: $0).status }
      }
      #expect(statuses == [200, 200, 200, 200, 401, 401, 401, 401, 401, 401, 401, 401, 401])
      let answer2 = try await blocking { try RawClient.request("GET", "/metrics", port: port, fields: ["Host: example.org"]).status }
      #expect(answer2 == 401)
    }
  }

  @Test func `the first administrator's token is kept for its owner alone and opens the API from elsewhere`() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UInt32.random(in: 0 ... .max))").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for _ in 0..<2 {
      try await withServer({ $0.state = folder }) { _, port in
        let token = try String(contentsOfFile: folder + "/admin-token", encoding: .utf8).filter { !$0.isWhitespace }
        #expect(try FileManager.default.attributesOfItem(atPath: folder + "/admin-token")[.posixPermissions] as? Int == 0o600)
        let (right, wrong) = try await blocking {
          let fields = { (token: String) in ["Host: example.org", "Authorization: Bearer \(token)"] }
          return (
            try RawClient.request("GET", "/api/v1/server", port: port, fields: fields(token)).status,
            try RawClient.request("GET", "/api/v1/server", port: port, fields: fields("A" + token.dropFirst())).status
          )
        }
        #expect(right == 200)
        #expect(wrong == 403 || token.hasPrefix("A"))
      }
    }
  }

  @Test func `revoking a user closes the sessions of its tokens, and refuses them from then on`() async throws {
    let secret = "0123456789abcdef0123456789abcdef"
    let seconds = Int64(Date().timeIntervalSince1970)
    let token = try JWT.sign(
      ["sub": "ann", "jti": "t1", "iat": .int(seconds - 10), "exp": .int(seconds + 600), "can": [["do": "publish", "on": "live/*"]]],
      with: JWTSigningKey(secret: Array(secret.utf8)))
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UInt32.random(in: 0 ... .max))").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let edit: (inout ServerConfiguration) -> Void = {
      $0.auth.tokens = [.init(secret: Secret(secret), actions: [.publish])]
      $0.state = folder
    }
    try await withServer(edit) { _, port in
      try await blocking {
        let refused = try RawClient.request("POST", "/live/cam.flv", port: port, body: "FLV")
        #expect(refused.status == 401 && refused.body.contains("auth.jwt"))
        let publisher = try publish(port: port, query: "?token=\(token)")
        #expect(try waitForStream(port: port)["publisher"]?["user"] == "ann")
        let started = Date()
        let answer = try RawClient.request("POST", "/api/v1/auth/revoke", port: port, body: #"{"user": "ann"}"#)
        #expect(answer.body == #"{"closed":1}"#)
        _ = publisher.receiveAll()
        #expect(Date().timeIntervalSince(started) < 1)
        let again = try RawClient.request("POST", "/live/cam.flv?token=\(token)", port: port, body: "FLV")
        #expect(again.status == 403 && again.body.contains("revoked"))
        #expect(try RawClient.request("POST", "/api/v1/auth/revoke", port: port, body: "{}").status == 400)
        #expect(try RawClient.request("POST", "/api/v1/auth/revoke", port: port, body: "{").status == 400)
        for _ in 0..<100 where !FileManager.default.fileExists(atPath: folder + "/revocations.json") { usleep(10_000) }
      }
    }
    try await withServer(edit) { _, port in
      let answer = try await blocking { try RawClient.request("POST", "/live/cam.flv?token=\(token)", port: port, body: "FLV") }
      #expect(answer.status == 403 && answer.body.contains("revoked"), "after a restart")
    }
  }

  @Test func `every operation answers what the OpenAPI document says`() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UInt64.random(in: 0...UInt64.max))")
    try FileManager.default.createDirectory(at: folder.appendingPathComponent("chat"), withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data("a file".utf8).write(to: folder.appendingPathComponent("chat/a"))
    try await withServer {
      $0.files.path = folder.path
    } _: { _, port in
      try await blocking {
        _ = try RawClient.request("POST", "/channels/chat/a", port: port, body: "hello")
        _ = try RawClient.request("POST", "/rooms/lobby", port: port, body: #"{"do": "join"}"#)
        let publisher = try publish(port: port)
        _ = try waitForStream(port: port)
        let viewer = try RawClient(port: port)
        viewer.send("GET /live/cam.flv HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n")
        _ = viewer.receive()
        let clients = try json(RawClient.request("GET", "/api/v1/clients", port: port).body)["clients"]?.arrayValue ?? []
        let id = clients.first { $0["role"] == "viewer" }?["id"]?.stringValue ?? "?"
        let document = try json(RawClient.request("GET", "/api/openapi.json", port: port).body)
        let operations = (document["paths"]?.objectValue?.members ?? []).flatMap { path in
          (path.value.objectValue?.members ?? []).map { (path: path.name, method: $0.name.uppercased(), operation: $0.value) }
        }
        #expect(operations.count >= 7)
        // What deletes comes last.
        for (path, method, operation) in operations.sorted(by: { $0.method == "GET" && $1.method != "GET" }) {
          // To have an allocation takes a TURN client, to get credentials for one a permission: tests with those try both.
          if path.contains("{allocation}") || path == "/api/v1/turn" { continue }
          let url = path.replacingOccurrences(of: "{path}", with: "live/cam").replacingOccurrences(of: "{id}", with: id)
            .replacingOccurrences(of: "{name}", with: "chat/a").replacingOccurrences(of: "{room}", with: "lobby")
          let body =
            switch (path, operation["requestBody"]) {
            case (_, nil): ""
            case ("/api/v1/rooms/{room}", _) where method != "POST": #"{"capacity": 7}"#
            case ("/api/v1/publish", _): #"{"messages": [{"channel": "a", "data": [1]}]}"#
            case ("/api/v1/rooms/{room}", _): #"{"do": "lock"}"#
            default: #"{"user": "nobody"}"#
            }
          let answer = try RawClient.request(method, url, port: port, body: body)
          guard let response = operation["responses"]?["\(answer.status)"] else {
            Issue.record("\(method) \(url) answered \(answer.status), which is not described: \(answer.body)")
            continue
          }
          guard let schema = response["content"]?["application/json"]?["schema"] else {
            #expect(answer.body.isEmpty, "\(method) \(url)")
            continue
          }
          #expect(SchemaCheck.problems(try json(answer.body), schema) == [], "\(method) \(url)")
        }
        withExtendedLifetime(publisher) {}
      }
    }
  }

  @Test func `the server names its listeners with the ports that the kernel chose`() async throws {
    try await withServer { server, port in
      let rtmp = server.bound.rtmp?.port ?? 0
      try await blocking {
        let listeners = try json(RawClient.request("GET", "/api/v1/server", port: port).body)["listeners"]?.arrayValue ?? []
        #expect(listeners.map { $0["protocol"]?.stringValue } == ["http", "rtmp"])
        #expect(listeners.map { $0["port"]?.intValue } == [Int64(port), Int64(rtmp)])
        #expect(listeners.allSatisfy { $0["address"] == "127.0.0.1" })
      }
    }
  }

  @Test func `errors have the form that the document gives them`() async throws {
    try await withServer { _, port in
      try await blocking {
        let document = try json(RawClient.request("GET", "/api/openapi.json", port: port).body)
        let schema = document["components"]?["schemas"]?["Error"] ?? .null
        for (method, path) in [
          ("GET", "/api/v1/streams/no/body"), ("DELETE", "/api/v1/clients/none"), ("PUT", "/api/v1/server"), ("GET", "/api/v1/x"),
        ] {
          let answer = try RawClient.request(method, path, port: port)
          #expect(answer.status >= 400)
          #expect(SchemaCheck.problems(try json(answer.body), schema) == [], "\(method) \(path)")
        }
      }
    }
  }

  @Test func `the metrics are in Prometheus' text format and add the workers up`() async throws {
    try await withServer { _, port in
      try await blocking {
        let publisher = try publish(port: port)
        _ = try waitForStream(port: port)
        let text = try RawClient.request("GET", "/metrics", port: port).body
        var named: Set<Substring> = []
        for line in text.split(separator: "\n") {
          if line.hasPrefix("# TYPE ") { named.insert(line.split(separator: " ")[2]) }
          guard !line.hasPrefix("#") else { continue }
          let name = line.prefix { $0 != "{" && $0 != " " }
          #expect(named.contains(name), "\(line)")
          #expect(line.split(separator: " ").last.flatMap { Double($0) } != nil, "\(line)")
        }
        #expect(text.contains("\nmartlet_streams 1\n") && text.contains("martlet_publishers{transport=\"http-flv\"} 1"))
        withExtendedLifetime(publisher) {}
      }
    }
  }

  @Test func `a reload changes who may while the server runs`() async throws {
    try await withServer { server, port in
      let attempt: @Sendable () throws -> Int = { try RawClient.request("GET", "/live/nobody.flv", port: port).status }
      let answer3 = try await blocking(attempt)
      #expect(answer3 == 404)
      var wanted = server.configuration
      wanted.auth.keys = [.init(key: Secret("open-sesame"), actions: [.play], on: [.everything])]
      wanted.workers = 7
      let change = await server.reload(wanted)
      #expect(change.applied == ["auth.keys"] && change.needRestart == ["workers"])
      let answer4 = try await blocking(attempt)
      #expect(answer4 == 401)
      let answer5 = try await blocking { try RawClient.request("GET", "/live/nobody.flv?key=open-sesame", port: port).status }
      #expect(answer5 == 404)
    }
  }

  @Test func `a trusted proxy speaks for its client, a stranger for himself`() async throws {
    let rule = AuthConfiguration.AddressRule(actions: [.play], from: AddressRange("203.0.113.0/24").map { [$0] } ?? [])
    for (proxies, expected) in [(["127.0.0.1/32"], 403), ([], 404)] {
      try await withServer {
        $0.auth.deny = [rule]
        $0.http.trustedProxies = proxies.compactMap(AddressRange.init)
      } _: { _, port in
        let fields = ["X-Forwarded-For: 10.1.1.1, 203.0.113.9"]
        let answer6 = try await blocking { try RawClient.request("GET", "/live/x.flv", port: port, fields: fields).status }
        #expect(answer6 == expected)
      }
    }
  }

  @Test func `plain HTTP is redirected when that is wanted`() async throws {
    try await withServer {
      $0.redirectsToHTTPS = true
      $0.listeners.https = SocketAddress("127.0.0.1:0")
    } _: { server, port in
      let secure = server.bound.https?.port ?? 0
      #expect(secure > 0)
      let answer = try await blocking { try RawClient.request("GET", "/a/b?c=d", port: port, fields: ["Host: example.org:80"]) }
      #expect(answer.status == 308 && answer.head.contains("https://example.org:\(secure)/a/b?c=d"))
      let answer7 = try await blocking { try RawClient.request("GET", "/healthz", port: port).status }
      #expect(answer7 == 200)
    }
  }

  @Test func `an address that cannot be had is an error with the setting that would change it`() async throws {
    func failure(_ address: SocketAddress?) async -> String {
      var configuration = ServerConfiguration()
      configuration.listeners = .init(http: address, https: nil, rtmp: nil, rtmps: nil)
      do {
        await (try Server(configuration, log: .silent)).drain()
        return ""
      } catch { return "\(error)" }
    }
    try await withServer { _, port in
      let taken = await failure(SocketAddress("127.0.0.1:\(port)"))
      #expect(taken.contains("another program has the port") && taken.contains("--http"))
      let foreign = await failure(SocketAddress("192.0.2.1:8080"))
      #expect(foreign.contains("none of this machine's") && foreign.contains("listeners.http"))
    }
  }
}
