/// Percent-encoding (RFC 3986 §2.1) and the query syntax of HTML forms.
package enum PercentCoding {
  private static let digits = Array("0123456789ABCDEF".utf8)

  /// Encodes one path segment: `/`, `?` and `#` inside it are escaped.
  package static func encodeSegment(_ text: some StringProtocol) -> String { encode(text, keeping: .pathSegment) }

  /// Encodes a query name or value.
  package static func encodeQuery(_ text: some StringProtocol) -> String { encode(text, keeping: .queryPart) }

  private static func encode(_ text: some StringProtocol, keeping kept: CharacterClass) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
      if kept.contains(byte) {
        out.append(byte)
      } else {
        out.append(contentsOf: [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]])
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// `nil` for a `%` without two hex digits behind it, or when the result is not UTF-8.
  package static func decode(_ text: some StringProtocol) -> String? {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
    var out: [UInt8] = []
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
      guard byte == UInt8(ascii: "%") else {
        out.append(byte)
        continue
      }
      guard let high = bytes.next()?.hexValue, let low = bytes.next()?.hexValue else { return nil }
      out.append(high << 4 | low)
    }
    return String(validating: out, as: UTF8.self)
  }

  /// A query name or value: `+` is a space, and what cannot be decoded stays as it is.
  package static func decodeQuery(_ text: some StringProtocol) -> String {
    let spaced = text.utf8.contains(UInt8(ascii: "+")) ? text.map { $0 == "+" ? " " : String($0) }.joined() : String(text)
    return decode(spaced) ?? spaced
  }
}

/// The `name=value` pairs of a query, in order; a name may come more than once.
package struct QueryItems: Equatable, Sendable {
  package struct Item: Equatable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  package var items: [Item]

  package init(_ items: [Item] = []) { self.items = items }

  /// - Parameter raw: what stands behind `?`, still encoded. Items beyond `maximum` are ignored.
  package init(parsing raw: some StringProtocol, maximum: Int = 128) {
    items = raw.split(separator: "&", maxSplits: maximum).prefix(maximum).map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return Item(name: PercentCoding.decodeQuery(parts[0]), value: parts.count > 1 ? PercentCoding.decodeQuery(parts[1]) : "")
    }
  }

  package func first(_ name: String) -> String? { items.first { $0.name == name }?.value }
  package func all(_ name: String) -> [String] { items.compactMap { $0.name == name ? $0.value : nil } }

  package var encoded: String {
    items.map { "\(PercentCoding.encodeQuery($0.name))=\(PercentCoding.encodeQuery($0.value))" }.joined(separator: "&")
  }
}

/// Names of query parameters whose values never reach a log.
package enum Redaction {
  package static let mark = "***"
  private static let secrets: Set<String> = [
    "token", "access_token", "martlet_token", "jwt", "key", "streamkey", "stream_key", "secret", "password", "passwd", "pass", "pwd",
    "auth", "sign", "signature", "credential", "api_key", "apikey", "psk",
  ]

  /// The raw query with the values of secret parameters replaced.
  package static func query(_ raw: some StringProtocol) -> String {
    raw.split(separator: "&", omittingEmptySubsequences: false).map { pair -> String in
      let name = pair.prefix { $0 != "=" }
      return isSecret(PercentCoding.decodeQuery(name)) ? "\(name)=\(mark)" : String(pair)
    }.joined(separator: "&")
  }

  package static func isSecret(_ name: some StringProtocol) -> Bool { secrets.contains(name.lowercased()) }
}
