import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// Peers that mean harm, behind DTLS.
@Suite struct HostileTests {
  // RFC 9260 §8.5, §6.8; RFC 9653 §5.3.
  @Test func `packets with a wrong port, tag or checksum are dropped and counted`() throws {
    let forger = try Forger.connected()
    let data = forger.data(0)
    forger.send(data, source: 5001)
    #expect(forger.statistics.lastDrop == .wrongPorts(source: 5001, destination: 5000))
    forger.send(data, tag: forger.targetTag ^ 1)
    #expect(forger.statistics.lastDrop == .wrongTag)
    forger.send(data, checksum: 0x1234)
    #expect(forger.statistics.lastDrop == .wrongChecksum)
    #expect(forger.statistics.packetsDropped == 3 && forger.events().isEmpty)
    // Only that end's own offer counts, not whether it was taken up.
    forger.send(data, checksum: 0)
    #expect(forger.events() == [.message(SCTPMessage(stream: 0, protocolID: 53, payload: [1]))])
    forger.send(Forger.chunk(ChunkType.cookieEcho, forger.cookie), checksum: 0)
    #expect(forger.statistics.lastDrop == .wrongChecksum)
  }

  @Test func `without the offer a checksum of zero is wrong`() throws {
    let forger = try Forger.connected(TransferTests.plain)
    forger.send(forger.data(0), checksum: 0)
    #expect(forger.statistics.lastDrop == .wrongChecksum && forger.events().isEmpty)
  }

  // RFC 9260 §5.1.3: nothing is kept for an INIT, and few answers wait.
  @Test(arguments: [false, true]) func `a flood of INITs makes nothing grow`(isConnected: Bool) throws {
    let forger = isConnected ? try Forger.connected() : Forger()
    for number in 1...10000 { forger.sendInit(tag: UInt32(number)) }
    #expect(forger.drain().count == SCTPLimits().replies)
    #expect(forger.state == (isConnected ? .established : .closed) && forger.events().isEmpty)
  }

  // RFC 9260 §5.1.5, §5.2.4.
  @Test func `a cookie that was changed, is old, or is another's is not taken`() throws {
    let forger = Forger()
    try forger.greet()
    for index in forger.cookie.indices {
      var changed = forger.cookie
      changed[index] ^= 1
      forger.send(Forger.chunk(ChunkType.cookieEcho, changed))
      forger.send(Forger.chunk(ChunkType.cookieEcho, Array(forger.cookie[..<index])))
    }
    #expect(forger.state == .closed && forger.statistics.lastDrop == .wrongCookie)
    forger.now = Instant.zero + .seconds(61)
    forger.echoCookie()
    let error = try #require(try forger.drainChunks().first)
    #expect(forger.state == .closed && error.type == ChunkType.error && error.body[..<2] == [0, 3])
    try forger.greet()
    forger.echoCookie()
    #expect(forger.state == .established && forger.events() == [.connected])
  }

  // RFC 9260 §5.2.4.1.
  @Test func `a restart within the connection ends the association`() throws {
    let forger = try Forger.connected()
    forger.sendInit(tag: 0xBEEF)
    for chunk in try forger.drainChunks() where chunk.type == ChunkType.initiationAck {
      let answer = try InitChunk(parsing: chunk.body.span.bytes, limits: SCTPLimits())
      forger.send(Forger.chunk(ChunkType.cookieEcho, answer.parameters.cookie), tag: answer.tag)
    }
    #expect(forger.events() == [.ended(.restarted)])
    #expect(try forger.drainChunks().map(\.type) == [ChunkType.abort])
  }

  // RFC 9260 §6.2.1.
  @Test func `acknowledgements of what was never sent change nothing`() throws {
    let forger = try Forger.connected()
    for number in 0..<5 { try forger.target.send(pattern(1000, number), on: 0, protocolID: 53, now: .zero) }
    forger.drain()
    let flight = forger.statistics.bytesInFlight
    #expect(flight == 5 * 1016)
    for ahead in [5, 6, 1000, 1 << 30] as [UInt32] { forger.sack(forger.targetTSN &+ ahead) }
    #expect(forger.statistics.bytesInFlight == flight && forger.statistics.lastDrop == .outOfSequence)
    forger.sack(forger.targetTSN &- 1 &- 1000)
    forger.sack(
      forger.targetTSN &- 1,
      gaps: [.init(0, 0), .init(9, 3), .init(6, 65535), .init(65535, 65535), .init(2, 2), .init(2, 2), .init(1, 2)])
    #expect(forger.statistics.bytesInFlight == flight - 1016)
    // The second chunk was taken; the rest goes on as before.
    forger.sack(forger.targetTSN &+ 4)
    #expect(forger.statistics.bytesInFlight == 0 && forger.state == .established)
  }

