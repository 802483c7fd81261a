import MartletCrypto
import MartletPrimitives
import TestSupport
import Testing

/// A server and a client that talk in memory, a few bytes at a time.
struct TLSPair {
  let server: TLSEngine
  let client: TLSEngine
  var atServer: [UInt8] = []
  var atClient: [UInt8] = []

  init(_ server: TLSContext, _ client: TLSContext, name: String = "localhost") throws {
    self.server = try TLSEngine(server)
    self.client = try TLSEngine(client, serverName: name)
    try self.client.start()
  }

  /// Carries bytes both ways, in pieces of `step`, until both are silent.
  mutating func run(step: Int = .max) throws {
    while client.hasOutput || server.hasOutput {
      try Self.carry(client.takeOutput(), to: server, &atServer, step)
      try Self.carry(server.takeOutput(), to: client, &atClient, step)
    }
  }

  static func carry(_ bytes: [UInt8], to engine: TLSEngine, _ plaintext: inout [UInt8], _ step: Int) throws {
    var offset = 0
    while offset < bytes.count {
      let end = step == .max ? bytes.count : min(bytes.count, offset + step)
      try engine.receive(bytes.span.bytes.extracting(offset..<end), into: &plaintext)
      offset = end
    }
  }
}

@Suite struct TLSEngineTests {
  static let now = WallTime(milliseconds: 1_795_000_000_000)
  // The certificate is checked against the machine's clock by OpenSSL, so it is valid from long ago for long.
  static let wide = WallTime(milliseconds: 1_577_836_800_000)

  static func identity(_ names: [String], addresses: [String] = []) throws -> TLSContext.Identity {
    let issued = try Certificate.selfSigned(names: names, addresses: addresses, days: 36500, now: wide)
    return .init(certificateChainPEM: issued.certificatePEM, privateKeyPEM: issued.privateKeyPEM)
  }

  func failure(_ body: () throws -> Void) -> TLSError? {
    do {
      try body()
      return nil
    } catch { return error as? TLSError }
  }

