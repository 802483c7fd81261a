package import MartletHTTP

/// Where a stream is on an RTMP server: an `rtmp` or `rtmps` URL.
///
/// The last segment of the path, with the query, is the stream's name on the other server; what stands before it is its
/// application.
package struct RTMPTarget: Sendable, Equatable {
  package let url: URLReference

  /// `nil` for what is no such URL, or names no application and stream.
  package init?(_ text: String) {
    guard let url = URLReference(text), url.scheme == "rtmp" || url.scheme == "rtmps" else { return nil }
    guard url.rawPath.split(separator: "/").count >= 2 else { return nil }
    self.url = url
  }

  package var host: String { url.host }
  package var port: UInt16 { url.effectivePort }
  package var isSecure: Bool { url.isSecure }

  /// For logs. Neither path nor query: stream keys are secrets.
  package var description: String { "\(url.scheme)://\(url.bracketedHost):\(port)" }

  package init(url: URLReference) { self.url = url }

  internal var app: String { url.rawPath.split(separator: "/").dropLast().joined(separator: "/") }
  internal var streamName: String { String(url.rawPath.split(separator: "/").last ?? "") + (url.rawQuery.map { "?\($0)" } ?? "") }
  internal var connectURL: String { "\(url.scheme)://\(url.authority)/\(app)" }

  /// Where a server sends us with `ex.redirect`: the address of an application there, or of the stream itself.
  /// - Returns: `nil` for what is no such address, or would give up TLS.
  internal func redirected(to text: String) -> RTMPTarget? {
    guard var other = URLReference(text), other.scheme == "rtmp" || other.scheme == "rtmps" else { return nil }
    guard other.isSecure || !isSecure else { return nil }
    let segments = other.rawPath.split(separator: "/")
    let name = url.rawPath.split(separator: "/").last.map(String.init) ?? ""
    if segments.isEmpty {
      other.rawPath = url.rawPath
    } else if segments.count < 2 || segments.last.map(String.init) != name {
      other.rawPath = "/" + segments.joined(separator: "/") + "/" + name
    }
    // Credentials for the stream travel with its name.
    other.rawQuery = url.rawQuery
    return RTMPTarget(url: other)
  }
}
