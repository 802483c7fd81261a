package import MartletPrimitives

/// Why an access unit cannot be sent as RTP.
package enum PayloadError: Error, Equatable, Sendable {
  /// The access unit is not what its codec says.
  case malformed(ParseError)
  /// Something that must travel in one packet does not fit into it.
  case tooLarge(_ what: String, bytes: Int, maximum: Int)
}

extension PayloadError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let error): "a malformed access unit: \(error)"
    case .tooLarge(let what, let bytes, let maximum): "\(what) of \(bytes) bytes, at most \(maximum) fit into a packet"
    }
  }
}
