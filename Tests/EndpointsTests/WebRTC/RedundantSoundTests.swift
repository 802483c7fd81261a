import MartletPrimitives
import MartletRTP
import Testing

@testable import MartletEndpoints

@Suite struct RedundantSoundTests {
  private let former = [UInt8](1...40), frame = [UInt8](100...180)

  // RFC 2198 §3.
  @Test func `a frame goes with the one before it, and is the primary block`() throws {
    var sound = RedundantSound()
    for _ in 0..<2 {
      let fits = sound.encode(frame.span.bytes, after: former.span.bytes, offset: 960, payloadType: 111)
      #expect(fits)
    }
    let blocks = try RED.blocks(Slice(sound.payload))
    #expect(blocks.map(\.payload.array) == [former, frame])
    #expect(blocks.map(\.timestampOffset) == [960, 0])
    #expect(blocks.map(\.payloadType) == [111, 111])
  }

  @Test(arguments: [0, 1, 0x3FFF, 0x4000, UInt32.max - 3]) func `only as far apart as the header can say`(_ offset: UInt32) {
    var sound = RedundantSound()
    let fits = sound.encode(frame.span.bytes, after: former.span.bytes, offset: offset, payloadType: 111)
    #expect(fits == (1...0x3FFF ~= offset))
  }

  @Test(arguments: [0, 1, 1000, 1023, 1024, 5000]) func `only what fits into a packet and the header`(_ count: Int) {
    var sound = RedundantSound()
    let large = [UInt8](repeating: 7, count: count)
    let fits = sound.encode(frame.span.bytes, after: large.span.bytes, offset: 960, payloadType: 111)
    #expect(fits == (1...1023 ~= count))
    let tooLarge = [UInt8](repeating: 7, count: 1300)
    let overflows = !sound.encode(tooLarge.span.bytes, after: former.span.bytes, offset: 960, payloadType: 111)
    #expect(overflows)
  }
}