  @Test func `gap blocks that lie over each other cost one pass`() throws {
    let forger = try Forger.connected()
    for number in 0..<100 { try forger.target.send(pattern(1000, number), on: 0, protocolID: 53, now: .zero) }
    forger.drain()
    let gaps = [SelectiveAck.GapBlock](repeating: .init(2, 65535), count: 10000)
    for _ in 0..<100 { forger.sack(forger.targetTSN &- 1, gaps: gaps) }
    #expect(forger.state == .established && forger.statistics.bytesInFlight <= 2 * 1016)
  }

  // RFC 9260 §6.2: every second TSN makes a run of its own.
  @Test func `runs of TSNs are bounded, and a SACK fits into a packet`() throws {
    let forger = try Forger.connected()
    for number in 0..<3000 { forger.send(forger.data(1 + 2 * number, flags: [.begin, .end, .unordered])) }
    #expect(forger.statistics.messagesReceived == SCTPLimits().gaps && forger.statistics.lastDrop == .noRoom)
    let packets = forger.drain()
    #expect(packets.allSatisfy { $0.count <= 1184 })
    forger.send(forger.data(40000, flags: [.begin, .end, .unordered]))
    #expect(forger.statistics.messagesReceived == SCTPLimits().gaps)
    // The gap closes: everything moves on.
    forger.send(forger.data(0))
    forger.send(forger.data(2))
    #expect(try forger.lastSack()?.cumulativeTSN == forger.initialTSN + 3)
  }

  // RFC 9260 §3.3.1, RFC 8260 §2.2.2.
  @Test func `data that cannot be ends the association`() throws {
    let cases: [(SCTPViolation, SCTPExtensions, (Forger) -> [UInt8])] = [
      (.noUserData, [], { $0.data(0, []) }),
      (.wrongDataChunk, [], { $0.data(0, isInterleaved: true) }),
      (.wrongDataChunk, .interleaving, { $0.data(0) }),
      (.brokenFragments, [], { $0.data(0, flags: .begin) + $0.data(1, flags: .begin) + $0.data(2, flags: .end) }),
      (.brokenFragments, [], { $0.data(0, stream: 1, flags: .begin) + $0.data(1, stream: 2, flags: .end) }),
      (.brokenFragments, [], { $0.data(1, number: 1, flags: .end) + $0.data(0, number: 2, flags: .begin) }),
      (
        .brokenFragments, .interleaving,
        { $0.data(0, fragment: 3, flags: [], isInterleaved: true) + $0.data(1, fragment: 3, flags: [], isInterleaved: true) }
      ),
    ]
    for (violation, extensions, chunks) in cases {
      let forger = try Forger.connected(extensions: extensions)
      forger.send(chunks(forger))
      let events = forger.events()
      #expect(events == [.ended(.violation(violation))])
      let sent = try forger.drainChunks().map(\.type)
      #expect(sent == [ChunkType.abort] && forger.target.deadline == nil)
    }
  }

  @Test(arguments: [false, true]) func `a message that never ends is not held`(isInterleaved: Bool) throws {
    let forger = try Forger.connected(extensions: isInterleaved ? .interleaving : [])
    let piece = [UInt8](repeating: 7, count: 1100)
    var number = 0
    while forger.state == .established, number < 1000 {
      let flags: DataChunk.Flags = number == 0 ? .begin : []
      forger.send(forger.data(number, piece, fragment: UInt32(number), flags: flags, isInterleaved: isInterleaved))
      #expect(forger.statistics.bytesHeld <= 256 << 10 + 1024)
      number += 1
    }
    #expect(forger.events() == [.ended(.violation(.messageTooLarge(maximum: 256 << 10)))] && number == 239)
  }

