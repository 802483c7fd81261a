/// Which way media flows, seen from whoever wrote it (RFC 8866 §6.7).
package enum MediaDirection: String, Sendable {
  case sendrecv, sendonly, recvonly, inactive

  package init(sends: Bool, receives: Bool) {
    self = sends ? (receives ? .sendrecv : .sendonly) : (receives ? .recvonly : .inactive)
  }

  package var sends: Bool { self == .sendrecv || self == .sendonly }
  package var receives: Bool { self == .sendrecv || self == .recvonly }

  /// The same, seen from the other side.
  package var inverted: MediaDirection { MediaDirection(sends: receives, receives: sends) }

  /// What both sides allow, both seen from one of them.
  package func intersection(_ other: MediaDirection) -> MediaDirection {
    MediaDirection(sends: sends && other.sends, receives: receives && other.receives)
  }
}

/// Who opens the DTLS connection (RFC 4145 §4, RFC 8842 §5).
package enum SetupRole: String, Sendable {
  case active, passive, actpass, holdconn
}
