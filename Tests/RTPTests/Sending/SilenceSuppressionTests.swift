import MartletCodecs
import MartletPrimitives
import MartletRTP
import Testing

/// RFC 3551 §4.1, RFC 3389 §4.
@Suite struct SilenceSuppressionTests {
  /// 20 ms of µ-law: a square wave near the top, silence with a bit of noise, nothing at all.
  private static let loud = [UInt8](repeating: 0x80, count: 160)
  private static let quiet = (0..<160).map { $0 % 2 == 0 ? UInt8(0xfe) : 0x7e }
  private static let still = [UInt8](repeating: 0xff, count: 160)

  /// One frame after another from `place` on.
  private func run(
    _ suppression: inout SilenceSuppression, _ frames: [[UInt8]], from place: Int = 0
  ) -> [SilenceSuppression.Verdict] {
    frames.enumerated().map { index, frame in
      let number = place + index
      return suppression.receive(
        frame.span.bytes, timestamp: UInt32(number * 160), now: .zero + .milliseconds(number * 20))
    }
  }

  // ITU-T G.711: the largest µ-law value is 0.14 dB below the overload point; silence of either law.
  @Test func `the level of sound is in decibels below the overload point`() {
    #expect(G711Level.level(of: Self.loud.span.bytes, .g711u) == 0)
    #expect(G711Level.level(of: Self.still.span.bytes, .g711u) == 127)
    // ±8 of 32,768.
    #expect(G711Level.level(of: Self.quiet.span.bytes, .g711u) == 72)
    #expect(G711Level.level(of: [UInt8](repeating: 0x2a, count: 80).span.bytes, .g711a) == 0)
    // ±8 too: the smallest values of A-law.
    #expect(G711Level.level(of: [UInt8]([0xd5, 0x55]).span.bytes, .g711a) == 72)
    #expect(G711Level.level(of: [UInt8]().span.bytes, .g711a) == 127)
  }

  // 10 ms of ITU-T G.722 from its beginning, encoded by FFmpeg: a tone in either band, 21 dB below the overload point once it is
  // there, and silence.
  @Test(arguments: [
    (
      "fadb329b2795a0a0a0e0e1ec71f7fed9d5d2d2539699ddfcf6f3f1b0f072f6bbdedbd895d454d69afefbb8f3f2f171f3b8fbdeda98d454d496dcdebaf6f4f0ef"
        + "7374b5fb9edcd6d6d5d596dbdffaf8f3", 22
    ),
    (
      "fa3788208420bcbd3e3cbfbf3d3fbdbd3d3dbdbd3d3dbdbd3d3dbdfd3d7dbdfc3d7dbcfc3d7dfcfc3d7dfcfc3c7cbcfc7c7cbcfb3d7dfbfd3f7ffdfd3f7fbcfc"
        + "7e7ebcfc7e7ebcfc3e7efcbc7efebcfc", 23
    ),
    (
      "fafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafafaf7f7f7f7f7f7f7f8f7faf7f8f8fafaf7f7f8f7fa"
        + "f8f7faf8f7faf7f8f8fadbf0f8f8f8f8", 85
    ),
  ])
  func `the level of G,722 is that of both its bands`(digits: String, level: UInt8) {
    var meter = G722Level()
    #expect(meter.level(of: hex(digits).span.bytes) == level)
    #expect(meter.level(of: [UInt8]().span.bytes) == 127)
  }

  // Every code at every state stays within the integers of the recommendation.
  @Test func `the level of any bytes is a level`() {
    var (meter, random) = (G722Level(), RandomSource(seed: 722))
    for round in 0..<200 {
      let bytes = (0..<160).map { _ in round % 2 == 0 ? UInt8.random(in: .min ... .max, using: &random) : UInt8(truncatingIfNeeded: round) }
      #expect(meter.level(of: bytes.span.bytes) <= 127)
    }
    #expect(SilenceSuppression(.opus) == nil)
  }

  @Test func `a spurt begins with a marker and ends with noise, which is told again every 200 ms`() throws {
    var suppression = try #require(SilenceSuppression(.g711u))
    #expect(run(&suppression, [Self.loud, Self.loud]) == [.sound(startsSpurt: true), .sound(startsSpurt: false)])
    let silence = run(&suppression, [[UInt8]](repeating: Self.quiet, count: 31), from: 2)
    // The ends of words belong to the spurt.
    #expect(silence[..<10].allSatisfy { $0 == .sound(startsSpurt: false) })
    for (index, verdict) in silence.enumerated().dropFirst(10) {
      #expect(verdict == (index % 10 == 0 ? .noise(ComfortNoise(level: 72)) : .nothing))
    }
    #expect(run(&suppression, [Self.loud], from: 33) == [.sound(startsSpurt: true)])
  }

  @Test func `a source that stops is spoken for`() throws {
    var suppression = try #require(SilenceSuppression(.g711u))
    #expect(suppression.deadline == nil)
    _ = run(&suppression, [Self.loud])
    let due = try #require(suppression.deadline)
    let early = suppression.timeout(now: .zero + .milliseconds(99))
    #expect(due == .zero + .milliseconds(100) && early == nil)
    let begun = suppression.timeout(now: due)
    let first = try #require(begun)
    // It begins where the sound ended; of a source that was never quiet nothing is known.
    #expect(first.noise == ComfortNoise(level: 127) && first.timestamp == 160)
    let again = try #require(suppression.deadline)
    let goneOn = suppression.timeout(now: again)
    let second = try #require(goneOn)
    #expect(again == due + .milliseconds(200) && second.timestamp == 160 + 300 * 8)
    #expect(run(&suppression, [Self.loud], from: 50) == [.sound(startsSpurt: true)])
  }

  @Test func `noise is written as it is read`() throws {
    let noise = ComfortNoise(level: 200, spectrum: [127, 0, 254])
    #expect(noise.payload == [127, 127, 0, 254])
    let read = try ComfortNoise(noise.payload)
    // RFC 3389 §3.2: 258 × (N − 127) / 32768.
    #expect(read.level == 127 && read.reflection == [0, -258 * 127 / 32768.0, 258 * 127 / 32768.0])
  }
}
