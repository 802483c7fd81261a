import Foundation
import MartletCrypto
import MartletEndpoints
import MartletPrimitives
import MartletSTUN
import MartletServer
import TestSupport
import Testing

/// The TURN server beside HTTP: on its port, and the credentials that it gives.
@Suite(.serialized) struct TURNServiceTests {
  private static let secret = "0123456789abcdef0123456789abcdef"

  private func withTURN(
    _ edit: @escaping (inout ServerConfiguration) -> Void = { _ in }, _ body: (_ server: Server, _ port: UInt16) async throws -> Void
  ) async throws {
    try await withServer(
      { configuration in
        configuration.turn.secrets = [Secret("a shared secret")]
        configuration.listeners.turn = SocketAddress(ip: .v4(127 << 24 | 1), port: 0)
        configuration.auth.tokens = [.init(secret: Secret(Self.secret), actions: [.relay])]
        edit(&configuration)
      }, body)
  }

  private func token(can: JSON = ["do": "relay", "on": "turn"], seconds: Int64 = 600) throws -> String {
    let ends = Int64(Date().timeIntervalSince1970) + seconds
    let key = try JWTSigningKey(secret: Array(Self.secret.utf8))
    return try JWT.sign(["sub": "ann", "jti": "one", "exp": .int(ends), "can": [can]], with: key)
  }

  private func message(_ method: STUNMethod, _ transaction: UInt64, _ attributes: [STUNAttribute] = [], key: STUNKey? = nil) -> [UInt8] {
    STUNMessage(.request, method, TransactionID(high: 1, low: transaction), attributes).encoded(key: key, fingerprint: false)
  }

  /// So many messages, in order.
  private func answers(_ count: Int, from client: RawClient) throws -> [STUNMessage] {
    var (reader, messages) = (TURNStreamReader(), [Slice]())
    while messages.count < count, let part = client.receive() { try reader.receive(part.span.bytes, into: &messages) }
    return try messages.map { message in
      let bytes = message.array
      return try ReceivedSTUNMessage(parsing: bytes.span.bytes).message
    }
  }

  // MARK: The port of HTTP

  @Test func `a connection to the port of HTTP that begins with STUN is the TURN server's, however its bytes come`() async throws {
    try await withTURN { _, port in
      try await blocking {
        let both = message(.binding, 1) + message(.binding, 2)
        for cut in [both.count, 1, 19, 20, 25] {
          let client = try RawClient(port: port)
          client.send(Array(both.prefix(cut)))
          if cut < both.count { usleep(30_000) }
          client.send(Array(both.dropFirst(cut)))
          let found = try answers(2, from: client)
          #expect(found.map(\.kind) == [.success, .success] && found.map(\.transaction.low) == [1, 2])
          #expect(found[0].mappedAddress?.ip == .v4(127 << 24 | 1))
        }
        #expect(try RawClient.request("GET", "/healthz", port: port).status == 200)
      }
    }
  }

  @Test func `what only begins like STUN is closed, and HTTP is HTTP on the same connection to its end`() async throws {
    try await withTURN { _, port in
      try await blocking {
        let nonsense = try RawClient(port: port)
        nonsense.send([0, 1, 0, 3] + Array(repeating: 7, count: 16))
        #expect(nonsense.receiveAll().isEmpty)
        let http = try RawClient(port: port)
        http.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(String(decoding: try #require(http.receive()), as: UTF8.self).hasPrefix("HTTP/1.1 200"))
        http.send(message(.binding, 1))
        #expect(try answers(1, from: http).isEmpty)
      }
    }
  }

  @Test func `the ports stay apart where that is wanted`() async throws {
    try await withTURN({ $0.turn.sharesHTTP = false }) { _, port in
      try await blocking {
        let client = try RawClient(port: port)
        client.send(message(.binding, 1))
        #expect(!client.receiveAll().starts(with: [1, 1]))
      }
    }
  }

  // MARK: Credentials

  @Test func `credentials take the permission to relay, and a secret to make them of`() async throws {
    try await withTURN { _, port in
      try await blocking {
        #expect(try RawClient.request("POST", "/api/v1/turn", port: port).status == 401)
        let other = try token(can: ["do": "play", "on": "**"])
        let refused = try RawClient.request("POST", "/api/v1/turn", port: port, fields: ["Authorization: Bearer \(other)"])
        #expect(refused.status == 403)
      }
    }
    try await withTURN({ $0.turn.secrets = [] }) { _, port in
      try await blocking {
        let answer = try RawClient.request("POST", "/api/v1/turn", port: port, fields: ["Authorization: Bearer \(token())"])
        #expect(answer.status == 404 && answer.body.contains("turn.secrets"))
      }
    }
  }

  @Test func `credentials are in the shape of RTCConfiguration, end with the token, and let in`() async throws {
    try await withTURN { server, port in
      try await blocking {
        let mine = try token(seconds: 100)
        let answer = try RawClient.request("POST", "/api/v1/turn", port: port, fields: ["Authorization: Bearer \(mine)"])
        #expect(answer.status == 200 && answer.head.contains("Cache-Control: no-store"))
        let body = try json(answer.body)
        let given = try #require(body["iceServers"]?[0])
        #expect((90...100).contains(body["ttl"]?.intValue ?? 0))
        let turn = try #require(server.bound.turn?.port)
        let urls: JSON = [.string("turn:127.0.0.1:\(turn)?transport=udp"), .string("turn:127.0.0.1:\(turn)?transport=tcp")]
        #expect(given["urls"] == urls)
        let name = try #require(given["username"]?.stringValue)
        #expect(name.contains(":ann;"))
        #expect(try allocate(port, name, given["credential"]?.stringValue ?? "") == nil)
        _ = try RawClient.request("POST", "/api/v1/auth/revoke", port: port, body: #"{"token_id": "one"}"#)
        #expect(try allocate(port, name, given["credential"]?.stringValue ?? "") == 401)
      }
    }
  }

  @Test func `URLs may be set, and the longest life of credentials`() async throws {
    try await withTURN({
      $0.turn.urls = ["turns:relay.example.org?transport=tcp"]
      $0.turn.credentialLifetime = .seconds(60)
    }) { _, port in
      try await blocking {
        let answer = try RawClient.request("POST", "/api/v1/turn", port: port, fields: ["Authorization: Bearer \(token())"])
        let body = try json(answer.body)
        #expect(body["iceServers"]?[0]?["urls"] == ["turns:relay.example.org?transport=tcp"] && body["ttl"] == 60)
      }
    }
  }

  /// The code that an Allocate over the port of HTTP is refused with; `nil` when it is not.
  private func allocate(_ port: UInt16, _ name: String, _ password: String) throws -> Int? {
    let client = try RawClient(port: port)
    client.send(message(.allocate, 1, [.requestedTransport(17)]))
    let challenge = try #require(try answers(1, from: client).first)
    let realm = try #require(challenge.realm)
    let proof: [STUNAttribute] = [.username(name), .realm(realm), .nonce(challenge.nonce ?? "")]
    let key = STUNKey.longTerm(username: name, realm: realm, password: password)
    client.send(message(.allocate, 2, [.requestedTransport(17)] + proof, key: key))
    let answer = try #require(try answers(1, from: client).first)
    return answer.kind == .success ? nil : answer.errorCode?.code ?? 0
  }
}
