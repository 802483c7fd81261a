/// A validator for one state of a resource (RFC 9110 §8.8.3).
package struct EntityTag: Hashable, Sendable {
  /// Between the quotes.
  package var value: String
  package var isWeak: Bool

  package init(_ value: String, isWeak: Bool = false) {
    self.value = value
    self.isWeak = isWeak
  }

  /// `"abc"` or `W/"abc"`; `nil` for anything else.
  package init?(parsing text: some StringProtocol) {
    var rest = text.trimmed
    isWeak = rest.hasPrefix("W/")
    if isWeak { rest = rest.dropFirst(2) }
    let bytes = Array(rest.utf8)
    guard bytes.count >= 2, bytes.first == UInt8(ascii: "\""), bytes.last == UInt8(ascii: "\""),
      bytes.dropFirst().dropLast().allSatisfy({ $0 > 0x20 && $0 != UInt8(ascii: "\"") && $0 != 0x7F })
    else { return nil }
    value = String(decoding: bytes[1..<bytes.count - 1], as: UTF8.self)
  }

  /// RFC 9110 §8.8.3.2: both strong and equal; for `If-Match` and ranges.
  package func matchesStrongly(_ other: EntityTag) -> Bool { !isWeak && !other.isWeak && value == other.value }
  /// Equal, weak or not; for `If-None-Match`.
  package func matchesWeakly(_ other: EntityTag) -> Bool { value == other.value }
}

extension EntityTag: CustomStringConvertible {
  /// As it stands in `ETag`.
  package var description: String { "\(isWeak ? "W/" : "")\"\(value)\"" }
}
