/// Reads JSON text strictly (RFC 8259): one value, UTF-8, no comments, no trailing commas, no NaN. Of a member that comes
/// twice the last counts. An integer beyond Int64 becomes a double.
public struct JSONLimits: Sendable {
  /// Arrays and objects inside each other.
  public var depth = 64
  /// Bytes of the whole text.
  public var bytes = 1 << 20
  /// Values in the whole text: an empty array of two bytes costs many times that in memory.
  public var values = 100_000

  public init() {}
}

extension JSON {
  /// - Throws: `.limit`, or what was wrong and at which byte.
  public init(parsing text: RawSpan, limits: JSONLimits = JSONLimits()) throws(ParseError) {
    guard text.byteCount <= limits.bytes else { throw .limit("bytes of JSON", maximum: limits.bytes) }
    var parser = JSONParser(text, limits)
    self = try parser.document()
  }

  public init(parsing text: [UInt8], limits: JSONLimits = JSONLimits()) throws(ParseError) {
    try self.init(parsing: text.span.bytes, limits: limits)
  }

  public init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(ParseError) {
    try self.init(parsing: Array(text.utf8), limits: limits)
  }
}

struct JSONParser: ~Escapable {
  private let text: RawSpan
  private var at = 0
  private var depth = 0
  private var values = 0
  private let limits: JSONLimits

  @_lifetime(copy text)
  init(_ text: RawSpan, _ limits: JSONLimits) {
    self.text = text
    self.limits = limits
  }

  @_lifetime(self: copy self)
  mutating func document() throws(ParseError) -> JSON {
    skipSpace()
    let value = try value()
    skipSpace()
    guard at == text.byteCount else { throw .invalid("text behind the JSON value", at: at) }
    return value
  }

  @_lifetime(self: copy self)
  private mutating func skipSpace() {
    while let byte = text.byte(at: at), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
  }

  @_lifetime(self: copy self)
  private mutating func value() throws(ParseError) -> JSON {
    values += 1
    guard values <= limits.values else { throw .limit("JSON values", maximum: limits.values) }
    guard let byte = text.byte(at: at) else { throw .truncated(at: at, needed: 1) }
    switch byte {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw .invalid("a character that begins no JSON value", at: at)
    }
  }

  @_lifetime(self: copy self)
  private mutating func literal(_ word: StaticString, _ value: JSON) throws(ParseError) -> JSON {
    for offset in 0..<word.utf8CodeUnitCount {
      guard let byte = text.byte(at: at + offset) else { throw .truncated(at: at + offset, needed: 1) }
      guard byte == word.utf8Start[offset] else { throw .invalid("a word that is neither true, false nor null", at: at) }
    }
    at += word.utf8CodeUnitCount
    return value
  }

  @_lifetime(self: copy self)
  private mutating func enter() throws(ParseError) {
    depth += 1
    guard depth <= limits.depth else { throw .limit("depth of JSON", maximum: limits.depth) }
    at += 1
    skipSpace()
  }

  /// Consumes `byte` with the space around it, if it stands next.
  @_lifetime(self: copy self)
  private mutating func accept(_ byte: UInt8) -> Bool {
    skipSpace()
    guard text.byte(at: at) == byte else { return false }
    at += 1
    skipSpace()
    return true
  }

  @_lifetime(self: copy self)
  private mutating func expect(_ byte: UInt8, _ what: String) throws(ParseError) {
    guard !accept(byte) else { return }
    guard at < text.byteCount else { throw .truncated(at: at, needed: 1) }
    throw .invalid("\(what) was expected", at: at)
  }

  @_lifetime(self: copy self)
  private mutating func array() throws(ParseError) -> JSON {
    try enter()
    var elements: [JSON] = []
    if !accept(UInt8(ascii: "]")) {
      repeat { elements.append(try value()) } while accept(UInt8(ascii: ","))
      try expect(UInt8(ascii: "]"), "a comma or ]")
    }
    depth -= 1
    return .array(elements)
  }

