internal import MartletPrimitives

/// A request target (RFC 9112 §3.2), checked once here so that no handler ever sees a path that climbs.
///
/// A segment that is `.` or `..`, or that holds a slash, a backslash or a control character after decoding, is refused
/// rather than resolved: clients resolve dot segments themselves (RFC 3986 §5.2.4), so what arrives is an attack.
package struct HTTPTarget: Sendable, Equatable {
  package enum Form: Sendable, Equatable {
    case origin
    case absolute(scheme: String)
    /// CONNECT only: host and port.
    case authority
    /// `OPTIONS *`.
    case asterisk
  }

  package let form: Form
  /// Host and port of the absolute and authority forms; `:authority` in HTTP/2.
  package let authority: String?
  /// As it was sent, still percent-encoded, without the query.
  package let rawPath: String
  /// Percent-decoded; empty segments (`//`, a slash at the end) are left out.
  package let segments: [String]
  package let rawQuery: String?

  package var query: QueryItems { rawQuery.map { QueryItems(parsing: $0) } ?? QueryItems() }
  package var hasTrailingSlash: Bool { rawPath.utf8.count > 1 && rawPath.utf8.last == UInt8(ascii: "/") }

  /// The decoded path in its one canonical form, for matching: `/` and the segments joined by it.
  package var path: String { isCanonical ? rawPath : "/" + segments.joined(separator: "/") }
  /// Nothing is encoded, and no segment is empty.
  private let isCanonical: Bool

  /// - Throws: 400.
  package init(_ raw: String, method: HTTPMethod = .get, authority: String? = nil) throws(HTTPError) {
    guard !raw.isEmpty, raw.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
      throw HTTPError(.badRequest, "the request target is empty or holds a space or control character")
    }
    if method == .connect {
      guard Self.isAuthority(raw), raw.utf8.contains(UInt8(ascii: ":")) else {
        throw HTTPError(.badRequest, "CONNECT needs HOST:PORT as its target")
      }
      (form, self.authority, rawPath, segments, rawQuery, isCanonical) = (.authority, raw, "", [], nil, false)
      return
    }
    if raw == "*" {
      guard method == .options else { throw HTTPError(.badRequest, "the target * is for OPTIONS only") }
      (form, self.authority, rawPath, segments, rawQuery, isCanonical) = (.asterisk, authority, "", [], nil, false)
      return
    }
    guard !raw.utf8.contains(UInt8(ascii: "#")) else { throw HTTPError(.badRequest, "a request target has no fragment") }
    var rest = Substring(raw)
    if raw.utf8.first == UInt8(ascii: "/") {
      (form, self.authority) = (.origin, authority)
    } else {
      let scheme = rest.prefix { $0 != ":" }.lowercased()
      guard scheme == "http" || scheme == "https", rest.dropFirst(scheme.count).hasPrefix("://") else {
        throw HTTPError(.badRequest, "the request target starts with neither / nor http://")
      }
      rest = rest.dropFirst(scheme.count + 3)
      let host = rest.prefix { $0 != "/" && $0 != "?" }
      guard Self.isAuthority(host) else { throw HTTPError(.badRequest, "the request target names no valid host") }
      rest = rest.dropFirst(host.count)
      (form, self.authority) = (.absolute(scheme: scheme), String(host))
    }
    let path = rest.utf8.prefix { $0 != UInt8(ascii: "?") }
    rawPath = path.isEmpty ? "/" : String(Substring(path))
    rawQuery = path.endIndex == rest.endIndex ? nil : String(rest[path.endIndex...].dropFirst())
    segments = try Self.decodeSegments(rawPath)
    let length = segments.reduce(0) { $0 + $1.utf8.count + 1 }
    isCanonical = length == rawPath.utf8.count && !rawPath.utf8.contains(UInt8(ascii: "%"))
  }

  /// Splits and decodes a path, refusing whatever could leave the tree it is looked up in.
  package static func decodeSegments(_ path: String) throws(HTTPError) -> [String] {
    var segments: [String] = []
    for raw in path.utf8.split(separator: UInt8(ascii: "/")) {
      guard let segment = PercentCoding.decode(Substring(raw)) else {
        throw HTTPError(.badRequest, "the path holds a broken percent-encoding or is not UTF-8")
      }
      guard segment != ".", segment != ".." else { throw HTTPError(.badRequest, "the path holds a dot segment") }
      guard segment.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }) else {
        throw HTTPError(.badRequest, "the path holds an encoded slash, a backslash or a control character")
      }
      segments.append(segment)
    }
    return segments
  }

  /// Whether `text` can be the value of `Host`: a host with an optional port and nothing else.
  package static func isAuthority(_ text: some StringProtocol) -> Bool {
    var text = String(text)
    return text.withUTF8 { isAuthority($0) }
  }

  private static func isAuthority(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let first = bytes.first, bytes.allSatisfy(CharacterClass.authority.contains) else { return false }
    var end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
    if first == UInt8(ascii: "[") {
      // RFC 3986 §3.2.2: between brackets stands an IPv6 address.
      guard let close = bytes.firstIndex(of: UInt8(ascii: "]")), end < close,
        IPAddress(String(decoding: bytes[...close], as: UTF8.self)) != nil
      else { return false }
      end = close + 1
    } else {
      let host = bytes[..<end]
      guard !host.isEmpty, !host.contains(UInt8(ascii: "[")), !host.contains(UInt8(ascii: "]")) else { return false }
    }
    guard end < bytes.count else { return true }
    guard bytes[end] == UInt8(ascii: ":") else { return false }
    let port = bytes[(end + 1)...]
    return port.count <= 5 && port.allSatisfy(\.isDigit) && port.reduce(0) { $0 * 10 + Int($1 & 15) } <= 65_535
  }
}

extension HTTPTarget: CustomStringConvertible {
  /// For logs: secrets in the query are replaced.
  package var description: String {
    if form == .asterisk { return "*" }
    let prefix =
      if case .absolute(let scheme) = form { "\(scheme)://\(authority ?? "")" } else { form == .authority ? authority ?? "" : "" }
    return prefix + rawPath + (rawQuery.map { "?" + Redaction.query($0) } ?? "")
  }

  /// As it goes on the wire, secrets included.
  package var serialized: String {
    if form == .asterisk { return "*" }
    let prefix =
      if case .absolute(let scheme) = form { "\(scheme)://\(authority ?? "")" } else { form == .authority ? authority ?? "" : "" }
    return prefix + rawPath + (rawQuery.map { "?" + $0 } ?? "")
  }
}
