import MartletICE
import MartletPrimitives
import MartletSTUN

/// `candidate` attributes, datagrams on TCP, and what an agent makes of messages by a peer that knows its password.
extension FuzzEntry {
  static let ice = [iceCandidate, iceStream, iceAgent, dnsMessage]

  /// A question, and an answer whose name points back to it.
  private static let dnsMessage = FuzzEntry(
    "dns-message",
    seeds: [
      [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 5, 108, 111, 99, 97, 108, 0, 0, 1, 0, 1],
      [
        0, 7, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 97, 5, 108, 111, 99, 97, 108, 0, 0, 1, 0, 1, 0xC0, 12, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4,
        192, 0, 2, 1,
      ],
    ]
  ) { bytes in
    guard let message = try? DNSMessage(parsing: bytes.span.bytes) else { return }
    let written = message.encoded()
    // A question is written for both families.
    guard written.count <= DNSMessage.maximumBytes, message.questions.count * 2 + message.addresses.count <= DNSMessage.maximumEntries
    else {
      return
    }
    require((try? DNSMessage(parsing: written.span.bytes)) == message, "a DNS message that reads differently once written")
  }

  private static let iceCandidate = FuzzEntry(
    "ice-candidate",
    seeds: [
      "candidate:842163049 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 10.0.0.1 rport 50000 generation 0 ufrag EEtu network-cost 9",
      "a=candidate:3 2 TCP 1518280447 2001:db8::1 9 typ host tcptype active", "candidate:1 1 udp 1 a-b.local 9 typ host",
    ].map { Array($0.utf8) }
  ) { bytes in
    guard let candidate = try? ICECandidate(String(decoding: bytes, as: UTF8.self)) else { return }
    var limits = ICELimits()
    limits.candidateBytes *= 2
    guard let again = try? ICECandidate(candidate.description, limits: limits) else {
      return require(false, "a candidate that cannot be read back")
    }
    require(again == candidate, "a candidate that reads differently")
  }

  private static func datagrams(_ pieces: [ArraySlice<UInt8>]) -> [Slice]? {
    var (reader, datagrams) = (ICEStreamReader(), [Slice]())
    for piece in pieces {
      do throws(ICEError) {
        datagrams += try reader.readAll(piece.span.bytes, limit: 512)
      } catch { return nil }
      require(reader.heldBytes < 514, "more than one datagram is held")
    }
    return datagrams
  }

  private static let iceStream = FuzzEntry("ice-stream", seeds: [[0, 3, 1, 2, 3, 0, 0, 0, 1, 9]]) { bytes in
    require(datagrams([bytes[...]]) == datagrams(pieces(bytes)), "datagrams that depend on how the bytes were cut")
  }

  /// The first byte says what kind of agent; each of the others one step: a check from one of four addresses, an answer to the
  /// last check, time, a restart.
  private static let iceAgent = FuzzEntry("ice-agent", seeds: [[0, 1, 9, 2, 17, 4, 33, 3, 64], [1, 1, 2, 9, 130, 5]]) { bytes in
    guard let first = bytes.first else { return }
    var configuration = ICEConfiguration()
    configuration.isLite = first & 1 == 1
    configuration.role = first & 2 == 2 ? .controlling : .controlled
    var agent = ICEAgent(configuration, random: RandomSource(seed: 1))
    let base = ICEBase(socket: 0, address: SocketAddress(ip: .v4(0x0A00_0001), port: 1000))
    agent.addLocal(.host, base.address, base: base, now: .zero)
    let remote = ICECredentials(fragment: "peer", password: "peer-password-22-chars")
    try? agent.setRemote(remote, now: .zero)
    var (now, last, proven) = (Instant.zero, ICETransmit?.none, Set<SocketAddress>())
    for (turn, byte) in bytes.dropFirst().prefix(200).enumerated() {
      let source = SocketAddress(ip: .v4(0xC000_0200), port: UInt16(byte & 3) + 1)
      switch byte >> 2 & 7 {
      case 0, 1:
        let key = STUNKey.shortTerm(password: agent.localCredentials.password)
        let role: STUNAttribute =
          byte & 32 == 0 ? .iceControlling(tieBreaker: UInt64(byte) << 56) : .iceControlled(tieBreaker: UInt64(byte) << 56)
        let attributes =
          [.username("\(agent.localCredentials.fragment):peer"), .priority(UInt32(byte)), role]
          + (byte & 64 == 0 ? [] : [STUNAttribute.useCandidate])
        let check = STUNMessage(.request, .binding, TransactionID(high: 0, low: UInt64(turn)), attributes).encoded(key: key)
        try? agent.receive(check.span.bytes, from: source, on: base, now: now)
        proven.insert(source)
      case 2, 3:
        guard let sent = last, let request = try? ReceivedSTUNMessage(parsing: sent.bytes.span.bytes).message, request.kind == .request
        else { break }
        let content: STUNAttribute = byte & 64 == 0 ? .xorMappedAddress(base.address) : .errorCode(STUNErrorCode(487))
        let answer = STUNMessage(byte & 64 == 0 ? .success : .error, .binding, request.transaction, [content])
        try? agent.receive(answer.encoded(key: .shortTerm(password: remote.password)).span.bytes, from: sent.to, on: base, now: now)
      case 4: now = now + .milliseconds(Int(byte >> 5) * 50)
      case 5: now = now + .seconds(Int(byte >> 5) * 5)
      case 6:
        try? agent.addRemote(ICECandidate("candidate:\(byte) 1 udp \(Int(byte) + 1) 192.0.2.0 \(Int(byte & 3) + 1) typ host"), now: now)
      default:
        agent.restart(now: now)
        try? agent.setRemote(remote, now: now)
      }
      agent.timeout(now: now)
      while let transmit = agent.pollTransmit() { last = transmit }
      while agent.pollEvent() != nil {}
      let (pair, deadline) = (agent.selectedPair, agent.deadline)
      if let pair, configuration.isLite { require(proven.contains(pair.remote), "a selected address that has proven nothing") }
      if let deadline { require(deadline > now || agent.pairs.count > 1, "a deadline that does not move on") }
    }
  }
}

extension ICEStreamReader {
  /// All datagrams that are complete with these bytes.
  fileprivate mutating func readAll(_ bytes: RawSpan, limit: Int) throws(ICEError) -> [Slice] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
    defer { room.deallocate() }
    var (found, offset) = ([Slice](), 0)
    while let count = try next(in: bytes, at: &offset, into: room) {
      found.append(Slice(copying: UnsafeRawBufferPointer(rebasing: room[..<count]).bytes))
    }
    return found
  }
}
