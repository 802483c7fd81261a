internal import MartletClient
internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives

/// In the addresses of forwards and pulls `{app}` and `{name}` stand for those of the stream.
extension RTMPTarget {
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
