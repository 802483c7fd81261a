import MartletMedia
import MartletPrimitives
import Testing

@testable import MartletEndpoints

@Suite struct TargetForwardingTests {
  // Of Chromium: AV1 with L1T3, from its key frame on, a descriptor a frame.
  private static let temporal = [
    "800001800214eaa860414d1410208427013f00ef", "c30002", "c20003", "c40004", "c10005", "c30006", "c20007", "c40008", "c10009", "c3000a",
    "c2000b", "c4000c", "c1000d", "c3000e", "c2000f", "c40010",
  ]
  // Of Chromium: VP9 with L3T3_KEY, of which the lower two layers are sent, from where that begins.
  private static let spatial = [
    """
    cf0029c1e81485214eaaaaa8000600004000100002aa80a8000600004000100002a000a800060000400016d549241b5524906d54923157e001974ca86433\
    0e222396eca8655304224390eca8775300ef008601df010d03bf021b1f80
    """, "d4002a", "d2002b1a20100800", "d7002c1a20181000", "d1002d1a60201800", "d6002e1a60282000", "d2002f1a20302800", "d700301a20383000",
    "d000311ae0403800", "d500321ae0084000", "d200331a20100800", "d700341a20181000", "d100351a60201800", "d600361a60282000",
  ]

  private static func bytes(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8).map { UInt8(Character(UnicodeScalar($0)).hexDigitValue ?? 0) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  private static func frames(_ descriptors: [String]) throws -> ([ScalableFrame], Scalability) {
    var layout = ScalableLayout()
    var frames: [ScalableFrame] = []
    for text in descriptors { frames.append(try #require(layout.receive(bytes(text).span.bytes).frame)) }
    return (frames, try #require(layout.scalability))
  }

  private func sent(_ frames: [ScalableFrame], _ scalability: Scalability, _ forwarding: inout TargetForwarding) -> [UInt16] {
    var sent: [UInt16] = []
    for frame in frames where forwarding.decide(frame, scalability) != .leaveOut { sent.append(frame.number) }
    return sent
  }

  @Test func `the layers of a real stream are known from its first packet on, and what of them is sent`() throws {
    let (_, temporal) = try Self.frames(Self.temporal)
    let layers: [[UInt8]] = temporal.targets.map { [$0.spatial, $0.temporal] }
    #expect(layers == [[0, 0], [0, 1], [0, 2]])
    #expect(temporal.choices == [0, 1, 2])
    let (_, spatial) = try Self.frames(Self.spatial)
    #expect(spatial.targets.count == 9)
    // The highest layer is not sent; the rate goes down with the smallest picture alone.
    #expect(spatial.active == 0b000_111_111)
    #expect(spatial.choices == [0, 1, 2, 5])
  }

  @Test func `a lower rate of pictures leaves every other frame out, and a higher one comes back without a key frame`() throws {
    let (frames, scalability) = try Self.frames(Self.temporal)
    var forwarding = TargetForwarding(wanted: 0)
    let key = sent(Array(frames[..<8]), scalability, &forwarding)
    #expect(key == [1, 5])
    forwarding.wanted = 2
    #expect(!forwarding.needsKeyFrame(scalability))
    let more = sent(Array(frames[8...]), scalability, &forwarding)
    #expect(more == [9, 10, 11, 12, 13, 14, 15, 16])
  }

  @Test func `a larger picture waits for a key frame where layers need one another only there`() throws {
    let (frames, scalability) = try Self.frames(Self.spatial)
    var forwarding = TargetForwarding(wanted: 2)
    let small = sent(Array(frames[..<6]), scalability, &forwarding)
    #expect(small == [41, 43, 45])
    forwarding.wanted = 5
    #expect(forwarding.needsKeyFrame(scalability))
    let still = sent(Array(frames[6...]), scalability, &forwarding)
    #expect(still == [47, 49, 51, 53])
    var large = TargetForwarding(wanted: 5)
    let all = sent(frames, scalability, &large)
    // Of the key frame both layers, then its own.
    #expect(all == [41, 42, 44, 46, 48, 50, 52, 54])
  }

  @Test func `a picture ends with the highest layer that is sent`() throws {
    let (frames, scalability) = try Self.frames(Self.spatial)
    var forwarding = TargetForwarding(wanted: 5)
    #expect(forwarding.decide(frames[0], scalability) == .send(endsPicture: false))
    #expect(forwarding.decide(frames[1], scalability) == .send(endsPicture: true))
    var small = TargetForwarding(wanted: 0)
    #expect(small.decide(frames[0], scalability) == .send(endsPicture: true))
  }

  // Frames of a picture in any order, lost, twice: what is sent of one is all sent, and never what is not of the target.
  @Test(arguments: 0..<20) func `packets that come late go with their frame, and those of long ago do not`(_ seed: UInt64) throws {
    let (frames, scalability) = try Self.frames(Self.temporal)
    var random = RandomSource(seed: seed)
    var forwarding = TargetForwarding(wanted: 1)
    _ = forwarding.decide(frames[0], scalability)
    for _ in 0..<200 {
      let frame = frames[Int.random(in: 1..<frames.count, using: &random)]
      let isSent = forwarding.decide(frame, scalability) != .leaveOut
      #expect(isSent == frame.isPart(of: 1))
    }
    var newer = frames[1]
    newer.number = 500
    _ = forwarding.decide(newer, scalability)
    #expect(forwarding.decide(frames[0], scalability) == .leaveOut)
  }

  @Test func `garbage is no layer`() {
    var random = RandomSource(seed: 5)
    var layout = ScalableLayout()
    _ = layout.receive(Self.bytes(Self.spatial[0]).span.bytes)
    for _ in 0..<20_000 {
      let (frame, _) = layout.receive(random.bytes(Int.random(in: 0...60, using: &random)).span.bytes)
      guard let frame, let scalability = layout.scalability else { continue }
      var forwarding = TargetForwarding(wanted: Int.random(in: 0..<40, using: &random))
      _ = forwarding.decide(frame, scalability)
      #expect(scalability.targets.count <= 32 && scalability.choices.allSatisfy { $0 < scalability.targets.count })
    }
  }
}
