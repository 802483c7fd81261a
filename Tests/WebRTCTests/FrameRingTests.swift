import MartletIO
import MartletPrimitives
import TestSupport
import Testing

@testable import MartletWebRTC

@Suite struct FrameRingTests {
  /// All that waits, as one vectored write would have it.
  private static func bytes(_ ring: borrowing FrameRing) -> [UInt8] {
    let vector = IOVector()
    ring.gather(into: vector)
    return vector.copy(atMost: .max)
  }

  // RFC 4571 §2
  @Test(arguments: seeds(20)) func `what goes in comes out behind its length, in order, wherever the ring wraps and however it grows`(
    seed: UInt64
  ) {
    var random = RandomSource(seed: seed)
    var ring = FrameRing()
    var model: [UInt8] = []
    for _ in 0..<2000 {
      if random.next() % 3 > 0 {
        let datagram = random.bytes(Int(random.next() % 1400) + 1)
        let isTaken = datagram.withUnsafeBytes { ring.append($0, limit: 100_000) }
        #expect(isTaken == (model.count + 2 + datagram.count <= 100_000))
        if isTaken { model += [UInt8(datagram.count >> 8), UInt8(datagram.count & 255)] + datagram }
      } else {
        let count = Int(random.next() % 4000)
        ring.advance(by: count)
        model.removeFirst(min(count, model.count))
      }
      let count = ring.count
      #expect(count == model.count)
    }
    let left = Self.bytes(ring)
    #expect(left == model)
    ring.advance(by: .max)
    let none = Self.bytes(ring)
    #expect(none.isEmpty)
  }
}
