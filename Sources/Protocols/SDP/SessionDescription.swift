/// A session description (RFC 8866) as a value: text that parses comes back from `write()` the same but for these freedoms,
/// which the grammar leaves and peers use differently: the order of lines other than attributes within a section, spaces
/// repeated or at the end of a line, the case of hexadecimal digits, the order of the two halves of `simulcast`, leading zeros
/// of numbers and zeros at the end of their fractions, blanks around the semicolons of `fmtp`, line ends, and `s=` and `t=` lines
/// that are missing or say nothing, which are written as `s=-` and `t=0 0`.
package struct SessionDescription: Equatable, Sendable, SDPSection {
  package var origin: Origin
  /// `s=`; JSEP writes a single dash.
  package var name = "-"
  package var connection: Connection?
  package var bandwidths: [Bandwidth] = []
  /// The lines of types i, u, e, p, t, r, z and k, which nobody here interprets, those before `c=` in front.
  package var uninterpreted = [UninterpretedLine(type: "t", value: "0 0")]
  /// Of the session level, in the order of the text.
  package var attributes: [SDPAttribute] = []
  package var media: [MediaDescription] = []

  package init(origin: Origin) { self.origin = origin }

  /// The `m=` section with a `mid`.
  package func section(mid: String) -> Int? { media.firstIndex { $0.mid == mid } }
}

extension SessionDescription {
  /// `o=` (RFC 8866 §5.2).
  package struct Origin: Equatable, Sendable {
    package var username: String
    /// Digits.
    package var sessionID: String
    /// Grows by one with each new description of the session.
    package var sessionVersion: UInt64
    package var connection: Connection

    /// As JSEP writes it (RFC 8829 §5.2.1): no user name, an address that says nothing.
    /// - Parameter sessionID: random, below 2^62, so that it stays positive in 64 bits everywhere.
    package init(sessionID: UInt64, sessionVersion: UInt64 = 1) {
      (username, self.sessionID, self.sessionVersion) = ("-", String(sessionID & ((1 << 62) - 1)), sessionVersion)
      connection = Connection(isIPv6: false, address: "127.0.0.1")
    }
  }

  /// The network type, address type and address of `c=`, `o=` and `a=rtcp` (RFC 8866 §5.7).
  package struct Connection: Equatable, Sendable {
    package var isIPv6: Bool
    /// An address or a host name; in a multicast `c=` with the time to live and the count behind slashes.
    package var address: String

    package init(isIPv6: Bool, address: String) {
      self.isIPv6 = isIPv6
      self.address = address
    }

    /// 0.0.0.0: trickled candidates will tell.
    package static let unspecified = Connection(isIPv6: false, address: "0.0.0.0")
  }

  /// `b=` (RFC 8866 §5.8): `AS` and `CT` count kilobits a second, `TIAS` (RFC 3890) bits.
  package struct Bandwidth: Equatable, Sendable {
    package var type: String
    package var value: UInt64

    package init(type: String, value: UInt64) {
      self.type = type
      self.value = value
    }
  }

  package struct UninterpretedLine: Equatable, Sendable {
    package var type: Character
    package var value: String

    package init(type: Character, value: String) {
      self.type = type
      self.value = value
    }
  }
}

extension SessionDescription.Origin: CustomStringConvertible {
  package var description: String { "\(username) \(sessionID) \(sessionVersion) \(connection)" }
}

extension SessionDescription.Connection: CustomStringConvertible {
  package var description: String { "IN \(isIPv6 ? "IP6" : "IP4") \(address)" }
}
