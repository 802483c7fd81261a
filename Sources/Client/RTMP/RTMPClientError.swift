internal import MartletIO
internal import MartletRTMP

/// Why a stream is not published or played, or no longer. Each description is a sentence for a person.
public enum RTMPClientError: Error, Equatable, Sendable {
  /// No `rtmp://` or `rtmps://` URL with an application and a stream name.
  case invalidURL(String)
  /// No TCP connection, or no TLS that can be trusted.
  case unreachable(String)
  /// A step took longer than `RTMPOptions` allows.
  case timedOut(String)
  /// The server's own answer: a code such as `NetStream.Publish.BadName` (RTMP 1.0 §7.2) and its sentence.
  case refused(code: String, description: String)
  /// The server sent to another one, which sent on, and so forth, or to something that is no RTMP address.
  case redirected(String)
  /// What the server sent is not RTMP.
  case malformed(String)
  /// The stream that was played has ended.
  case streamEnded
  /// The connection is lost, or was closed on this side.
  case closed(String)
  /// A packet that RTMP cannot carry, or a frame before its format.
  case unsupported(String)
  case cancelled
}

extension RTMPClientError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidURL(let text): "\"\(text.prefix(200))\" is no rtmp:// or rtmps:// URL with an application and a stream name"
    case .unreachable(let reason), .timedOut(let reason), .redirected(let reason), .malformed(let reason), .closed(let reason),
      .unsupported(let reason):
      reason
    case .refused(let code, let description): description.isEmpty ? code : "\(code): \(description)"
    case .streamEnded: "the stream ended"
    case .cancelled: "cancelled"
    }
  }
}

extension RTMPClientError: CancellableFailure {}

extension RTMPClientError {
  internal init(_ error: ConnectError) {
    switch error {
    case .timedOut: self = .timedOut("\(error)")
    case .unresolved, .forbidden, .failed: self = .unreachable("\(error)")
    }
  }

  internal init(_ error: RTMPError) {
    switch error {
    case .timedOut: self = .timedOut("\(error)")
    case .closed: self = .closed("\(error)")
    default: self = .malformed("\(error)")
    }
  }
}
