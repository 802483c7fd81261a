internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives

/// Where a relay goes: an `rtmp` or `rtmps` URL in whose path and query `{app}` and `{name}` stand for those of the stream.
///
/// The last segment of the path, with the query, is the stream's name on the other server; what stands before it is its
/// application.
package struct RTMPTarget: Sendable, Equatable {
  private let url: URLReference

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

  /// The target of one stream.
  internal func filled(for path: StreamPath) -> RTMPTarget {
    let segments = path.segments
    let app = segments.dropLast().joined(separator: "/")
    let name = String(segments.last ?? "")
    var filled = url
    filled.rawPath = Self.replace("{name}", in: Self.replace("{app}", in: url.rawPath, by: app), by: name)
    filled.rawQuery = url.rawQuery.map {
      Self.replace("{name}", in: Self.replace("{app}", in: $0, by: PercentCoding.encodeQuery(app)), by: PercentCoding.encodeQuery(name))
    }
    return RTMPTarget(url: filled)
  }

  private init(url: URLReference) { self.url = url }

  internal var app: String { url.rawPath.split(separator: "/").dropLast().joined(separator: "/") }
  internal var streamName: String { String(url.rawPath.split(separator: "/").last ?? "") + (url.rawQuery.map { "?\($0)" } ?? "") }
  internal var connectURL: String { "\(url.scheme)://\(url.authority)/\(app)" }

  private static func replace(_ mark: String, in text: String, by value: String) -> String {
    var parts: [Substring] = []
    var rest = Substring(text)
    while let range = rest.firstRange(of: mark) {
      parts += [rest[..<range.lowerBound], Substring(value)]
      rest = rest[range.upperBound...]
    }
    return parts.joined() + rest
  }
}
