import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// RFC 8656 from the client's side.
@Suite struct TURNClientTests {
  private let peer = SocketAddress(ip: .v4(0xC000_0207), port: 7000)

  /// A client, its server, and the time.
  private final class Relay {
    var client: TURNClient
    var server = TURNServerDouble()
    var events: [TURNEvent] = []
    var now = Instant.zero

    init(_ transport: TURNConfiguration.Transport = .datagram, password: String = "secret", family: AddressFamily? = nil) {
      var configuration = TURNConfiguration(transport: transport, username: "ann", password: password)
      configuration.family = family
      client = TURNClient(configuration, random: RandomSource(seed: 1))
      client.start(now: now)
    }

    /// Until nothing is left to say.
    func exchange() throws {
      while let bytes = client.pollTransmit() {
        let answer = try server.answer(bytes)
        try client.receive(answer.span.bytes, now: now)
      }
      while let event = client.pollEvent() { events.append(event) }
    }

    func permit(_ ip: IPAddress) -> Bool { client.permit(ip, now: now) }
    func bind(_ peer: SocketAddress) -> Bool { client.bindChannel(to: peer, now: now) }
    func transmit() -> [UInt8]? { client.pollTransmit() }
    func receive(_ bytes: [UInt8]) throws(STUNError) { try client.receive(bytes.span.bytes, now: now) }

    func run(for span: TimeSpan) throws {
      let end = now + span
      while let deadline = client.deadline, deadline <= end {
        now = max(now, deadline)
        client.timeout(now: now)
        try exchange()
      }
      now = end
    }
  }

  // RFC 8656 §7, RFC 8489 §9.2.3.1.
  @Test func `the first request is challenged, the second is granted`() throws {
    let relay = Relay()
    try relay.exchange()
    #expect(relay.events == [.allocated(relayed: TURNServerDouble.relayed, mapped: TURNServerDouble.mapped)])
    let (state, relayed) = (relay.client.state, relay.client.relayedAddress)
    #expect(state == .allocated && relayed == TURNServerDouble.relayed)
    #expect(relay.server.requests.count == 2 && relay.server.requests[0].username == nil)
    #expect(relay.server.requests[1].username == "ann" && relay.server.requests[1].attributes.contains(.requestedTransport(17)))
  }

  // RFC 8489 §9.2.5.
  @Test func `a wrong password is told from a stale nonce`() throws {
    let wrong = Relay(password: "other")
    try wrong.exchange()
    #expect(wrong.events == [.ended(.refused(STUNErrorCode(401)))])
    let stale = Relay()
    try stale.exchange()
    stale.server.nonce = "nonce-2"
    _ = stale.permit(peer.ip)
    try stale.exchange()
    #expect(stale.events.last == .permitted(peer.ip))
  }

  @Test func `a server that always has another nonce is given up`() throws {
    let relay = Relay()
    try relay.exchange()
    _ = relay.permit(peer.ip)
    for turn in 0..<10 {
      guard let bytes = relay.transmit() else { break }
      relay.server.nonce = "nonce-\(turn + 10)"
      let answer = try relay.server.answer(bytes)
      try relay.receive(answer)
    }
    try relay.exchange()
    #expect(relay.events.last == .refused(peer.ip, STUNErrorCode(438)))
    #expect(relay.server.requests.filter { $0.method == .createPermission }.count == 4)
  }

  // RFC 8489 §9.2.1, §9.2.4: bit 0 of the nonce's features protects the list of algorithms.
  @Test func `SHA-256 is used where the server offers it, and its removal on the way is noticed`() throws {
    let relay = Relay()
    relay.server.nonce = "obMatJos2AAADxyz"
    relay.server.algorithms = [.sha256, .md5]
    relay.server.integrity = .sha256
    relay.server.key = STUNKey.longTerm(username: "ann", realm: "example.org", password: "secret", .sha256)
    try relay.exchange()
    let state = relay.client.state
    #expect(state == .allocated)
    let request = try #require(relay.server.requests.last)
    #expect(request.username == nil && request.attributes.contains(.passwordAlgorithm(.sha256)))
    #expect(request.attributes.contains(.userhash(Slice(STUNKey.userhash(username: "ann", realm: "example.org")))))
    let attacked = Relay()
    attacked.server.nonce = "obMatJos2AAADxyz"
    try attacked.exchange()
    #expect(attacked.events == [.ended(.malformedAnswer)])
  }

