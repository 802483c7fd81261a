package import MartletPrimitives

/// Why a packet could not be protected, or not be accepted.
package enum SRTPError: Error, Equatable, Sendable {
  case malformed(ParseError)
  /// Forged, damaged, or under another key.
  case authenticationFailed(ssrc: UInt32)
  /// Seen before, or too old to tell (RFC 3711 §3.3.2).
  case replayed(ssrc: UInt32, index: UInt64)
  /// RTCP without encryption, which no profile of ours permits.
  case unencrypted(ssrc: UInt32)
  /// A source beyond the limit.
  case tooManySources(maximum: Int)
  /// The destination is too small.
  case doesNotFit(needed: Int, available: Int)
  /// This index has protected another content already, or may have: the packet must not leave.
  case indexUsed(ssrc: UInt32, index: UInt64)
  /// As many packets as a key may protect (RFC 3711 §9.2): the session must be made anew.
  case keyExhausted
  /// Keying material that does not have the profile's length.
  case keyLength(expected: Int, found: Int)
}

extension SRTPError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let error): "not an SRTP packet: \(error)"
    case .authenticationFailed(let ssrc): "the tag of a packet of source \(ssrc) is wrong: forged, damaged, or under another key"
    case .replayed(let ssrc, let index): "packet \(index) of source \(ssrc) came before, or too long ago to tell"
    case .unencrypted(let ssrc): "RTCP of source \(ssrc) is not encrypted"
    case .tooManySources(let maximum): "a new source beyond the limit of \(maximum)"
    case .doesNotFit(let needed, let available): "\(needed) bytes do not fit \(available)"
    case .indexUsed(let ssrc, let index): "packet \(index) of source \(ssrc) was sent before with another content"
    case .keyExhausted: "the key has protected as many packets as it may"
    case .keyLength(let expected, let found): "keying material of \(found) bytes, expected \(expected)"
    }
  }
}
