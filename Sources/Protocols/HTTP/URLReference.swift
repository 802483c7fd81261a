/// An absolute URL with an authority (`http`, `https`, `ws`, `wss`, `rtmp`, …): what clients connect to.
package struct URLReference: Sendable, Equatable {
  package var scheme: String
  package var user: String?
  package var password: String?
  /// Lower case; IPv6 literals without brackets.
  package var host: String
  package var port: UInt16?
  /// Percent-encoded, begins with `/`.
  package var rawPath: String
  package var rawQuery: String?

  /// `nil` when the text is no absolute URL with a host. A fragment is dropped: it is never sent.
  package init?(_ text: String) {
    let unfragmented = text.prefix { $0 != "#" }
    guard unfragmented.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), unfragmented.utf8.count <= 8192,
      let colon = unfragmented.utf8.firstIndex(of: UInt8(ascii: ":")), colon > unfragmented.startIndex,
      unfragmented[colon...].hasPrefix("://")
    else { return nil }
    scheme = unfragmented[..<colon].lowercased()
    guard scheme.utf8.first?.isDigit == false,
      scheme.utf8.allSatisfy({ ($0 >= 0x61 && $0 <= 0x7A) || $0.isDigit || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") })
    else { return nil }
    var rest = unfragmented[colon...].dropFirst(3)
    var authority = rest.prefix { $0 != "/" && $0 != "?" }
    rest = rest[authority.endIndex...]
    if let at = authority.lastIndex(of: "@") {
      let credentials = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      user = PercentCoding.decode(credentials[0])
      password = credentials.count > 1 ? PercentCoding.decode(credentials[1]) : nil
      authority = authority[authority.index(after: at)...]
    }
    guard HTTPTarget.isAuthority(authority) else { return nil }
    let portText: Substring
    if authority.hasPrefix("[") {
      let close = authority.firstIndex(of: "]") ?? authority.endIndex
      host = authority[..<close].dropFirst().lowercased()
      portText = authority[close...].dropFirst(2)
    } else {
      let name = authority.prefix { $0 != ":" }
      host = name.lowercased()
      portText = authority[name.endIndex...].dropFirst()
    }
    port = UInt16(portText)
    let path = rest.prefix { $0 != "?" }
    rawPath = path.isEmpty ? "/" : String(path)
    rawQuery = path.endIndex == rest.endIndex ? nil : String(rest[path.endIndex...].dropFirst())
  }

  package var isSecure: Bool { ["https", "wss", "rtmps", "rtsps"].contains(scheme) }

  /// The port to connect to.
  package var effectivePort: UInt16 {
    if let port { return port }
    return switch scheme {
    case "https", "wss": 443
    case "rtmp": 1935
    case "rtmps": 443
    case "rtsp": 554
    case "rtsps": 322
    default: 80
    }
  }

  package var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }

  /// The value of `Host`: the port only when it is not the scheme's own.
  package var authority: String {
    var standard = self
    standard.port = nil
    return port == nil || port == standard.effectivePort ? bracketedHost : "\(bracketedHost):\(effectivePort)"
  }

  /// Path and query as the request target, secrets included.
  package var requestTarget: String { rawPath + (rawQuery.map { "?" + $0 } ?? "") }

  package var query: QueryItems { rawQuery.map { QueryItems(parsing: $0) } ?? QueryItems() }

  /// As it goes on the wire or into a file, secrets included; credentials stay out.
  package var serialized: String { "\(scheme)://\(authority)\(requestTarget)" }

  /// The URL that `reference` (as in `Location`) names from here (RFC 3986 §5.2).
  package func resolving(_ reference: String) -> URLReference? {
    if let absolute = URLReference(reference) { return absolute }
    let text = reference.prefix { $0 != "#" }
    if text.hasPrefix("//") { return URLReference("\(scheme):\(text)") }
    var result = self
    (result.user, result.password) = (nil, nil)
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), text.utf8.count <= 8192 else { return nil }
    if text.isEmpty { return result }
    let path = text.prefix { $0 != "?" }
    result.rawQuery = path.endIndex == text.endIndex ? nil : String(text[path.endIndex...].dropFirst())
    guard !path.isEmpty else { return result }
    guard !path.prefix(while: { $0 != "/" }).contains(":") else { return nil }
    let base = path.hasPrefix("/") ? "" : String(rawPath[...(rawPath.lastIndex(of: "/") ?? rawPath.startIndex)])
    result.rawPath = Self.removingDotSegments(base + path)
    return result
  }

  /// RFC 3986 §5.2.4.
  private static func removingDotSegments(_ path: String) -> String {
    var kept: [Substring] = []
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    for (index, part) in parts.enumerated() {
      let isLast = index == parts.count - 1
      switch part {
      case ".": if isLast { kept.append("") }
      case "..":
        _ = kept.popLast()
        if isLast { kept.append("") }
      default: kept.append(part)
      }
    }
    return "/" + kept.joined(separator: "/")
  }
}

extension URLReference: CustomStringConvertible {
  /// For logs: the password and secrets in the query are replaced.
  package var description: String {
    let credentials = user.map { "\(PercentCoding.encodeSegment($0))\(password == nil ? "" : ":" + Redaction.mark)@" } ?? ""
    return "\(scheme)://\(credentials)\(authority)\(rawPath)\(rawQuery.map { "?" + Redaction.query($0) } ?? "")"
  }
}
