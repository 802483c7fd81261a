import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

/// A publisher, its retransmissions and a receiver, encrypted, over a network that loses a tenth in both directions.
private struct Call {
  private static let media: UInt32 = 0x1234_5678, rtx: UInt32 = 42, receiver: UInt32 = 7
  private static let publisherHost = SocketAddress(host: 1), receiverHost = SocketAddress(host: 2)

  var network: VirtualNetwork
  var now = Instant.zero
  private let forth: SRTPPair
  private let back: SRTPPair
  private var random: RandomSource
  private var history = SentPackets()
  private var nacks: NACKGenerator
  private var nextRTX: UInt16 = 0
  private var next: UInt16
  /// By number, what was published and what came.
  var published: [UInt16: [UInt8]] = [:]
  var received: [UInt16: [UInt8]] = [:]
  var retransmitted = 0

  init(seed: UInt64) throws {
    network = VirtualNetwork(seed: seed, loss: 0.1, latency: .milliseconds(20), jitter: .milliseconds(10), reorder: 0.05, duplicate: 0.05)
    random = RandomSource(seed: seed)
    forth = try SRTPPair(seed % 2 == 0 ? .aeadAES128GCM : .aes128CounterModeHMACSHA1_80, seed: seed)
    back = try SRTPPair(.aeadAES256GCM, seed: seed + 1)
    next = 65_000
    var limits = NACKLimits()
    limits.age = .seconds(5)
    nacks = NACKGenerator(limits: limits)
    nacks.roundTrip = .milliseconds(50)
  }

  mutating func publish() throws {
    let bytes = packet(sequenceNumber: next, ssrc: Self.media, payload: random.bytes(Int.random(in: 1...100, using: &random)))
    history.append(Slice(bytes), sequenceNumber: next, now: now)
    published[next] = bytes
    next &+= 1
    network.send(.init(from: Self.publisherHost, to: Self.receiverHost, bytes: try forth.protect(bytes)), now: now)
  }

  mutating func step() throws {
    while let datagram = network.receive(now: now) {
      // Duplicates end here: SRTP takes every packet once.
      if datagram.to == Self.receiverHost {
        guard let plain = try? forth.unprotect(datagram.bytes) else { continue }
        try receive(plain)
      } else if let control = try? back.receiver.unprotectedControl(datagram.bytes) {
        for case .nack(let nack) in try parse(control) { try answer(nack) }
      }
    }
    var lost: [UInt16] = []
    nacks.poll(now: now, into: &lost)
    guard !lost.isEmpty else { return }
    let nack = write([
      .receiverReport(ReceiverReport(ssrc: Self.receiver)), .nack(GenericNACK(sender: Self.receiver, media: Self.media, lost: lost)),
    ])
    network.send(.init(from: Self.receiverHost, to: Self.publisherHost, bytes: try back.sender.protectedControl(nack)), now: now)
  }

  private mutating func receive(_ plain: [UInt8]) throws {
    var bytes = plain
    let header = try RTPHeader(parsing: bytes.span.bytes)
    if header.ssrc == Self.rtx {
      let restored = try bytes.withUnsafeMutableBytes { try RTX.restore($0, ssrc: Self.media, payloadType: 96) }
      guard let restored else { return }
      bytes = Array(bytes[restored.range])
    }
    let original = try RTPHeader(parsing: bytes.span.bytes)
    received[original.sequenceNumber] = bytes
    nacks.receive(original.sequenceNumber, now: now)
  }

  private mutating func answer(_ nack: GenericNACK) throws {
    for number in nack.lost {
      guard let packet = history.packet(number, now: now) else { continue }
      let header = try RTPHeader(parsing: packet.bytes)
      var writer = ByteWriter()
      var fields = RTPHeaderFields(header)
      (fields.ssrc, fields.payloadType, fields.sequenceNumber) = (Self.rtx, 97, nextRTX)
      nextRTX &+= 1
      fields.write(into: &writer)
      var wire = [UInt8](repeating: 0, count: 1500)
      let count = try wire.withUnsafeMutableBytes {
        try forth.sender.protect(
          header: writer.bytes.span.bytes, originalSequenceNumber: number,
          payload: packet.bytes.extracting(droppingFirst: header.byteCount),
          into: $0)
      }
      retransmitted += 1
      network.send(.init(from: Self.publisherHost, to: Self.receiverHost, bytes: Array(wire.prefix(count))), now: now)
    }
  }
}

@Suite struct RecoveryTests {
  @Test(arguments: seeds(20)) func `with a tenth lost each way everything arrives, across the roll-over`(_ seed: UInt64)
    throws
  {
    var call = try Call(seed: seed)
    for step in 0..<5000 {
      call.now = call.now + .milliseconds(1)
      if step % 3 == 0, step < 3600 { try call.publish() }
      try call.step()
    }
    // What is lost behind the last packet that came, nobody can miss.
    let unseen = call.published.count - call.received.count
    #expect(unseen < 5)
    #expect(call.received.allSatisfy { call.published[$0.key] == $0.value })
    #expect(call.retransmitted > 80 && call.retransmitted < 400)
  }
}