  @Test(arguments: [1, 2, 3, 7, 100, Int.max])
  func `handshake, data and close pass in every cut`(step: Int) throws {
    let identity = try Self.identity(["localhost"])
    var pair = try TLSPair(
      .server([identity], alpn: ["h2", "http/1.1"]), .client(.pem(identity.certificateChainPEM), alpn: ["http/1.1", "h2"]))
    try pair.run(step: step)
    #expect(pair.server.isEstablished && pair.client.isEstablished)
    #expect(
      pair.server.alpn == "h2" && pair.client.alpn == "h2" && pair.server.serverName == "localhost" && pair.client.version == "TLSv1.3")
    let payload = (0..<40_000).map { UInt8(truncatingIfNeeded: $0) }
    try pair.client.send(payload.span.bytes)
    let answer: [UInt8] = [1, 2, 3]
    try pair.server.send(answer.span.bytes)
    try pair.run(step: step)
    #expect(pair.atServer == payload && pair.atClient == answer)
    pair.client.closeNotify()
    try pair.run(step: step)
    #expect(pair.server.peerClosed && !pair.client.peerClosed)
    pair.server.closeNotify()
    try pair.run(step: step)
    #expect(pair.client.peerClosed && failure { try pair.client.send([1].span.bytes) }?.kind == .notOpen)
  }

  @Test func `a certificate for another name is refused by the client and told to the server`() throws {
    let identity = try Self.identity(["localhost"], addresses: ["127.0.0.1", "::1"])
    let server = try TLSContext.server([identity])
    let client = try TLSContext.client(.pem(identity.certificateChainPEM))
    var wrong = try TLSPair(server, client, name: "example.org")
    let error = failure { try wrong.run() }
    #expect(error?.kind == .untrustedPeer && error?.reason.contains("hostname mismatch") == true)
    var address = try TLSPair(server, client, name: "127.0.0.1")
    try address.run()
    #expect(address.client.isEstablished && address.server.serverName == nil)
    var other = try TLSPair(server, client, name: "127.0.0.2")
    #expect(failure { try other.run() }?.kind == .untrustedPeer)
    var unknown = try TLSPair(server, .client(.system))
    #expect(failure { try unknown.run() }?.kind == .untrustedPeer)
    var insecure = try TLSPair(server, .client(.insecure), name: "example.org")
    try insecure.run()
    #expect(insecure.client.isEstablished)
  }

  @Test func `the client's refusal reaches the server as an alert`() throws {
    let pair = try TLSPair(.server([Self.identity(["localhost"])]), .client(.system))
    var (a, b): ([UInt8], [UInt8]) = ([], [])
    try TLSPair.carry(pair.client.takeOutput(), to: pair.server, &a, .max)
    #expect(failure { try TLSPair.carry(pair.server.takeOutput(), to: pair.client, &b, .max) } != nil)
    #expect(pair.client.hasOutput)
    let told = failure { try TLSPair.carry(pair.client.takeOutput(), to: pair.server, &a, .max) }
    #expect(told?.kind == .failure && told?.reason.contains("alert") == true)
    #expect(failure { try pair.server.receive([1].span.bytes, into: &a) } == told)
  }

  @Test func `the certificate follows the name asked for`() throws {
    let (first, second, wild) = (try Self.identity(["a.example"]), try Self.identity(["b.example"]), try Self.identity(["*.c.example"]))
    let server = try TLSContext.server([first, second, wild], alpn: ["http/1.1"])
    for (name, identity) in [("a.example", first), ("b.example", second), ("x.c.example", wild)] {
      var pair = try TLSPair(server, .client(.pem(identity.certificateChainPEM), alpn: ["http/1.1"]), name: name)
      try pair.run()
      #expect(pair.client.isEstablished && pair.client.alpn == "http/1.1")
    }
    var fallback = try TLSPair(server, .client(.insecure, alpn: ["http/1.1"]), name: "zzz.example")
    try fallback.run()
    #expect(fallback.client.isEstablished)
  }

  // RFC 7301 §3.2.
  @Test func `without a common protocol the handshake fails`() throws {
    var pair = try TLSPair(.server([Self.identity(["localhost"])], alpn: ["h2"]), .client(.insecure, alpn: ["spdy/1"]))
    #expect(failure { try pair.run() }?.kind == .failure)
  }

  @Test func `plain HTTP on a TLS port is recognised, and so is noise`() throws {
    let context = try TLSContext.server([Self.identity(["localhost"])])
    var plaintext: [UInt8] = []
    for text in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n"] {
      let engine = try TLSEngine(context)
      #expect(failure { try engine.receive(Array(text.utf8).span.bytes, into: &plaintext) }?.kind == .plainHTTP)
    }
    let engine = try TLSEngine(context)
    #expect(failure { try engine.receive([UInt8](repeating: 3, count: 2000).span.bytes, into: &plaintext) }?.kind == .notTLS)
    #expect(plaintext.isEmpty)
  }

  @Test func `a changed byte of a record is an error and not plaintext`() throws {
    var pair = try TLSPair(.server([Self.identity(["localhost"])]), .client(.insecure))
    try pair.run()
    try pair.client.send([1, 2, 3].span.bytes)
    var wire = pair.client.takeOutput()
    wire[wire.count - 1] ^= 1
    #expect(failure { try TLSPair.carry(wire, to: pair.server, &pair.atServer, .max) } != nil && pair.atServer.isEmpty)
  }

  @Test func `random bytes and damaged handshakes never trap`() throws {
    var random = SeededRandom(seed: 2)
    let server = try TLSContext.server([Self.identity(["localhost"])])
    let client = try TLSContext.client(.insecure)
    for round in 0..<300 {
      let (engine, peer) = (try TLSEngine(server), try TLSEngine(client, serverName: "localhost"))
      try peer.start()
      var bytes = peer.takeOutput()
      for _ in 0..<(1 + round % 5) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      var plaintext: [UInt8] = []
      try? engine.receive(bytes.span.bytes, into: &plaintext)
      #expect(plaintext.isEmpty)
    }
  }

  @Test func `bad configuration says what is wrong`() throws {
    let (a, b) = (try Self.identity(["a"]), try Self.identity(["b"]))
    for (identity, word) in [
      (TLSContext.Identity(certificateChainPEM: [], privateKeyPEM: a.privateKeyPEM), "certificate"),
      (.init(certificateChainPEM: a.certificateChainPEM, privateKeyPEM: []), "private key"),
      (.init(certificateChainPEM: a.certificateChainPEM, privateKeyPEM: b.privateKeyPEM), "does not belong"),
    ] {
      let error = failure { _ = try TLSContext.server([identity]) }
      #expect(error?.kind == .configuration && error?.reason.contains(word) == true)
    }
    #expect(failure { _ = try TLSContext.client(.pem([1])) } != nil && failure { _ = try TLSContext.server([]) } != nil)
  }

  @Test func `a development certificate knows its names, its end and its fingerprint`() throws {
    let issued = try Certificate.selfSigned(names: ["localhost", "*.local"], addresses: ["127.0.0.1", "::1"], days: 10, now: Self.now)
    #expect(Certificate.expiry(ofPEM: issued.certificatePEM) == WallTime(milliseconds: Self.now.milliseconds + 10 * 86_400_000))
    #expect(Certificate.fingerprint(ofPEM: issued.certificatePEM)?.count == 32 && Certificate.fingerprint(ofPEM: [1, 2]) == nil)
    #expect(String(decoding: issued.privateKeyPEM, as: UTF8.self).contains("PRIVATE KEY"))
    for bad in ["a,DNS:evil", "", "a b", "é", String(repeating: "a", count: 300)] {
      #expect(failure { _ = try Certificate.selfSigned(names: [bad], now: Self.now) } != nil)
    }
    #expect(failure { _ = try Certificate.selfSigned(names: [], addresses: ["localhost"], now: Self.now) } != nil)
  }
}