  // RFC 8656 §8, §9, §12.
  @Test func `allocation, permissions and channels are refreshed before they expire`() throws {
    let relay = Relay()
    try relay.exchange()
    #expect(relay.permit(peer.ip) && relay.bind(peer))
    try relay.exchange()
    #expect(relay.events.suffix(2) == [.permitted(peer.ip), .channelBound(peer)])
    try relay.run(for: .seconds(3600))
    func count(_ method: STUNMethod) -> Int { relay.server.requests.filter { $0.method == method }.count }
    #expect(count(.refresh) == 6 && count(.createPermission) == 16 && count(.channelBind) == 7)
    #expect(relay.events.count == 3)
  }

  // RFC 8489 §6.2.1.
  @Test func `a server that does not answer is given up after 39.5 s`() throws {
    let relay = Relay()
    var sent = 0
    while let deadline = relay.client.deadline {
      while relay.transmit() != nil { sent += 1 }
      relay.now = deadline
      relay.client.timeout(now: relay.now)
    }
    try relay.exchange()
    #expect(sent == 7 && relay.now == .zero + .milliseconds(39_500) && relay.events == [.ended(.noAnswer)])
  }

  // RFC 8656 §7.1, §7.3.
  @Test(arguments: [true, false])
  func `an IPv6 address is asked for, and what the server has is taken`(hasIPv6: Bool) throws {
    let relay = Relay(family: .v6)
    relay.server.hasIPv6 = hasIPv6
    try relay.exchange()
    let asked = relay.server.requests.map { $0.attributes.contains(.requestedAddressFamily(.v6)) }
    #expect(asked == (hasIPv6 ? [true, true] : [true, true, false]))
    #expect(relay.events == [.allocated(relayed: TURNServerDouble.relayed, mapped: TURNServerDouble.mapped)])
  }

  @Test func `a peer that is refused is reported, and the allocation stays`() throws {
    let relay = Relay()
    try relay.exchange()
    relay.server.refusals = [.createPermission: 403, .channelBind: 400]
    _ = relay.permit(peer.ip)
    _ = relay.bind(peer)
    try relay.exchange()
    #expect(relay.events.suffix(2) == [.refused(peer.ip, STUNErrorCode(403, "no")), .refused(peer.ip, STUNErrorCode(400, "no"))])
    let (state, isWrapped) = (relay.client.state, wraps(relay, [1]))
    #expect(state == .allocated && isWrapped == nil)
  }

  private func wraps(_ relay: Relay, _ data: [UInt8]) -> [UInt8]? {
    var output: [UInt8] = []
    return relay.client.wrap(data.span.bytes, to: peer, into: &output) ? output : nil
  }

  // RFC 8656 §11, §12.
  @Test(arguments: [TURNConfiguration.Transport.datagram, .stream])
  func `data goes in indications until a channel is bound`(transport: TURNConfiguration.Transport) throws {
    let relay = Relay(transport)
    try relay.exchange()
    #expect(wraps(relay, [1, 2, 3]) == nil)
    _ = relay.permit(peer.ip)
    try relay.exchange()
    let indication = try #require(wraps(relay, [1, 2, 3]))
    let message = try ReceivedSTUNMessage(parsing: indication.span.bytes).message
    #expect(message.kind == .indication && message.method == .send && message.attributes == [.xorPeerAddress(peer), .data([1, 2, 3])])
    _ = relay.bind(peer)
    try relay.exchange()
    let framed = try #require(wraps(relay, [1, 2, 3]))
    #expect(framed == [0x40, 0, 0, 3, 1, 2, 3] + (transport == .stream ? [0] : []))
    let unwrapped = relay.client.unwrap(framed.span.bytes)
    #expect(unwrapped?.peer == peer && unwrapped.map { Array(framed[$0.data]) } == [1, 2, 3])
    // And back.
    try relay.receive(framed)
    let back = STUNMessage(.indication, .data, TransactionID(high: 0, low: 0), [.xorPeerAddress(peer), .data([9])]).encoded()
    try relay.receive(back)
    try relay.exchange()
    #expect(relay.events.suffix(2) == [.data([1, 2, 3], from: peer), .data([9], from: peer)])
  }

  // RFC 8656 §11.4, §12.6.
  @Test func `data of peers that were not permitted is dropped, and a flood does not fill the memory`() throws {
    let relay = Relay()
    try relay.exchange()
    let stray = STUNMessage(.indication, .data, TransactionID(high: 0, low: 0), [.xorPeerAddress(peer), .data([9])]).encoded()
    #expect(throws: STUNError.unexpected(.indication, .data)) { try relay.receive(stray) }
    try relay.receive([0x40, 0, 0, 1, 9])
    let dropped = relay.client.dropped
    #expect(dropped == 2)
    _ = relay.permit(peer.ip)
    try relay.exchange()
    for _ in 0..<1000 { try relay.receive(stray) }
    try relay.exchange()
    #expect(relay.events.count == 2 + 256)
  }

