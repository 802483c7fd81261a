@testable import MartletEndpoints
import MartletMedia
import MartletPrimitives
import Testing

@Suite struct TrainPaddingTests {
  private func packets(_ sizes: [Int], timestamp: UInt32 = 1, source: UInt32 = 1) -> [StreamPacket] {
    sizes.map { size in
      StreamPacket(
        track: 0, source: source, sequence: 0, timestamp: timestamp, marker: false, startsKeyFrame: false,
        payload: Slice([UInt8](repeating: 7, count: size)))
    }
  }

  // RFC 3550 §5.1
  @Test func `the packets of a picture get one length, and say what was added`() {
    var picture = packets([1000, 1000, 1001, 1001])
    TrainPadding.equalise(&picture)
    #expect(picture.map(\.payload.count) == [1001, 1001, 1001, 1001])
    #expect(picture.map(\.padding) == [1, 1, 0, 0])
    #expect(picture[0].payload.array == [UInt8](repeating: 7, count: 1000) + [1])
    var uneven = packets([990, 1000, 400])
    TrainPadding.equalise(&uneven)
    #expect(uneven[0].payload.array.suffix(10) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 10])
    // The last of a train may be shorter.
    #expect(uneven.map(\.payload.count) == [1000, 1000, 400])
  }

  @Test func `other pictures, other layers, packets of another kind and those without content stay as they are`() {
    var mixed = packets([500]) + packets([600], timestamp: 2) + packets([700], timestamp: 2, source: 2)
    mixed += packets([20, 1000, 0, 1000], timestamp: 3)
    let before = mixed.map(\.payload.count)
    TrainPadding.equalise(&mixed)
    #expect(mixed.map(\.payload.count) == before)
    var none: [StreamPacket] = []
    TrainPadding.equalise(&none)
    #expect(none.isEmpty)
  }
}
