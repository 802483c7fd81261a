/// Writes JSON text piece by piece, without a tree in between. Commas and quotes are its business; that objects and arrays
/// are closed is the caller's, checked by preconditions.
///
///     var writer = JSONWriter()
///     writer.object { json in
///       json.member("name", "live/cam")
///       json.member("viewers") { $0.array { for id in ids { $0.value(id) } } }
///     }
///     writer.bytes
public struct JSONWriter: Sendable {
  public private(set) var bytes: [UInt8] = []
  private var needsComma = false

  public init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

  /// What was written, as text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  public mutating func object(_ body: (inout JSONWriter) throws -> Void) rethrows {
    open(UInt8(ascii: "{"))
    try body(&self)
    close(UInt8(ascii: "}"))
  }

  public mutating func array(_ body: (inout JSONWriter) throws -> Void) rethrows {
    open(UInt8(ascii: "["))
    try body(&self)
    close(UInt8(ascii: "]"))
  }

  /// A member whose value `body` writes: exactly one.
  public mutating func member(_ name: String, _ body: (inout JSONWriter) throws -> Void) rethrows {
    self.name(name)
    try body(&self)
    precondition(needsComma, "a JSON member has a value")
  }

  public mutating func member(_ name: String, _ value: String) {
    self.name(name)
    self.value(value)
  }

  public mutating func member(_ name: String, _ value: Int) {
    self.name(name)
    self.value(value)
  }

  public mutating func member(_ name: String, _ value: Double) {
    self.name(name)
    self.value(value)
  }

  public mutating func member(_ name: String, _ value: Bool) {
    self.name(name)
    self.value(value)
  }

  public mutating func member(_ name: String, _ value: JSON) {
    self.name(name)
    self.value(value)
  }

  public mutating func value(_ value: Int) { word(String(value)) }
  public mutating func value(_ value: Bool) { word(value ? "true" : "false") }
  public mutating func null() { word("null") }

  /// JSON has no infinity and no NaN: they are written as null.
  public mutating func value(_ value: Double) {
    guard value.isFinite else { return null() }
    word(
      value == value.rounded() && value.magnitude < 1e15 && !(value == 0 && value.sign == .minus) ? String(Int64(value)) : value.description
    )
  }

  public mutating func value(_ value: String) {
    comma()
    quote(value)
    needsComma = true
  }

  public mutating func value(_ value: JSON) {
    switch value {
    case .null: null()
    case .bool(let value): self.value(value)
    case .int(let value): word(String(value))
    case .double(let value): self.value(value)
    case .string(let value): self.value(value)
    case .array(let elements): array { for element in elements { $0.value(element) } }
    case .object(let object): self.object { for member in object.members { $0.member(member.name, member.value) } }
    }
  }

  /// Text that is JSON already: the caller has parsed it.
  public mutating func member(_ name: String, verbatim text: Slice) {
    self.name(name)
    bytes.append(text.bytes)
    needsComma = true
  }

  private mutating func comma() { if needsComma { bytes.append(UInt8(ascii: ",")) } }

  private mutating func word(_ text: String) {
    comma()
    bytes.append(contentsOf: text.utf8)
    needsComma = true
  }

  private mutating func name(_ name: String) {
    comma()
    quote(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  private mutating func open(_ bracket: UInt8) {
    comma()
    bytes.append(bracket)
    needsComma = false
  }

  private mutating func close(_ bracket: UInt8) {
    bytes.append(bracket)
    needsComma = true
  }

  /// Escapes what must be, and `<`, U+2028 and U+2029 so that the text is safe inside a script too.
  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): bytes.append(contentsOf: [0x5C, 0x22])
      case UInt8(ascii: "\\"): bytes.append(contentsOf: [0x5C, 0x5C])
      case 0x0A: bytes.append(contentsOf: [0x5C, UInt8(ascii: "n")])
      case 0x0D: bytes.append(contentsOf: [0x5C, UInt8(ascii: "r")])
      case 0x09: bytes.append(contentsOf: [0x5C, UInt8(ascii: "t")])
      case 0..<0x20, UInt8(ascii: "<"), 0x7F: bytes.append(contentsOf: "\\u00\(Hex.encode([byte]))".utf8)
      case 0xA8 where bytes.suffix(2).elementsEqual([0xE2, 0x80]): replaceSeparator("\\u2028")
      case 0xA9 where bytes.suffix(2).elementsEqual([0xE2, 0x80]): replaceSeparator("\\u2029")
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func replaceSeparator(_ escape: String) {
    bytes.removeLast(2)
    bytes.append(contentsOf: escape.utf8)
  }
}

extension JSON {
  /// The value as UTF-8 text without white space.
  public var serialized: [UInt8] {
    var writer = JSONWriter()
    writer.value(self)
    return writer.bytes
  }
}

extension JSON: CustomStringConvertible {
  public var description: String { String(decoding: serialized, as: UTF8.self) }
}
