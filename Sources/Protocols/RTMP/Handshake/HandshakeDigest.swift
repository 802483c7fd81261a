internal import MartletCrypto
internal import MartletPrimitives

/// The digest ("complex") handshake that Flash Player 9 and later ask for. It is not in the RTMP specification; the keys
/// and the two layouts are common knowledge among servers and players.
enum HandshakeDigest {
  /// Where the 32 bytes of the digest lie inside C1 and S1.
  enum Scheme: CaseIterable, Sendable {
    /// Digest in the first half, key in the second.
    case digestFirst
    /// Key in the first half, digest in the second.
    case keyFirst

    /// Where the four bytes lie whose sum places the digest.
    var pointer: Int { self == .digestFirst ? 8 : 772 }
  }

  static let packetBytes = 1536
  static let digestBytes = 32

  /// The key with which a client signs C1, a server S1: the text alone.
  static let playerText = Array("Genuine Adobe Flash Player 001".utf8)
  static let serverText = Array("Genuine Adobe Flash Media Server 001".utf8)
  /// With the suffix they sign C2 and S2.
  static let playerKey = playerText + suffix
  static let serverKey = serverText + suffix

  private static let suffix: [UInt8] = [
    0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57,
    0x6E, 0xEC, 0x5D, 0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
  ]

  /// Signs a C1 or S1 of 1,536 bytes in place and answers the digest.
  static func sign(_ packet: inout [UInt8], _ scheme: Scheme, key: [UInt8]) -> [UInt8] {
    guard let at = offset(in: packet, scheme) else { return [] }
    let digest = digest(of: packet, at: at, key: key)
    packet.replaceSubrange(at..<at + digestBytes, with: digest)
    return digest
  }

  /// The scheme and digest of a C1 or S1 that the holder of `key` signed; `nil` for a simple handshake.
  static func find(in packet: [UInt8], key: [UInt8]) -> (scheme: Scheme, digest: [UInt8])? {
    for scheme in Scheme.allCases {
      guard let at = offset(in: packet, scheme) else { continue }
      let claimed = Array(packet[at..<at + digestBytes])
      if Digest.equal(claimed, digest(of: packet, at: at, key: key)) { return (scheme, claimed) }
    }
    return nil
  }

  /// Signs a C2 or S2: the last 32 bytes prove that its sender knows `key` and has read the other side's digest.
  static func answer(_ packet: inout [UInt8], to digest: [UInt8], key: [UInt8]) {
    guard packet.count == packetBytes else { return }
    let body = Array(packet.prefix(packetBytes - digestBytes))
    let signature = Digest.hmac(.sha256, key: Digest.hmac(.sha256, key: key, digest), body)
    packet = body + signature
  }

  private static func offset(in packet: [UInt8], _ scheme: Scheme) -> Int? {
    guard packet.count == packetBytes else { return nil }
    let pointer = scheme.pointer
    // Four bytes of pointer, at most 727 further, and 32 of digest end inside each half of 764 bytes.
    return pointer + 4 + packet[pointer..<pointer + 4].reduce(0) { $0 + Int($1) } % 728
  }

  private static func digest(of packet: [UInt8], at: Int, key: [UInt8]) -> [UInt8] {
    Digest.hmac(.sha256, key: key, Array(packet[..<at] + packet[(at + digestBytes)...]))
  }
}

/// Fills handshake packets. The bytes need to differ between connections and need no secrecy, so one number drawn from
/// the injected source is stretched (xorshift64*) instead of asking that source two hundred times.
struct HandshakeNoise {
  private var state: UInt64

  init(seed: UInt64) { state = seed | 1 }

  /// A packet of 1,536 bytes: time 0, `version`, noise.
  mutating func packet(version: UInt32) -> [UInt8] {
    var writer = ByteWriter(capacity: HandshakeDigest.packetBytes)
    writer.u32(0)
    writer.u32(version)
    while writer.count < HandshakeDigest.packetBytes {
      state ^= state >> 12
      state ^= state << 25
      state ^= state >> 27
      writer.u64(state &* 0x2545_F491_4F6C_DD1D)
    }
    return writer.bytes
  }
}
