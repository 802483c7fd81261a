import MartletCodecs
import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

/// A sender, a network that loses, reorders and repeats, a jitter buffer and a depacketizer.
@Suite struct PayloadNetworkTests {
  @Test(arguments: PayloadSamples.all) func `what arrives late or twice changes nothing`(_ codec: Codec) throws {
    for seed in seeds(20) {
      var run = try Run(codec, seed: seed, loss: 0)
      try run.play()
      // The very first packet may arrive behind others, and then nobody waits for it.
      #expect(Set(run.received.map(\.timestamp)).isSuperset(of: run.sent.map(\.timestamp).dropFirst()), "seed \(seed)")
      run.expectOnlyWhatWasSent()
    }
  }

  @Test(arguments: PayloadSamples.all) func `a unit with a lost packet never comes out, and others do`(_ codec: Codec) throws {
    for seed in seeds(20) {
      var run = try Run(codec, seed: seed, loss: 0.05)
      try run.play()
      run.expectOnlyWhatWasSent()
      let received = Set(run.received.map(\.timestamp))
      for (index, unit) in run.sent.enumerated() {
        let isWhole = unit.sequences.allSatisfy(run.arrived.contains)
        #expect(isWhole || !received.contains(unit.timestamp), "seed \(seed): a unit with a lost packet")
        let isBehindWhole = index > 0 && run.sent[index - 1].sequences.last.map(run.arrived.contains) ?? false
        if isWhole, isBehindWhole { #expect(received.contains(unit.timestamp), "seed \(seed): unit \(index) is missing") }
      }
      // What is lost before all others, or behind them, nobody misses.
      let arrived = run.sent.flatMap(\.sequences).map(run.arrived.contains)
      let hasGap = arrived[(arrived.firstIndex(of: true) ?? 0)...(arrived.lastIndex(of: true) ?? 0)].contains(false)
      #expect(!hasGap || run.losses > 0, "seed \(seed)")
    }
  }

  private struct Run {
    struct Sent {
      var timestamp: UInt32
      var payload: Slice
      var isKey: Bool
      var sequences: [UInt16]
    }
    struct Received {
      var timestamp: UInt32
      var unit: AccessUnit
    }

    private let addresses = (SocketAddress(ip: .v4(1), port: 1), SocketAddress(ip: .v4(2), port: 2))
    private var samples: PayloadSamples
    private var packetizer: RTPPacketizer
    private var depacketizer: RTPDepacketizer
    private var network: VirtualNetwork
    private var buffer = JitterBuffer()
    private var now = Instant.zero
    private var outputs: [JitterBuffer.Output] = []
    private var events: [DepacketizerEvent] = []
    /// Both counters wrap on the way.
    private var sequence: UInt16 = 65_500
    private var timestamp: UInt32 = 0xffff_0000
    private(set) var sent: [Sent] = []
    private(set) var received: [Received] = []
    private(set) var arrived: Set<UInt16> = []
    private(set) var losses = 0
    private(set) var total = 0

    init(_ codec: Codec, seed: UInt64, loss: Double) throws {
      samples = PayloadSamples(codec, seed: seed)
      var random = RandomSource(seed: seed)
      packetizer = try #require(RTPPacketizer(codec, random: &random))
      depacketizer = try #require(RTPDepacketizer(codec))
      network = VirtualNetwork(seed: seed, loss: loss, jitter: .milliseconds(5), reorder: 0.1, duplicate: 0.05, mtu: 1400)
    }

    mutating func play() throws {
      for index in 0..<40 {
        try sendUnit(isKey: index % 10 == 0)
        advance(by: .milliseconds(33))
      }
      for _ in 0..<40 { advance(by: .milliseconds(33)) }
    }

    private mutating func sendUnit(isKey: Bool) throws {
      let frame = samples.frame(isKey: isKey, size: Int.random(in: 20...6000, using: &samples.random))
      var payloads = RTPPayloads()
      try packetizer.packetize(frame, into: &payloads)
      var unit = Sent(timestamp: timestamp, payload: frame.payload, isKey: frame.isKey, sequences: [])
      for (index, payload) in payloads.slices.enumerated() {
        var packet = ByteWriter()
        packet.u16(sequence)
        packet.u32(timestamp)
        packet.u8(index == payloads.count - 1 ? 1 : 0)
        packet.append(payload)
        network.send(.init(from: addresses.0, to: addresses.1, bytes: packet.bytes), now: now)
        unit.sequences.append(sequence)
        sequence &+= 1
        total += 1
      }
      sent.append(unit)
      timestamp &+= 3000
    }

    private mutating func advance(by span: TimeSpan) {
      let end = now + span
      while let next = [network.deadline, buffer.deadline].compactMap({ $0 }).min(), next <= end {
        now = max(now, next)
        while let datagram = network.receive(now: now) { receive(datagram.bytes) }
        buffer.timeout(now: now, into: &outputs)
        drain()
      }
      now = end
    }

    private mutating func receive(_ bytes: [UInt8]) {
      var reader = ByteReader(bytes.span.bytes)
      guard let sequence = try? reader.u16(), let timestamp = try? reader.u32(), let marker = try? reader.u8() else { return }
      arrived.insert(sequence)
      buffer.receive(
        sequence: sequence, timestamp: timestamp, marker: marker == 1, payload: Slice(Array(bytes.dropFirst(7))), now: now,
        into: &outputs)
      drain()
    }

    private mutating func drain() {
      for case .packet(let packet) in outputs { depacketizer.receive(packet, into: &events) }
      outputs.removeAll()
      for event in events {
        if let unit = event.unit {
          received.append(Received(timestamp: UInt32(truncatingIfNeeded: unit.timestamp), unit: unit))
        } else {
          losses += 1
        }
      }
      events.removeAll()
    }

    func expectOnlyWhatWasSent() {
      var last = -1
      for received in received {
        guard let index = sent.firstIndex(where: { $0.timestamp == received.timestamp }) else {
          Issue.record("a unit that was not sent")
          continue
        }
        #expect(index > last && sent[index].payload == received.unit.payload && sent[index].isKey == received.unit.isKey)
        last = index
      }
    }
  }
}
