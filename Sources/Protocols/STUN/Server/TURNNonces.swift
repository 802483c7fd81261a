internal import MartletCrypto
package import MartletPrimitives

/// Nonces that the server does not remember (RFC 8489 §9.2): the nonce cookie and security features, when it was issued, and a code
/// over both and the client's address. So a flood of challenges costs no memory, and what was taken from one client is of no use from
/// another's address. All workers have the same key; an attacker between client and server cannot take a feature out of a nonce.
///
///     obMatJos2 | 4 digits: features | 16 digits: 4 bytes seconds, 8 bytes HMAC-SHA256 of features, seconds, address
///
/// Who serves a stream passes port 0: the handshake has shown the address, and RFC 6062 §4.3 has a client come from a second port.
package struct TURNNonces: Sendable {
  package enum Verdict: Equatable, Sendable {
    case valid
    /// Ours, of this client, and too old.
    case stale
    /// Not ours, or of another client. So is one of an earlier run of the server: the answer is 438 for both, and only the counts differ.
    case forged
  }

  /// RFC 8489 §18.1; bit 0 is the rightmost of 24.
  package struct Features: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue & 0xFF_FFFF }
    package static let passwordAlgorithms = Features(rawValue: 1)
    package static let usernameAnonymity = Features(rawValue: 2)
  }

  /// How long a nonce is: bytes, each a character of the base64 alphabet.
  package static let byteCount = cookie.count + 4 + 16

  private static let cookie = Array("obMatJos2".utf8)
  private static let codeBytes = 8

  private let key: [UInt8]
  private let lifetime: TimeSpan
  private let features: Features

  /// - Parameters:
  ///   - key: 32 random bytes, the same for all workers of a process.
  ///   - lifetime: How long a nonce is valid; RFC 8656 §5 recommends that it ends within an hour.
  package init(key: [UInt8], lifetime: TimeSpan = .seconds(600), features: Features = .passwordAlgorithms) {
    self.key = key
    self.lifetime = lifetime
    self.features = features
  }

  package func issue(to client: SocketAddress, now: Instant) -> [UInt8] {
    var writer = ByteWriter(capacity: 4 + Self.codeBytes)
    writer.u32(Self.seconds(now))
    writer.append(code(features, Self.seconds(now), client))
    let flags = [16, 8, 0].map { UInt8(truncatingIfNeeded: features.rawValue >> $0) }
    return Self.cookie + Array((Base64.encode(flags) + Base64.encode(writer.bytes)).utf8)
  }

  package func verify(_ nonce: RawSpan, from client: SocketAddress, now: Instant) -> Verdict {
    guard let parts = Self.parse(nonce), Digest.equal(parts.code, code(parts.features, parts.seconds, client)) else { return .forged }
    let age = TimeSpan.seconds(Int(Self.seconds(now) &- parts.seconds))
    return age <= lifetime && parts.features == features ? .valid : .stale
  }

  private func code(_ features: Features, _ seconds: UInt32, _ client: SocketAddress) -> [UInt8] {
    var writer = ByteWriter(capacity: 26)
    writer.u32(features.rawValue)
    writer.u32(seconds)
    writer.append(client.ip.bytes)
    writer.u16(client.port)
    return Array(Digest.hmac(.sha256, key: key, writer.bytes).prefix(Self.codeBytes))
  }

  private static func parse(_ nonce: RawSpan) -> (features: Features, seconds: UInt32, code: [UInt8])? {
    guard nonce.byteCount == byteCount else { return nil }
    let text = Array(copying: nonce)
    guard text.starts(with: cookie) else { return nil }
    let digits = String(decoding: text.dropFirst(cookie.count), as: UTF8.self)
    guard let flags = Base64.decode(digits.prefix(4)), flags.count == 3,
      let rest = Base64.decode(digits.dropFirst(4)), rest.count == 4 + codeBytes
    else { return nil }
    let seconds = rest.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return (Features(rawValue: flags.reduce(0) { $0 << 8 | UInt32($1) }), seconds, Array(rest.dropFirst(4)))
  }

  private static func seconds(_ now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000_000) }
}