  // RFC 8489 §9.2.5.
  @Test func `an answer that is not authentic is as if it never came`() throws {
    let relay = Relay()
    try relay.exchange()
    _ = relay.permit(peer.ip)
    let bytes = try #require(relay.transmit())
    let request = try ReceivedSTUNMessage(parsing: bytes.span.bytes).message
    for kind in [STUNClass.success, .error] {
      let forged = STUNMessage(kind, .createPermission, request.transaction, [.errorCode(STUNErrorCode(403))])
      for answer in [forged.encoded(), forged.encoded(key: .shortTerm(password: "x"))] {
        #expect(throws: STUNError.notAuthentic) { try relay.receive(answer) }
      }
    }
    let unknown = STUNMessage(.success, .refresh, TransactionID(high: 9, low: 9)).encoded()
    #expect(throws: STUNError.unknownTransaction) { try relay.receive(unknown) }
    try relay.receive(relay.server.answer(bytes))
    try relay.exchange()
    #expect(relay.events.last == .permitted(peer.ip))
  }

  // RFC 8656 §8.
  @Test func `closing gives the allocation back`() throws {
    let relay = Relay()
    try relay.exchange()
    relay.client.close(now: relay.now)
    let bytes = try #require(relay.transmit())
    let request = try ReceivedSTUNMessage(parsing: bytes.span.bytes).message
    let (event, deadline) = (relay.client.pollEvent(), relay.client.deadline)
    #expect(request.method == .refresh && request.lifetime == 0 && event == .ended(.closed) && deadline == nil)
    #expect(!relay.permit(peer.ip))
  }

  @Test func `too many permissions and channels are refused`() throws {
    let relay = Relay()
    try relay.exchange()
    for index in 0..<64 {
      #expect(relay.permit(.v4(UInt32(index))))
      try relay.exchange()
    }
    #expect(!relay.permit(.v4(1000)))
    for index in 0..<64 { #expect(relay.bind(SocketAddress(ip: .v4(1), port: UInt16(index)))) }
    #expect(!relay.bind(SocketAddress(ip: .v4(1), port: 1000)))
  }
}

extension TURNStreamReader {
  fileprivate mutating func receive(_ bytes: [UInt8], into messages: inout [Slice]) throws(STUNError) {
    try receive(bytes.span.bytes, into: &messages)
  }
}

/// RFC 8656 §12.4, §12.5: messages on a stream.
@Suite struct TURNStreamReaderTests {
  private var stream: [UInt8] {
    var bytes = STUNMessage(.indication, .data, TransactionID(high: 1, low: 1), [.data([1, 2, 3])]).encoded()
    for count in 0..<6 {
      _ = ChannelData.write([UInt8](repeating: 7, count: count).span.bytes, channel: 0x4000, padded: true, into: &bytes)
    }
    return bytes + STUNMessage(.request, .binding, TransactionID(high: 1, low: 1)).encoded()
  }

  @Test func `messages come out whole however the stream is cut`() throws {
    let bytes = stream
    var whole: [Slice] = []
    var reader = TURNStreamReader()
    try reader.receive(bytes.span.bytes, into: &whole)
    #expect(whole.count == 8 && whole.map(\.count) == [36, 4, 5, 6, 7, 8, 9, 28] && reader.heldBytes == 0)
    for size in 1..<40 {
      var (cut, reader) = ([Slice](), TURNStreamReader())
      for start in stride(from: 0, to: bytes.count, by: size) {
        try reader.receive(bytes[start..<min(start + size, bytes.count)].span.bytes, into: &cut)
      }
      #expect(cut == whole)
    }
  }

  @Test func `another protocol or a message that is too long ends the stream`() {
    var (messages, reader) = ([Slice](), TURNStreamReader(limits: STUNLimits(messageBytes: 100)))
    #expect(throws: STUNError.foreignProtocol(firstByte: 22)) { try reader.receive([22, 3, 1], into: &messages) }
    reader = TURNStreamReader(limits: STUNLimits(messageBytes: 100))
    #expect(throws: STUNError.limit("bytes of a message", value: 204, maximum: 100)) {
      try reader.receive([0x40, 0, 0, 200], into: &messages)
    }
    reader = TURNStreamReader()
    #expect(throws: STUNError.wrongLength(announced: 3, actual: 0)) { try reader.receive([0, 1, 0, 3], into: &messages) }
  }
}
