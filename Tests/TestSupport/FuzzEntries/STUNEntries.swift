import MartletPrimitives
import MartletSTUN

/// STUN messages, and the two kinds of message on a stream from a TURN server.
extension FuzzEntry {
  static let stun = [stunMessage, turnStream, turnClient, turnServer, turnCredentials, natDiscovery]

  private static let transaction = TransactionID(high: 0xB7E7_A701, low: 0xBC34_D686_FA87_DFAE)
  private static let key = STUNKey.shortTerm(password: "VOkJxbRl1RmTxUk/WvJxBt")
  private static let peer = SocketAddress(ip: .v4(0xC000_0207), port: 7000)

  private static let stunMessage = FuzzEntry(
    "stun-message",
    seeds: [
      STUNMessage(
        .request, .binding, transaction, [.username("abcd:efgh"), .priority(1), .iceControlling(tieBreaker: 1), .useCandidate]
      ).encoded(key: key),
      STUNMessage(
        .error, .allocate, transaction,
        [.errorCode(STUNErrorCode(401, "no")), .realm("r"), .nonce("n"), .passwordAlgorithms([.md5, .sha256]), .unknownAttributes([1])]
      ).encoded(key: key, integrity: .sha256, fingerprint: false),
      STUNMessage(
        .indication, .data, transaction,
        [.xorPeerAddress(peer), .data([1, 2, 3]), .icmp(type: 3, code: 1, data: 0), .addressErrorCode(.v6, STUNErrorCode(440))]
      ).encoded(fingerprint: false),
    ]
  ) { bytes in
    let span = bytes.span.bytes
    if let name = STUN.username(in: span) { require(name.upperBound <= bytes.count, "a user name outside the message") }
    if let name = STUN.localFragment(in: span) { require(name.upperBound < bytes.count, "a fragment outside the message") }
    guard let received = try? ReceivedSTUNMessage(parsing: span) else { return }
    require(received.message.attributes.count <= STUNLimits().attributes, "more attributes than the limit")
    _ = received.isAuthentic(span, key)
    // Text that was repaired may have grown beyond what the length field of a message can say.
    guard bytes.count < 8192 else { return }
    let written = received.message.encoded(key: key)
    var limits = STUNLimits()
    limits.attributes += 2
    guard let again = try? ReceivedSTUNMessage(parsing: written.span.bytes, limits: limits) else {
      // Repaired text may also have grown beyond the limit of its attribute.
      return require(bytes.contains { $0 > 127 }, "a message that cannot be read back")
    }
    require(again.message == received.message, "a message that reads differently")
    require(again.isAuthentic(written.span.bytes, key), "a message that is not authentic")
  }

  /// The name and the nonce that a client sends back: of neither is anything believed.
  private static let turnCredentials = FuzzEntry(
    "turn-credentials",
    seeds: [
      Array("1433895918:carol".utf8), Array("1433895918:carol;1433892318-a56145270ce6b3be".utf8),
      TURNNonces(key: [1]).issue(to: peer, now: .zero),
    ]
  ) { bytes in
    let credentials = TURNCredentials(realm: "r", users: ["alice": "x"], secrets: ["new", "old"])
    if let account = try? credentials.account(named: String(decoding: bytes, as: UTF8.self), unixTime: 1000) {
      require(account.expires.map { $0 > 1000 } ?? (account.username == "alice"), "an account that has ended")
      require(!account.user.isEmpty, "an account that nobody has")
    }
    _ = try? credentials.account(userhash: bytes, unixTime: 0)
    let verdict = TURNNonces(key: [2]).verify(bytes.span.bytes, from: peer, now: .zero)
    require(verdict == .forged, "a nonce made without the key")
  }

  /// Datagrams from whoever knows the port of a client that looks for NATs.
  private static let natDiscovery = FuzzEntry(
    "nat-discovery",
    seeds: [
      STUNMessage(.success, .binding, transaction, [.xorMappedAddress(peer), .otherAddress(peer)]).encoded(),
      STUNMessage(.request, .binding, transaction, [.changeRequest(ip: true, port: true)]).encoded(),
    ]
  ) { bytes in
    var now = Instant.zero
    var discovery = NATBehaviorDiscovery(server: peer, locals: [peer.ip], port: peer.port, random: RandomSource(seed: 1), now: now)
    for _ in 0..<30 {
      guard let deadline = discovery.deadline else { break }
      while let transmit = discovery.pollTransmit() {
        // The rest of the message behind the header that it waits for.
        let answer = bytes.prefix(4) + transmit.bytes[4..<20] + bytes.dropFirst(20)
        try? discovery.receive(Array(answer).span.bytes, from: transmit.to, now: now)
      }
      now = max(now, deadline)
      discovery.timeout(now: now)
    }
    require(discovery.result != nil, "a discovery without an end")
  }

