/// The query string of an application or stream name: `cam?token=…`. It usually holds credentials, so its description
/// shows the names only.
package struct QueryParameters: Equatable, Sendable {
  package struct Item: Equatable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// Pairs beyond this many are ignored.
  package static let limit = 64

  package private(set) var items: [Item] = []

  package init() {}

  /// - Parameter query: `a=1&b=2`, percent-encoded; a plus sign stands for itself, as tokens in Base64 need.
  package init(_ query: some StringProtocol) {
    for pair in query.utf8.split(separator: UInt8(ascii: "&"), maxSplits: Self.limit).prefix(Self.limit) {
      let sides = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      items.append(Item(name: Self.decode(sides[0]), value: sides.count > 1 ? Self.decode(sides[1]) : ""))
    }
  }

  package var isEmpty: Bool { items.isEmpty }

  /// The first value of that name.
  package subscript(name: String) -> String? { items.first { $0.name == name }?.value }

  /// Adds the parameters whose names are not here yet.
  package mutating func merge(_ other: QueryParameters) {
    for item in other.items where self[item.name] == nil && items.count < Self.limit { items.append(item) }
  }

  /// Splits `name?query` at the first question mark.
  package static func split(_ text: String) -> (name: String, query: QueryParameters) {
    guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (text, QueryParameters()) }
    return (String(text[..<mark]), QueryParameters(text[text.utf8.index(after: mark)...]))
  }

  private static func decode(_ text: some Sequence<UInt8>) -> String {
    let bytes = Array(text)
    var decoded: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count, let high = digit(bytes[index + 1]), let low = digit(bytes[index + 2]) {
        decoded.append(high << 4 | low)
        index += 3
      } else {
        decoded.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: decoded, as: UTF8.self)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    Character(UnicodeScalar(byte)).hexDigitValue.map { UInt8(truncatingIfNeeded: $0) }
  }
}

extension QueryParameters: CustomStringConvertible {
  package var description: String { items.map { "\($0.name)=…" }.joined(separator: "&") }
}
