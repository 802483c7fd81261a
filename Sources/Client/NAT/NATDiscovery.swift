internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// Asks a STUN server what stands between this machine and the internet:
///
///     let report = try await NATDiscovery.ask("stun.example.org")
///     print(report)      // port-restricted cone NAT: seen as 203.0.113.7:40112, …
///
/// A Martlet or coturn with two addresses tells everything; a plain STUN server the outside address and hairpinning.
public enum NATDiscovery {
  /// Takes three seconds behind most NATs and at most seven: that no answer comes is one of the answers.
  /// - Parameter server: `HOST`, `HOST:PORT` or `stun:HOST:PORT`; the port is 3478 unless given.
  public static func ask(_ server: String) async throws(Failure) -> NATReport { try await ask(server, on: .shared) }

  package static func ask(_ server: String, on loop: ClientLoop) async throws(Failure) -> NATReport {
    guard let (host, port) = endpoint(server) else { throw .invalidServer(server) }
    let answer = Inbox<NATReport, Failure>(limit: 1)
    let probe = LoopBound(on: loop) { NATProbe(in: $0, answer: answer) }
    probe.post { $0.begin(host, port) }
    guard let report = try await answer.next() else { throw .cancelled }
    return report
  }

  private static func endpoint(_ text: String) -> (host: String, port: UInt16)? {
    let rest = text.hasPrefix("stun:") ? text.dropFirst(5) : text[...]
    if let address = SocketAddress(String(rest)), rest.first != ":" { return ("\(address.ip)", address.port) }
    if IPAddress(String(rest)) != nil { return (String(rest.drop { $0 == "[" }.prefix { $0 != "]" }), 3478) }
    let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
    guard let host = parts.first, !host.isEmpty, parts.count <= 2, !host.contains("/") else { return nil }
    guard parts.count == 2 else { return (String(host), 3478) }
    return UInt16(parts[1]).map { (String(host), $0) }
  }

  /// Why there is no report.
  public enum Failure: Error, Equatable, Sendable, CancellableFailure, CustomStringConvertible {
    /// No `HOST:PORT`.
    case invalidServer(String)
    /// The name has no address, or no socket can be opened; the sentence says which.
    case unavailable(String)
    /// The task was cancelled.
    case cancelled

    public var description: String {
      switch self {
      case .invalidServer(let text): "\"\(text)\" is no STUN server: expected HOST, HOST:PORT or stun:HOST:PORT"
      case .unavailable(let reason): reason
      case .cancelled: "cancelled"
      }
    }
  }
}
