import MartletCrypto
import MartletPrimitives
import TestSupport
import Testing

/// RFC 6347 §4.2.1.
@Suite struct DTLSListenerTests {
  private let client = SocketAddress(ip: .v4(0xC000_0201), port: 7000)
  private let server: TLSContext
  private let trusting: TLSContext
  private let listener: DTLSListener
  /// With it a ClientHello fills two short datagrams.
  private static let longName = String(repeating: "a-long-label-of-some-host.", count: 7) + "example"

  init() throws {
    // The certificate is checked against the machine's clock by OpenSSL, so it is valid from long ago for long.
    let issued = try Certificate.selfSigned(
      names: ["localhost", Self.longName], days: 36_500, now: WallTime(milliseconds: 1_577_836_800_000))
    server = try TLSContext.datagramServer([
      .init(certificateChainPEM: issued.certificatePEM, privateKeyPEM: issued.privateKeyPEM)
    ])
    trusting = try TLSContext.datagramClient(.pem(issued.certificatePEM))
    listener = try DTLSListener(server, key: Array(repeating: 7, count: 32))
  }

  private func listen(_ datagram: [UInt8], from: SocketAddress, at: TimeSpan = .zero) throws -> (engine: DTLSEngine?, answer: [[UInt8]]) {
    var answer = DatagramBatch()
    let engine = try listener.receive(datagram.span.bytes, from: from, now: .zero + at, answer: &answer)
    return (engine, (0..<answer.count).map { Array(copying: answer[$0]) })
  }

  private func output(_ engine: DTLSEngine) -> [[UInt8]] {
    var batch = DatagramBatch()
    engine.takeOutput(into: &batch)
    return (0..<batch.count).map { Array(copying: batch[$0]) }
  }

  @discardableResult private func give(_ datagrams: [[UInt8]], to engine: DTLSEngine) -> [[UInt8]] {
    var records = DatagramBatch()
    for datagram in datagrams { engine.receive(datagram.span.bytes, into: &records) }
    return (0..<records.count).map { Array(copying: records[$0]) }
  }

  /// The ClientHello with its cookie.
  private func secondHello(_ peer: DTLSEngine) throws -> [UInt8] {
    peer.start()
    let first = try #require(output(peer).first)
    let (engine, answer) = try listen(first, from: client)
    #expect(engine == nil && answer.count == 1)
    give(answer, to: peer)
    return try #require(output(peer).first)
  }

  @Test func `a client that shows its cookie is connected, and data goes both ways`() throws {
    let peer = try DTLSEngine(client: trusting, serverName: "localhost")
    let engine = try #require(try listen(secondHello(peer), from: client).engine)
    while peer.hasOutput || engine.hasOutput {
      give(output(engine), to: peer)
      give(output(peer), to: engine)
    }
    #expect(peer.state == .connected && engine.state == .connected)
    let (question, reply): ([UInt8], [UInt8]) = ([1, 2, 3], [4, 5])
    #expect(peer.send(question.span.bytes) && engine.send(reply.span.bytes))
    #expect(give(output(peer), to: engine) == [question] && give(output(engine), to: peer) == [reply])
    engine.close()
    give(output(engine), to: peer)
    #expect(peer.state == .closed)
  }

  // RFC 6347 §4.2.3: a ClientHello may be longer than a datagram.
  @Test func `a ClientHello in fragments is answered at its first, and put together by the engine`() throws {
    let peer = try DTLSEngine(client: trusting, serverName: Self.longName, mtu: 300)
    peer.start()
    let first = output(peer)
    try #require(first.count > 1)
    for (index, fragment) in first.enumerated() {
      let (engine, answer) = try listen(fragment, from: client)
      #expect(engine == nil && answer.count == (index == 0 ? 1 : 0))
      if index == 0 { #expect(answer[0].count < fragment.count) }
      give(answer, to: peer)
    }
    let second = output(peer)
    try #require(second.count > 1)
    for fragment in second.dropFirst() { #expect(try listen(fragment, from: client).engine == nil) }
    let engine = try #require(try listen(second[0], from: client).engine)
    #expect(!engine.hasOutput)
    // In whatever order they come.
    give(second.dropFirst().reversed(), to: engine)
    while peer.hasOutput || engine.hasOutput {
      give(output(engine), to: peer)
      give(output(peer), to: engine)
    }
    #expect(peer.state == .connected && engine.state == .connected)
  }

  @Test func `the first answer is shorter than the question, and nothing is kept of it`() throws {
    for _ in 0..<20 {
      let peer = try DTLSEngine(client: trusting, serverName: "localhost")
      peer.start()
      let hello = try #require(output(peer).first)
      let answer = try listen(hello, from: client).answer
      #expect(answer.count == 1 && answer[0].count < hello.count)
    }
  }

  @Test func `a cookie is of one address, and of some time`() throws {
    let hello = try secondHello(DTLSEngine(client: trusting, serverName: "localhost"))
    #expect(try listen(hello, from: SocketAddress(ip: client.ip, port: 7001)).engine == nil)
    #expect(try listen(hello, from: client, at: .seconds(120)).engine == nil)
    #expect(try listen(hello, from: client, at: .seconds(119)).engine != nil)
  }

  @Test func `a client refuses a certificate of another name, and one that nobody vouches for`() throws {
    for peer in [
      try DTLSEngine(client: trusting, serverName: "example.org"), try DTLSEngine(client: .datagramClient(), serverName: "localhost"),
    ] {
      let engine = try #require(try listen(secondHello(peer), from: client).engine)
      give(output(engine), to: peer)
      guard case .failed(let error) = peer.state else {
        Issue.record("accepted: \(peer.state)")
        continue
      }
      #expect(error.kind == .untrustedPeer && !peer.send([1].span.bytes))
    }
    // Who knows why may.
    let careless = try DTLSEngine(client: .datagramClient(.insecure), serverName: "example.org")
    let engine = try #require(try listen(secondHello(careless), from: client).engine)
    give(output(engine), to: careless)
    #expect(careless.state == .handshaking)
  }

  @Test func `what is no whole ClientHello makes no association, and the next one still does`() throws {
    let hello = try secondHello(DTLSEngine(client: trusting, serverName: "localhost"))
    for count in 0..<hello.count { #expect(try listen(Array(hello.prefix(count)), from: client).engine == nil) }
    var random = RandomSource(seed: 1)
    for _ in 0..<500 {
      var bytes = hello
      bytes[Int.random(in: 0..<hello.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      _ = try listen(bytes, from: SocketAddress(ip: client.ip, port: 9))
      #expect(try listen(random.bytes(60), from: client).engine == nil)
    }
    #expect(try listen(hello, from: client).engine != nil)
  }
}
