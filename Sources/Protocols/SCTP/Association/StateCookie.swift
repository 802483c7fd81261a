internal import MartletCrypto
internal import MartletPrimitives

/// What an INIT ACK gives away so that nothing is kept until the peer has brought it back (RFC 9260 §5.1.3).
struct StateCookie: Equatable {
  var createdAt: Instant
  var localTag: UInt32
  var localTSN: UInt32
  var peerTag: UInt32
  var peerTSN: UInt32
  var peerWindow: UInt32
  var peerOutgoingStreams: UInt16
  var peerIncomingStreams: UInt16
  var peerExtensions: SCTPExtensions
  /// The tags of the association that existed when the INIT came, else 0 (RFC 9260 §5.2.2).
  var tieLocal: UInt32
  var tiePeer: UInt32

  private static let codeBytes = 32

  func sealed(_ key: [UInt8]) -> [UInt8] {
    var writer = ByteWriter(capacity: 80)
    writer.u64(UInt64(bitPattern: createdAt.nanoseconds))
    for value in [localTag, localTSN, peerTag, peerTSN, peerWindow, tieLocal, tiePeer] { writer.u32(value) }
    writer.u16(peerOutgoingStreams)
    writer.u16(peerIncomingStreams)
    writer.u8(peerExtensions.rawValue)
    writer.append(Digest.hmac(.sha256, key: key, writer.bytes))
    return writer.bytes
  }
}

extension StateCookie {
  /// `nil` for a cookie that was not made with this key.
  init?(opening bytes: RawSpan, _ key: [UInt8]) {
    guard bytes.byteCount > Self.codeBytes else { return nil }
    let content = bytes.extracting(0..<bytes.byteCount - Self.codeBytes)
    let code = Array(copying: bytes.extracting(content.byteCount..<bytes.byteCount))
    guard Digest.equal(code, Digest.hmac(.sha256, key: key, content)) else { return nil }
    var reader = ByteReader(content)
    guard let cookie = try? Self(parsing: &reader) else { return nil }
    self = cookie
  }

  @_lifetime(reader: copy reader)
  private init(parsing reader: inout ByteReader) throws(ParseError) {
    createdAt = Instant(nanoseconds: Int64(bitPattern: try reader.u64()))
    localTag = try reader.u32()
    localTSN = try reader.u32()
    peerTag = try reader.u32()
    peerTSN = try reader.u32()
    peerWindow = try reader.u32()
    tieLocal = try reader.u32()
    tiePeer = try reader.u32()
    peerOutgoingStreams = try reader.u16()
    peerIncomingStreams = try reader.u16()
    peerExtensions = SCTPExtensions(rawValue: try reader.u8())
  }
}
