internal import MartletClient
internal import MartletMedia
internal import MartletPrimitives

/// Why a server inside your program does not do what it should. Each description says what would change it.
public enum ServerError: Error, Equatable, Sendable {
  /// Everything that is wrong with a configuration, a line for each.
  case configuration([String])
  /// It cannot start: an address that cannot be listened on, a certificate that cannot be read.
  case start(String)
  /// The path cannot be published: taken, reserved, or no path.
  case publish(String)
  /// Somebody else publishes under the name now, or an administrator stopped the stream.
  case revoked(String)
  /// A frame before its format.
  case media(String)
  case stopped
  case cancelled
}

extension ServerError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .configuration(let lines): lines.joined(separator: "\n")
    case .start(let reason), .publish(let reason), .revoked(let reason), .media(let reason): reason
    case .stopped: "the server is stopped"
    case .cancelled: "cancelled"
    }
  }
}

extension ServerError: CancellableFailure {}

extension ServerError {
  internal init(_ error: ConfigurationError) {
    self = .configuration(
      error.problems.map { problem in
        // `Configuration.set` goes in by the door of the environment.
        if case .environment = problem.place { return "\(problem.key): \(problem.reason)" }
        return problem.description(file: error.file)
      })
  }
}
