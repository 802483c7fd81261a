import MartletPrimitives
import MartletRTP
import Testing

@Suite struct SentPacketsTests {
  private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }
  private func slice(_ number: Int, bytes: Int = 10) -> Slice { Slice([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes)) }

  @Test func `packets are found by number, across the roll-over and out of order`() {
    var sent = SentPackets()
    for number in [65_533, 65_534, 65_536, 65_535, 65_538] {
      sent.append(slice(number), sequenceNumber: UInt16(truncatingIfNeeded: number), now: at(0))
    }
    for number in [65_533, 65_534, 65_535, 65_536, 65_538] {
      #expect(sent.packet(UInt16(truncatingIfNeeded: number), now: at(1)) == slice(number))
    }
    #expect(sent.packet(1, now: at(1)) == nil)
    #expect(sent.packet(65_532, now: at(1)) == nil)
    #expect(sent.packet(3, now: at(1)) == nil)
  }

  @Test func `the first of two packets with one number stays`() {
    var sent = SentPackets()
    sent.append(slice(1), sequenceNumber: 5, now: at(0))
    sent.append(slice(2), sequenceNumber: 5, now: at(0))
    #expect(sent.packet(5, now: at(0)) == slice(1))
    #expect(sent.bytes == 10)
  }

  @Test func `number, bytes and age are bounded`() {
    var limits = SentPackets.Limits()
    (limits.packets, limits.bytes, limits.age) = (16, 100, .milliseconds(50))
    var sent = SentPackets(limits: limits)
    for number in 0..<100 {
      sent.append(slice(number, bytes: number % 20), sequenceNumber: UInt16(number), now: at(number * 10))
      #expect(sent.bytes <= 100)
    }
    #expect(sent.packet(99, now: at(1000)) == slice(99, bytes: 19))
    #expect(sent.packet(90, now: at(1000)) == nil)
    #expect(sent.packet(99, now: at(1100)) == nil)
    // A jump begins anew.
    sent.append(slice(1), sequenceNumber: 10_000, now: at(1100))
    #expect(sent.bytes == 10)
    #expect(sent.packet(99, now: at(1000)) == nil)
  }

  @Test func `any order of numbers keeps it bounded`() {
    var limits = SentPackets.Limits()
    (limits.packets, limits.bytes) = (64, 300)
    var sent = SentPackets(limits: limits)
    var random = RandomSource(seed: 3)
    var most = 0
    for step in 0..<20_000 {
      sent.append(slice(step), sequenceNumber: UInt16.random(in: 0...200, using: &random), now: at(step))
      most = max(most, sent.bytes)
    }
    #expect(most <= 300)
  }
}