  @Test(arguments: [1, 1100]) func `messages that never end, on many streams, fill twice the window at most`(size: Int) throws {
    let forger = try Forger.connected(extensions: .interleaving)
    let piece = [UInt8](repeating: 7, count: size)
    var held = 0
    for number in 0..<20000 where forger.state == .established {
      forger.send(forger.data(number, piece, stream: UInt16(number % 1000), number: UInt32(number), flags: .begin, isInterleaved: true))
      held = max(held, forger.statistics.bytesHeld)
    }
    #expect(forger.events() == [.ended(.violation(.outOfMemory))] && held < 2 << 20 + 2048)
  }

  // RFC 9260 §6.2: what the driver does not take closes the window.
  @Test func `messages that nobody takes fill the window and no more`() throws {
    let forger = try Forger.connected()
    for number in 0..<4000 { forger.send(forger.data(number, [UInt8](repeating: 1, count: 1000), number: UInt32(number))) }
    #expect(forger.state == .established && forger.statistics.bytesHeld < 2 << 20 + 2048)
    #expect(try forger.lastSack()?.window == 0)
    let taken = forger.events().count
    #expect(taken == forger.statistics.messagesReceived && taken < 2000)
    #expect(try forger.lastSack()?.window == 1 << 20)
  }

  // RFC 9260 §6.5.
  @Test func `data on a stream that was not offered is acknowledged and reported`() throws {
    var configuration = SCTPConfiguration()
    configuration.incomingStreams = 4
    let forger = try Forger.connected(configuration)
    forger.send(forger.data(0, stream: 4) + forger.data(1, stream: 3))
    let chunks = try forger.drainChunks()
    let error = try #require(chunks.first { $0.type == ChunkType.error })
    #expect(error.body == [0, 1, 0, 8, 0, 4, 0, 0])
    #expect(forger.events() == [.message(SCTPMessage(stream: 3, protocolID: 53, payload: [1]))])
  }

  // RFC 3758 §3.6.
  @Test func `FORWARD TSN skips what is missing, and cannot leap`() throws {
    let forger = try Forger.connected()
    forger.send(forger.data(2, [2], number: 1) + forger.data(3, [3], number: 2, flags: .begin))
    forger.forward(100_000)
    #expect(forger.statistics.lastDrop == .outOfSequence && forger.events().isEmpty)
    forger.forward(1, [.init(stream: 0, messageNumber: 0)])
    #expect(forger.events() == [.message(SCTPMessage(stream: 0, protocolID: 53, payload: [2]))])
    #expect(try forger.lastSack()?.cumulativeTSN == forger.initialTSN + 3)
    // The rest of what was skipped comes late.
    forger.send(forger.data(0, [0], flags: .begin) + forger.data(1, [1], flags: .end) + forger.data(4, [4], number: 2, flags: .end))
    #expect(forger.events() == [.message(SCTPMessage(stream: 0, protocolID: 53, payload: [3, 4]))])
    #expect(forger.statistics.bytesHeld == 0)
  }

  @Test func `fragments whose beginning was skipped are not held`() throws {
    let forger = try Forger.connected()
    forger.send(forger.data(2, flags: []) + forger.data(4, flags: .end))
    forger.forward(0)
    forger.send(forger.data(1, flags: []) + forger.data(3, flags: []))
    #expect(forger.statistics.bytesHeld == 0 && forger.state == .established)
  }

  // RFC 6525 §5.2.
  @Test func `requests out of sequence are refused, and a repeated one gets the same answer`() throws {
    let forger = try Forger.connected()
    func outgoing(_ number: UInt32, _ last: Int = -1, _ streams: [UInt16] = [5]) -> ResetParameter {
      .outgoing(request: number, response: 0, lastTSN: forger.initialTSN &+ UInt32(truncatingIfNeeded: last), streams: streams)
    }
    let first = forger.initialTSN
    forger.reset([outgoing(first &+ 7)])
    #expect(try forger.responses() == [.response(to: first &+ 7, result: ResetParameter.Result.badSequenceNumber)])
    for _ in 0..<2 {
      forger.reset([outgoing(first)])
      #expect(try forger.responses() == [.response(to: first, result: ResetParameter.Result.performed)])
    }
    #expect(forger.events() == [.incomingReset([5])])
    // Data of before the reset is missing; then asked again with the same number, or with the next.
    for (tsn, again) in [(0, first &+ 1), (1, first &+ 3)] {
      let number = tsn == 0 ? first &+ 1 : first &+ 2
      forger.reset([outgoing(number, tsn)])
      #expect(try forger.responses() == [.response(to: number, result: ResetParameter.Result.inProgress)])
      forger.send(forger.data(tsn, stream: 9, number: UInt32(tsn)))
      forger.reset([outgoing(again, tsn)])
      #expect(try forger.responses().last == .response(to: again, result: ResetParameter.Result.performed))
      #expect(forger.events().last == .incomingReset([5]))
    }
    forger.reset([.other(request: first &+ 4)])
    #expect(try forger.responses() == [.response(to: first &+ 4, result: ResetParameter.Result.denied)])
  }

