/// Parses `name: value` (RFC 9112 §5) and decides on a message's framing (§6).
internal enum FieldLine {
  /// - Throws: 400 for anything but a token, a colon right behind it, and visible text.
  static func parse(_ line: [UInt8]) throws(HTTPError) -> HTTPFields.Field {
    guard let first = line.first, first != .space, first != .tab else {
      throw HTTPError(.badRequest, "a field line begins with white space: line folding is obsolete")
    }
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
      throw HTTPError(.badRequest, "a field line has no colon")
    }
    guard colon > 0, line[..<colon].allSatisfy(CharacterClass.token.contains) else {
      throw HTTPError(.badRequest, "a field name is empty or holds white space or another character that is no token")
    }
    var (low, high) = (colon + 1, line.count)
    while low < high, line[low] == .space || line[low] == .tab { low += 1 }
    while high > low, line[high - 1] == .space || line[high - 1] == .tab { high -= 1 }
    let value = line[low..<high]
    guard value.allSatisfy(\.isFieldContent) else {
      throw HTTPError(.badRequest, "a field value holds a control character")
    }
    // obs-text (§5.5) that is not UTF-8 is taken for Latin-1, as it once was meant.
    let text = String(validating: value, as: UTF8.self) ?? String(String.UnicodeScalarView(value.map { Unicode.Scalar($0) }))
    return HTTPFields.Field(name: String(decoding: line[..<colon], as: UTF8.self), value: text)
  }

  /// The one `Content-Length`, or `nil` without one.
  static func contentLength(_ fields: HTTPFields) throws(HTTPError) -> Int? {
    let (first, count) = fields.only("Content-Length")
    guard let value = first else { return nil }
    guard count == 1 else { throw HTTPError(.badRequest, "Content-Length is repeated") }
    // 18 digits always fit in an Int; a sign, a list or white space does not pass.
    guard (1...18).contains(value.utf8.count), value.utf8.allSatisfy(\.isDigit), let length = Int(value) else {
      throw HTTPError(.badRequest, "Content-Length is not a number")
    }
    return length
  }

  /// Whether the content is chunked.
  static func isChunked(_ fields: HTTPFields, _ version: HTTPVersion) throws(HTTPError) -> Bool {
    let (first, count) = fields.only("Transfer-Encoding")
    guard let value = first else { return false }
    guard count == 1, value.equalsIgnoringCase("chunked") else {
      throw HTTPError(.badRequest, "Transfer-Encoding is something else than exactly \"chunked\"")
    }
    guard version == .http11 else { throw HTTPError(.badRequest, "Transfer-Encoding in HTTP/1.0") }
    guard !fields.contains("Content-Length") else {
      throw HTTPError(.badRequest, "both Transfer-Encoding and Content-Length")
    }
    return true
  }
}

/// Field lines as they come, up to the empty line.
internal struct FieldBlock: Sendable {
  private(set) var fields = HTTPFields()
  private var bytes = 0
  private let maximumBytes: Int
  private let maximumCount: Int

  init(bytes: Int, count: Int) {
    maximumBytes = bytes
    maximumCount = count
  }

  /// How long the next line may be.
  var room: Int { max(0, maximumBytes - bytes) }

  static let overflow = HTTPError(.headerFieldsTooLarge, "the header fields exceed their limit")

  /// Answers whether `line` was the empty one that ends the block.
  mutating func add(_ line: [UInt8]) throws(HTTPError) -> Bool {
    guard !line.isEmpty else { return true }
    let field = try FieldLine.parse(line)
    bytes += line.count + 2
    guard bytes <= maximumBytes, fields.count < maximumCount else { throw Self.overflow }
    fields.append(field.name, field.value)
    return false
  }
}