  private static var streamSeed: [UInt8] {
    var stream = STUNMessage(.indication, .data, transaction, [.xorPeerAddress(peer), .data([1, 2, 3])]).encoded()
    _ = ChannelData.write([1, 2, 3, 4, 5].span.bytes, channel: 0x4000, padded: true, into: &stream)
    return stream
  }

  private static func messages(_ pieces: [ArraySlice<UInt8>]) -> [Slice]? {
    var (reader, messages) = (TURNStreamReader(limits: STUNLimits(messageBytes: 512)), [Slice]())
    for piece in pieces {
      do throws(STUNError) {
        try reader.receive(piece.span.bytes, into: &messages)
      } catch { return nil }
      require(reader.heldBytes < 516, "more than one message is held")
    }
    return messages
  }

  private static let turnStream = FuzzEntry("turn-stream", seeds: [streamSeed]) { bytes in
    require(messages([bytes[...]]) == messages(pieces(bytes)), "messages that depend on how the bytes were cut")
  }

  /// Messages of a client, one behind the other as on a stream; nothing in them is authentic.
  private static let turnServer = FuzzEntry(
    "turn-server",
    seeds: [
      streamSeed,
      STUNMessage(.request, .binding, transaction).encoded(),
      STUNMessage(.request, .allocate, transaction, [.requestedTransport(17), .evenPort(reserveNext: true), .lifetime(1)]).encoded(),
      STUNMessage(
        .request, .refresh, transaction,
        [.username("u"), .realm("r"), .nonce("n"), .passwordAlgorithms([.sha256, .md5]), .passwordAlgorithm(.sha256)]
      ).encoded(key: key, integrity: .sha256),
      STUNMessage(.indication, .send, transaction, [.xorPeerAddress(peer), .data([1]), .dontFragment]).encoded(fingerprint: false),
      [0, 1, 0, 0] + Array(1...16),
    ]
  ) { bytes in
    var configuration = TURNServerConfiguration()
    configuration.answersClassic = true
    var server = TURNServer(
      configuration, credentials: TURNCredentials(realm: "r", users: ["u": "p"]), rules: PeerRules(), nonces: TURNNonces(key: [1]),
      random: RandomSource(seed: 1))
    let flow = TURNFlow(remote: peer, path: 0, isStream: false)
    var rest = bytes.span.bytes
    while rest.byteCount > 0 {
      let count = min(rest.byteCount, (try? TURNStreamReader.frame(rest, STUNLimits()))?.padded ?? rest.byteCount)
      let message = rest.extracting(0..<max(1, count))
      let forward = server.receive(message, from: flow, now: .zero)
      require(forward == nil, "a packet for a peer without an allocation")
      while let output = server.pollOutput() {
        guard case .transmit(let answer, let to) = output else { continue }
        require(to == flow, "an answer to somebody else")
        require(answer.count + 28 <= 3 * (message.byteCount + 28), "\(answer.count) bytes in answer to \(message.byteCount)")
      }
      rest = rest.extracting(max(1, count)..<rest.byteCount)
    }
    let count = server.allocationCount
    require(count == 0, "an allocation without credentials")
  }

  private static let turnClient = FuzzEntry("turn-client", seeds: [streamSeed]) { bytes in
    var client = TURNClient(TURNConfiguration(transport: .datagram, username: "u", password: "p"), random: RandomSource(seed: 1))
    client.start(now: .zero)
    for (turn, piece) in pieces(bytes).enumerated() {
      try? client.receive(piece.span.bytes, now: .zero + .seconds(turn))
      client.timeout(now: .zero + .seconds(turn))
      while client.pollTransmit() != nil {}
      while client.pollEvent() != nil {}
    }
    let state = client.state
    require(state != .allocated, "an allocation without an answer to our request")
  }
}