  // RFC 9260 §3.2, §8.3.
  @Test func `chunks that are not known are passed over, reported or end the packet, as their type says`() throws {
    let forger = try Forger.connected()
    forger.send(Forger.chunk(0xBF, [1]) + forger.data(0))
    forger.send(Forger.chunk(0xFF, [1, 2, 3, 4]) + forger.data(1, number: 1))
    forger.send(Forger.chunk(0x3F, []) + forger.data(2, number: 2))
    #expect(forger.events().count == 2)
    let error = try #require(try forger.drainChunks().first { $0.type == ChunkType.error })
    #expect(error.body == [0, 6, 0, 12, 0xFF, 0, 0, 8, 1, 2, 3, 4])
    forger.send(Forger.chunk(ChunkType.heartbeat, [0, 1, 0, 8, 9, 9, 9, 9]))
    #expect(try forger.drainChunks().first?.body == [0, 1, 0, 8, 9, 9, 9, 9])
    forger.send(Forger.chunk(ChunkType.heartbeatAck, [0, 1, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]))
    #expect(forger.statistics.lastDrop == .outOfSequence && forger.statistics.roundTrip == nil)
  }

  /// Every kind of packet that two ends exchange.
  private func traffic(_ configuration: SCTPConfiguration) throws -> [[UInt8]] {
    let simulation = Simulation(seed: 11, loss: 0.1, reorder: 0.1, left: configuration, right: configuration)
    var packets: [[UInt8]] = []
    simulation.filter = {
      packets.append($0.bytes)
      return true
    }
    var options = DataChannelOptions(label: "x")
    options.maximumRetransmissions = 0
    let id = try simulation.left.session.open(options, now: .zero)
    #expect(simulation.connect())
    for number in 0..<12 { try simulation.left.session.send(.text, pattern(number * 400, number), on: id, now: simulation.now) }
    simulation.run(for: .seconds(1))
    simulation.left.session.close(id)
    simulation.run(for: .seconds(2))
    simulation.left.session.shutdown(now: simulation.now)
    simulation.run(for: .seconds(2))
    return packets
  }

  @Test(arguments: [false, true]) func `no packet that is cut or changed traps`(isInterleaved: Bool) throws {
    let packets = try traffic(isInterleaved ? .init() : TransferTests.plain)
    #expect(packets.count > 20)
    var random = SeededRandom(seed: 12)
    let forger = try Forger.connected(extensions: [.partialReliability, .reconfiguration, isInterleaved ? .interleaving : []])
    for packet in packets {
      for count in 0...min(packet.count, 200) {
        // The tag of the target, no checksum: everything is read.
        var changed = Array(packet[..<count])
        for index in 4..<8 where index < count { changed[index] = UInt8(truncatingIfNeeded: forger.targetTag >> UInt32(8 * (7 - index))) }
        for index in 8..<12 where index < count { changed[index] = 0 }
        forger.target.receive(changed.span.bytes, now: forger.now)
        if count > 12 { changed[Int.random(in: 12..<count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
        forger.target.receive(changed.span.bytes, now: forger.now)
        forger.drain()
        _ = forger.events()
        if forger.state == .ended { break }
      }
    }
  }

  @Test(arguments: seeds(20)) func `garbage changes nothing`(seed: UInt64) throws {
    let forger = try Forger.connected()
    var random = SeededRandom(seed: seed)
    for _ in 0..<500 {
      let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      forger.target.receive(bytes.span.bytes, now: .zero)
    }
    #expect(forger.state == .established && forger.statistics.packetsDropped == 500 && forger.drain().isEmpty)
  }
}
