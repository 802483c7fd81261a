import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct JitterBufferTests {
  private struct Bench {
    var buffer: JitterBuffer
    var output: [JitterBuffer.Output] = []
    var now = Instant.zero

    init(_ limits: JitterLimits = JitterLimits()) { buffer = JitterBuffer(limits: limits) }

    @discardableResult mutating func receive(_ sequence: UInt16, bytes: Int = 1) -> JitterBuffer.Admission {
      buffer.receive(
        sequence: sequence, timestamp: UInt32(sequence), marker: false, payload: Slice([UInt8](repeating: 0, count: bytes)), now: now,
        into: &output)
    }

    mutating func wait(_ milliseconds: Int) {
      now = now + .milliseconds(milliseconds)
      buffer.timeout(now: now, into: &output)
    }

    /// Sequence numbers that came out; lost ones are negative.
    mutating func take() -> [Int64] {
      defer { output.removeAll() }
      return output.flatMap { entry in
        switch entry {
        case .packet(let packet): [packet.sequence]
        case .lost(let range): range.map { -$0 }
        }
      }
    }
  }

  @Test func `packets in order are not held`() {
    var bench = Bench()
    for sequence in 65_534...65_535 as ClosedRange<UInt16> { bench.receive(sequence) }
    for sequence in 0...2 as ClosedRange<UInt16> { bench.receive(sequence) }
    #expect(bench.take() == [65_534, 65_535, 65_536, 65_537, 65_538])
    #expect(bench.buffer.deadline == nil)
  }

  @Test func `a late packet releases those behind it, once`() {
    var bench = Bench()
    for sequence in [1, 3, 4, 3, 2, 2, 1] as [UInt16] { bench.receive(sequence) }
    #expect(bench.take() == [1, 2, 3, 4])
    #expect(bench.receive(4) == .late)
    #expect(bench.receive(6) == .accepted)
    #expect(bench.receive(6) == .duplicate)
  }

  @Test func `a missing packet is given up after the wait, each gap by itself`() {
    var bench = Bench()
    bench.receive(1)
    bench.receive(3)
    bench.wait(100)
    bench.receive(6)
    #expect(bench.take() == [1])
    #expect(bench.buffer.deadline == Instant.zero + .milliseconds(200))
    bench.wait(100)
    #expect(bench.take() == [-2, 3])
    #expect(bench.buffer.deadline == Instant.zero + .milliseconds(300))
    #expect(bench.receive(2) == .late)
    bench.wait(99)
    #expect(bench.take() == [])
    bench.receive(4)
    bench.wait(1)
    #expect(bench.take() == [4, -5, 6])
    #expect(bench.buffer.deadline == nil)
  }

  @Test func `the buffer is bounded in packets and bytes`() {
    var limits = JitterLimits()
    limits.packets = 16
    var bench = Bench(limits)
    bench.receive(0)
    for sequence in 2...16 as ClosedRange<UInt16> { bench.receive(sequence) }
    #expect(bench.take() == [0])
    bench.receive(17)
    #expect(bench.take() == [-1] + Array(2...17))
    limits = JitterLimits()
    limits.bytes = 100
    bench = Bench(limits)
    bench.receive(0)
    bench.receive(2, bytes: 60)
    bench.receive(4, bytes: 60)
    #expect(bench.take() == [0, -1, 2])
  }

  // RFC 3550 A.1
  @Test func `a stray packet changes nothing and two in sequence are a restart`() {
    var bench = Bench()
    bench.receive(10)
    #expect(bench.receive(30_000) == .stray)
    #expect(bench.receive(11) == .accepted)
    #expect(bench.receive(30_000) == .stray)
    #expect(bench.receive(30_001) == .accepted)
    let output = bench.take()
    #expect(output.first == 10 && output.last == 30_001 && output.contains(-12))
    #expect(bench.receive(5) == .stray)
    #expect(bench.receive(6) == .accepted)
    #expect(bench.take().last == 65_542)
  }

  @Test func `whatever comes, sequence numbers leave in order and once`() {
    for seed in seeds(20) {
      var random = SeededRandom(seed: seed)
      var limits = JitterLimits()
      (limits.packets, limits.bytes) = (64, 2000)
      var bench = Bench(limits)
      var last: Int64 = .min
      for _ in 0..<3000 {
        if Int.random(in: 0..<10, using: &random) == 0 { bench.wait(Int.random(in: 0...300, using: &random)) }
        let near = UInt16(truncatingIfNeeded: max(0, last) &+ Int64.random(in: -70...70, using: &random))
        let isFar = Int.random(in: 0..<20, using: &random) == 0
        bench.receive(isFar ? UInt16.random(in: 0...65_535, using: &random) : near, bytes: Int.random(in: 0...100, using: &random))
        for entry in bench.output {
          switch entry {
          case .packet(let packet):
            #expect(packet.sequence > last, "seed \(seed)")
            last = packet.sequence
          case .lost(let range):
            #expect(range.lowerBound > last, "seed \(seed)")
            last = range.upperBound
          }
        }
        bench.output.removeAll()
      }
    }
  }
}
