import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct SRTPSenderTests {
  private func keys(_ profile: SRTPProfile) throws -> SRTPMasterKey {
    var random = RandomSource(seed: 1)
    return try SRTPMasterKey(profile, key: random.bytes(profile.keyBytes), salt: random.bytes(profile.saltBytes))
  }

  // RFC 3711 Appendix A.
  @Test func `behind a roll-over an old number is not taken for a new one`() throws {
    let pair = try SRTPPair(.aeadAES128GCM)
    _ = try pair.protect(packet(sequenceNumber: 40_000, payload: [1]))
    _ = try pair.protect(packet(sequenceNumber: 7000, payload: [1]))
    #expect(throws: SRTPError.indexUsed(ssrc: 0x1234_5678, index: 40_000)) {
      try pair.protect(packet(sequenceNumber: 40_000, payload: [1]))
    }
  }

  // RFC 3711 §9.1, RFC 7714 §9: a pair of key and nonce is used once.
  @Test(arguments: SRTPProfile.allCases) func `a sequence number is not encrypted twice`(_ profile: SRTPProfile) throws {
    let pair = try SRTPPair(profile)
    _ = try pair.protect(packet(sequenceNumber: 7, payload: [1, 2, 3]))
    #expect(throws: SRTPError.indexUsed(ssrc: 0x1234_5678, index: 7)) { try pair.protect(packet(sequenceNumber: 7, payload: [1, 2, 4])) }
    #expect(throws: SRTPError.indexUsed(ssrc: 0x1234_5678, index: 7)) { try pair.protect(packet(sequenceNumber: 7, payload: [1, 2, 3])) }
    // Another source has indices of its own.
    _ = try pair.protect(packet(sequenceNumber: 7, ssrc: 9, payload: [1, 2, 4]))
  }

  @Test(arguments: [SRTPProfile.aes128CounterModeHMACSHA1_80, .aeadAES128GCM, .aeadAES256GCM])
  func `with repetitions the same packet goes out again, another does not`(_ profile: SRTPProfile) throws {
    var limits = SRTPLimits()
    limits.repeats = true
    let pair = try SRTPPair(profile, limits: limits)
    let first = try pair.protect(packet(sequenceNumber: 7, payload: [1, 2, 3]))
    _ = try pair.protect(packet(sequenceNumber: 9, payload: [5]))
    #expect(try pair.protect(packet(sequenceNumber: 7, payload: [1, 2, 3])) == first)
    for other in [
      packet(sequenceNumber: 7, payload: [1, 2, 4]), packet(sequenceNumber: 7, timestamp: 1, payload: [1, 2, 3]),
      packet(sequenceNumber: 7, payload: []),
    ] {
      #expect(throws: SRTPError.indexUsed(ssrc: 0x1234_5678, index: 7)) { try pair.protect(other) }
    }
    #expect(try pair.protect(packet(sequenceNumber: 7, payload: [1, 2, 3])) == first)
  }

  @Test func `a refused repetition leaves nothing in the destination`() throws {
    var limits = SRTPLimits()
    limits.repeats = true
    var sender = SRTPSender(.aeadAES128GCM, try keys(.aeadAES128GCM), limits: limits)
    _ = try sender.protected(packet(sequenceNumber: 7, payload: [1, 2, 3]))
    let other = packet(sequenceNumber: 7, payload: [1, 2, 4])
    var output = [UInt8](repeating: 0xAA, count: 64)
    #expect(throws: SRTPError.self) {
      try output.withUnsafeMutableBytes {
        try sender.protect(header: other.span.bytes.extracting(0..<12), payload: other.span.bytes.extracting(12..<15), into: $0)
      }
    }
    #expect(output == [UInt8](repeating: 0, count: 31) + [UInt8](repeating: 0xAA, count: 33))
  }

  /// What an attacker would collect: every (source, index) that left, with its bytes.
  @Test(arguments: seeds(20)) func `no index protects two contents, whatever the order`(_ seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    var limits = SRTPLimits()
    limits.repeats = Bool.random(using: &random)
    limits.window = 128
    let profile = Bool.random(using: &random) ? SRTPProfile.aeadAES128GCM : .aes128CounterModeHMACSHA1_80
    let pair = try SRTPPair(profile, seed: seed, limits: limits)
    var left: [UInt64: [UInt8]] = [:]
    var base = Int.random(in: 65_000...65_535, using: &random)
    for _ in 0..<3000 {
      base += Int.random(in: 0...2, using: &random)
      let index = max(0, base - Int.random(in: 0...200, using: &random))
      let content = packet(sequenceNumber: UInt16(truncatingIfNeeded: index), payload: [UInt8.random(in: 0...2, using: &random)])
      guard let protected = try? pair.protect(content) else { continue }
      // The receiver knows which index it was.
      #expect(left[UInt64(index)] == nil || left[UInt64(index)] == protected)
      left[UInt64(index)] = protected
    }
    #expect(left.count > 1000)
  }

  @Test func `what is older than the window is refused, and so is a jump by half the numbers`() throws {
    let pair = try SRTPPair(.aeadAES128GCM)
    _ = try pair.protect(packet(sequenceNumber: 5000, payload: [1]))
    _ = try pair.protect(packet(sequenceNumber: 5000 - 1023, payload: [1]))
    #expect(throws: SRTPError.indexUsed(ssrc: 0x1234_5678, index: 5000 - 1024)) {
      try pair.protect(packet(sequenceNumber: 5000 - 1024, payload: [1]))
    }
    // Before the first roll-over there is nothing.
    #expect(throws: SRTPError.self) { try pair.protect(packet(sequenceNumber: 5000 + 32_769, payload: [1])) }
  }

  @Test func `a destination that is too small is refused before the index is taken`() throws {
    var sender = SRTPSender(.aeadAES128GCM, try keys(.aeadAES128GCM))
    let bytes = packet(sequenceNumber: 1, payload: [1, 2, 3])
    var output = [UInt8](repeating: 0, count: 30)
    #expect(throws: SRTPError.doesNotFit(needed: 31, available: 30)) {
      try output.withUnsafeMutableBytes {
        try sender.protect(header: bytes.span.bytes.extracting(0..<12), payload: bytes.span.bytes.extracting(12..<15), into: $0)
      }
    }
    let count = try sender.protected(bytes).count
    #expect(count == 31)
  }

  @Test func `sources are bounded`() throws {
    var limits = SRTPLimits()
    limits.sources = 3
    let pair = try SRTPPair(.aeadAES128GCM, limits: limits)
    for ssrc in 1...3 as ClosedRange<UInt32> { _ = try pair.protect(packet(sequenceNumber: 1, ssrc: ssrc, payload: [])) }
    #expect(throws: SRTPError.tooManySources(maximum: 3)) { try pair.protect(packet(sequenceNumber: 1, ssrc: 4, payload: [])) }
    _ = try pair.protect(packet(sequenceNumber: 2, ssrc: 1, payload: []))
  }

  // A session without keys yet has no sender.
  @Test func `a sender can be optional`() throws {
    final class Session { var sender: SRTPSender? }
    let session = Session()
    let bytes = packet(sequenceNumber: 1, payload: [1])
    var count = try session.sender?.protected(bytes).count
    #expect(count == nil)
    session.sender = SRTPSender(.aeadAES128GCM, try keys(.aeadAES128GCM))
    count = try session.sender?.protected(bytes).count
    #expect(count == 29)
  }

  @Test func `keying material has the profile's length`() throws {
    for profile in SRTPProfile.allCases {
      let count = SRTPKeyingMaterial.byteCount(profile)
      let material = try SRTPKeyingMaterial(profile, exported: (0..<count).map { UInt8($0) })
      // RFC 5764 §4.2: client key, server key, client salt, server salt.
      #expect(material.client.key.first == 0 && material.server.key.first == UInt8(profile.keyBytes))
      #expect(material.client.salt.first == UInt8(2 * profile.keyBytes) && material.server.salt.last == UInt8(count - 1))
      #expect(throws: SRTPError.keyLength(expected: count, found: count - 1)) {
        try SRTPKeyingMaterial(profile, exported: [UInt8](repeating: 0, count: count - 1))
      }
    }
  }
}
