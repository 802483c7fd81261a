/// Reads the fields of one line, front to back, and knows its column when something else was expected.
struct FieldReader {
  let line: Int
  private let text: Substring.UTF8View
  private var cursor: Substring.UTF8View.Index

  init(_ text: Substring.UTF8View, line: Int) {
    self.line = line
    self.text = text
    cursor = text.startIndex
  }

  var next: UInt8? { cursor < text.endIndex ? text[cursor] : nil }
  var isAtEnd: Bool { next == nil }

  func failure(_ expected: String) -> SDPError {
    let found = text[cursor...].prefix(40)
    let column = text.distance(from: text.startIndex, to: cursor) + 1
    return .syntax(line: line, column: column, expected: expected, found: String(decoding: found, as: UTF8.self))
  }

  /// Takes the next byte, whatever it is.
  mutating func advance() -> UInt8? {
    guard let byte = next else { return nil }
    cursor = text.index(after: cursor)
    return byte
  }

  /// - Parameter byte: an ASCII character.
  mutating func consume(_ byte: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: byte) else { return false }
    cursor = text.index(after: cursor)
    return true
  }

  mutating func expect(_ byte: Unicode.Scalar, _ expected: String) throws(SDPError) {
    guard consume(byte) else { throw failure(expected) }
  }

  mutating func skipSpaces() {
    while consume(" ") {}
  }

  /// One space or more: peers and people write several.
  mutating func space(before expected: String) throws(SDPError) {
    guard next == UInt8(ascii: " ") else { throw failure("a space and \(expected)") }
    skipSpaces()
  }

  /// What stands before a space, `stop` or the end of the line; at least one byte.
  mutating func token(_ expected: String, until stop: Unicode.Scalar = " ") throws(SDPError) -> String {
    let stop = UInt8(ascii: stop)
    let end = text[cursor...].firstIndex { $0 == stop || $0 == UInt8(ascii: " ") } ?? text.endIndex
    guard end > cursor else { throw failure(expected) }
    defer { cursor = end }
    return String(Substring(text[cursor..<end]))
  }

  /// All words up to the end of the line.
  mutating func words() throws(SDPError) -> [String] {
    var words: [String] = []
    skipSpaces()
    while !isAtEnd {
      words.append(try token("a word"))
      skipSpaces()
    }
    return words
  }

  /// One of a few words, by name.
  mutating func choice<T>(_ expected: String, until stop: Unicode.Scalar = " ", _ value: (String) -> T?) throws(SDPError) -> T {
    var ahead = self
    guard let choice = value(try ahead.token(expected, until: stop)) else { throw failure(expected) }
    self = ahead
    return choice
  }

  /// Decimal digits, without a sign.
  mutating func number<T: FixedWidthInteger & UnsignedInteger>(_ expected: String, maximum: T = .max) throws(SDPError) -> T {
    var value: T = 0
    var end = cursor
    while end < text.endIndex, case let byte = text[end], UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(T(byte - UInt8(ascii: "0")))
      guard !overflow, !carry, sum <= maximum else { throw failure(expected) }
      value = sum
      end = text.index(after: end)
    }
    guard end > cursor else { throw failure(expected) }
    cursor = end
    return value
  }

  /// A decimal number from 0 to a million, to the third digit of its fraction.
  mutating func decimal(_ expected: String) throws(SDPError) -> Double {
    try choice(expected) { word in
      guard word.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
      return Double(word).flatMap { $0 <= 1_000_000 ? ($0 * 1000).rounded() / 1000 : nil }
    }
  }

  /// All that is left, without spaces at its end.
  mutating func rest() -> String {
    var end = text.endIndex
    while end > cursor, case let before = text.index(before: end), text[before] == UInt8(ascii: " ") { end = before }
    defer { cursor = text.endIndex }
    return String(Substring(text[cursor..<end]))
  }

  mutating func end() throws(SDPError) {
    skipSpaces()
    guard isAtEnd else { throw failure("the end of the line") }
  }
}
