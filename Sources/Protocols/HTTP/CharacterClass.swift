/// Character classes of the HTTP grammar (RFC 9110 §5.6.2, RFC 3986 §2), as bit sets over ASCII.
internal struct CharacterClass: Sendable {
  private let low: UInt64
  private let high: UInt64

  private init(_ characters: String) {
    var (low, high): (UInt64, UInt64) = (0, 0)
    for byte in characters.utf8 {
      if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte & 63) }
    }
    (self.low, self.high) = (low, high)
  }

  func contains(_ byte: UInt8) -> Bool {
    byte < 128 && ((byte < 64 ? low : high) >> UInt64(byte & 63)) & 1 == 1
  }

  private static let alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
  /// tchar: the characters of methods and field names.
  static let token = CharacterClass(alphanumerics + "!#$%&'*+-.^_`|~")
  /// What stands in a path segment without percent-encoding.
  static let pathSegment = CharacterClass(alphanumerics + "-._~!$&'()*+,;=:@")
  /// What stands in a query name or value without percent-encoding; `&`, `=` and `+` have meanings there.
  static let queryPart = CharacterClass(alphanumerics + "-._~!$'()*,;:@/?")
  /// A host and port, also as an IPv6 literal with a zone.
  static let authority = CharacterClass(alphanumerics + "-._~!$&'()*+,;=:[]%")
}

extension UInt8 {
  internal static let carriageReturn: UInt8 = 0x0D
  internal static let lineFeed: UInt8 = 0x0A
  internal static let space: UInt8 = 0x20
  internal static let tab: UInt8 = 0x09

  /// field-content of RFC 9110 §5.5: visible characters, obs-text, space and tab.
  internal var isFieldContent: Bool { (self >= 0x20 && self != 0x7F) || self == .tab }
  internal var isDigit: Bool { self >= 0x30 && self <= 0x39 }
  internal var lowercasedASCII: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }

  internal var hexValue: UInt8? {
    switch self {
    case 0x30...0x39: self - 0x30
    case 0x41...0x46: self - 0x41 + 10
    case 0x61...0x66: self - 0x61 + 10
    default: nil
    }
  }
}

extension StringProtocol {
  /// Equal but for the case of ASCII letters, as field names and most tokens compare.
  internal func equalsIgnoringCase(_ other: some StringProtocol) -> Bool {
    let (a, b) = (utf8, other.utf8)
    guard a.count == b.count else { return false }
    for (x, y) in zip(a, b) where x != y && x.lowercasedASCII != y.lowercasedASCII { return false }
    return true
  }

  package var isToken: Bool { !isEmpty && utf8.allSatisfy(CharacterClass.token.contains) }

  /// Without the spaces and tabs around it (OWS of RFC 9110 §5.6.3).
  internal var trimmed: Substring {
    var text = Substring(self).utf8
    while let first = text.first, first == .space || first == .tab { text.removeFirst() }
    while let last = text.last, last == .space || last == .tab { text.removeLast() }
    return Substring(text)
  }

  /// The elements of a comma-separated list; commas inside quoted strings do not separate (RFC 9110 §5.6.1).
  internal var listElements: [Substring] {
    var elements: [Substring] = []
    var (start, quoted, escaped) = (startIndex, false, false)
    let text = Substring(self)
    for index in text.utf8.indices {
      let byte = text.utf8[index]
      if escaped {
        escaped = false
      } else if quoted, byte == UInt8(ascii: "\\") {
        escaped = true
      } else if byte == UInt8(ascii: "\"") {
        quoted.toggle()
      } else if byte == UInt8(ascii: ","), !quoted {
        elements.append(text[start..<index].trimmed)
        start = text.utf8.index(after: index)
      }
    }
    elements.append(text[start...].trimmed)
    return elements.filter { !$0.isEmpty }
  }
}