  @_lifetime(self: copy self)
  private mutating func object() throws(ParseError) -> JSON {
    try enter()
    var object = JSON.Object()
    if !accept(UInt8(ascii: "}")) {
      repeat {
        guard let byte = text.byte(at: at) else { throw .truncated(at: at, needed: 1) }
        guard byte == UInt8(ascii: "\"") else { throw .invalid("a member without a quoted name", at: at) }
        let name = try string()
        try expect(UInt8(ascii: ":"), "a colon")
        object[name] = try value()
      } while accept(UInt8(ascii: ","))
      try expect(UInt8(ascii: "}"), "a comma or }")
    }
    depth -= 1
    return .object(object)
  }

  /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?` (§6).
  @_lifetime(self: copy self)
  private mutating func number() throws(ParseError) -> JSON {
    let start = at
    if text.byte(at: at) == UInt8(ascii: "-") { at += 1 }
    let firstDigit = at
    try digits()
    guard at - firstDigit == 1 || text.byte(at: firstDigit) != UInt8(ascii: "0") else {
      throw .invalid("a number with a leading zero", at: start)
    }
    var isInteger = true
    if text.byte(at: at) == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      try digits()
    }
    if let mark = text.byte(at: at), mark | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      at += 1
      if let sign = text.byte(at: at), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    let digits = String(repairing: text.extracting(start..<at))
    if isInteger, let value = Int64(digits) { return .int(value) }
    guard let value = Double(digits), value.isFinite else { throw .invalid("a number beyond what a double holds", at: start) }
    return .double(value)
  }

  @_lifetime(self: copy self)
  private mutating func digits() throws(ParseError) {
    let start = at
    while let byte = text.byte(at: at), byte >= 0x30, byte <= 0x39 { at += 1 }
    guard at > start else {
      guard at < text.byteCount else { throw .truncated(at: at, needed: 1) }
      throw .invalid("a digit was expected", at: at)
    }
  }

  @_lifetime(self: copy self)
  private mutating func string() throws(ParseError) -> String {
    at += 1
    let start = at
    // Most strings hold no escape: they are taken as they stand.
    while let byte = text.byte(at: at), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { at += 1 }
    if text.byte(at: at) == UInt8(ascii: "\"") {
      guard let result = String(validating: text.extracting(start..<at)) else { throw .invalid("a string that is not UTF-8", at: start) }
      at += 1
      return result
    }
    var bytes = Array(copying: text.extracting(start..<at))
    while let byte = text.byte(at: at) {
      at += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let result = String(validating: bytes.span.bytes) else { throw .invalid("a string that is not UTF-8", at: start) }
        return result
      case UInt8(ascii: "\\"): bytes.append(contentsOf: String(try escape()).utf8)
      case 0..<0x20: throw .invalid("a control character in a string", at: at - 1)
      default: bytes.append(byte)
      }
    }
    throw .truncated(at: at, needed: 1)
  }

  @_lifetime(self: copy self)
  private mutating func escape() throws(ParseError) -> Unicode.Scalar {
    guard let byte = text.byte(at: at) else { throw .truncated(at: at, needed: 1) }
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try codePoint()
    default: throw .invalid("an unknown escape", at: at - 1)
    }
  }

  /// §7: a character beyond U+FFFF is a pair of surrogates; half a pair is no character.
  @_lifetime(self: copy self)
  private mutating func codePoint() throws(ParseError) -> Unicode.Scalar {
    let start = at - 2
    let unit = try fourDigits()
    if let scalar = Unicode.Scalar(unit) { return scalar }
    guard unit < 0xDC00 else { throw .invalid("a low surrogate without a high one", at: start) }
    guard let slash = text.byte(at: at), let mark = text.byte(at: at + 1) else { throw .truncated(at: at, needed: 2) }
    guard slash == UInt8(ascii: "\\"), mark == UInt8(ascii: "u") else { throw .invalid("a high surrogate without a low one", at: start) }
    at += 2
    let low = try fourDigits()
    guard (0xDC00...0xDFFF).contains(low), let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)) else {
      throw .invalid("a high surrogate without a low one", at: start)
    }
    return scalar
  }

  @_lifetime(self: copy self)
  private mutating func fourDigits() throws(ParseError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = text.byte(at: at) else { throw .truncated(at: at, needed: 1) }
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else { throw .invalid("a broken \\u escape", at: at) }
      value = value << 4 | UInt32(digit)
      at += 1
    }
    return value
  }
}
