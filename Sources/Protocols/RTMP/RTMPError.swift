package import MartletPrimitives

/// Why an RTMP connection cannot go on. Each description names what came, what was expected and where, for one log line.
package enum RTMPError: Error, Equatable, Sendable {
  /// The first bytes belong to another protocol.
  case foreignProtocol(ForeignProtocol)
  /// The peer answered with a version that is not 3 (client side only).
  case unsupportedVersion(UInt8)
  /// The peer was silent, or too slow, while this was awaited.
  case timedOut(waitingFor: String, after: TimeSpan)
  /// A chunk header that contradicts the chunk stream's state (RTMP 1.0 §5.3).
  case malformedChunk(_ what: String, chunkStreamID: UInt32)
  /// A message whose body does not parse.
  case malformedMessage(MessageType, ParseError)
  /// A length or count that the peer controls is above its configured limit.
  case limit(_ what: String, value: Int, maximum: Int)
  /// A message or command that has no place in the present state.
  case unexpected(String)
  /// The session has ended, by an earlier error or by a refusal.
  case closed

  package enum ForeignProtocol: Equatable, Sendable {
    case tls, http
    case unknown(firstByte: UInt8)
  }
}

extension RTMPError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .foreignProtocol(.tls): "TLS came where an RTMP handshake was expected: use the RTMPS port, or rtmp:// without TLS"
    case .foreignProtocol(.http): "HTTP came where an RTMP handshake was expected: use the HTTP port"
    case .foreignProtocol(.unknown(let byte)): "an RTMP handshake begins with version 3, but the first byte is \(byte)"
    case .unsupportedVersion(let version): "the server answered with RTMP version \(version), expected 3"
    case .timedOut(let what, let span): "no \(what) within \(span.seconds) s"
    case .malformedChunk(let what, let id): "\(what) on chunk stream \(id)"
    case .malformedMessage(let type, let error): "malformed \(type) message: \(error)"
    case .limit(let what, let value, let maximum): "\(what): \(value) exceeds the limit of \(maximum)"
    case .unexpected(let what): what
    case .closed: "the RTMP session is closed"
    }
  }
}
