package import MartletPrimitives

/// A value of ActionScript as AMF0 and AMF3 carry it. Both encodings decode into this one type, so that commands need
/// not care which of the two a peer speaks.
package indirect enum AMFValue: Equatable, Sendable {
  /// AMF0 number; AMF3 double and integer.
  case number(Double)
  case boolean(Bool)
  /// Short or long: the encoder chooses the marker by length.
  case string(String)
  /// Properties in the order of the wire.
  case object([AMFProperty])
  case null
  case undefined
  /// An associative array.
  case ecmaArray([AMFProperty])
  case strictArray([AMFValue])
  /// Milliseconds since 1970 UTC; the time zone in minutes is reserved and 0.
  case date(milliseconds: Double, timeZone: Int16)
  case xml(String)
  case typedObject(name: String, [AMFProperty])
  /// AMF3 ByteArray, which AMF0 cannot hold (it is written there as undefined).
  case bytes(Slice)
  /// AMF3 Dictionary: keys may be any value.
  case dictionary([AMFValue], [AMFValue])
}

package struct AMFProperty: Equatable, Sendable {
  package var name: String
  package var value: AMFValue

  package init(_ name: String, _ value: AMFValue) {
    self.name = name
    self.value = value
  }
}

/// What a decoder accepts from a peer. Every figure is checked before memory is committed.
package struct AMFLimits: Sendable {
  /// Objects and arrays within each other.
  package var depth = 32
  /// Values of one message together, counting what references repeat.
  package var elements = 4096
  /// Bytes of one string.
  package var stringBytes = 65_536
  /// Bytes of all values of one message.
  package var totalBytes = 1 << 20

  package init() {}
}

extension AMFValue {
  package var string: String? {
    switch self {
    case .string(let text), .xml(let text): text
    default: nil
    }
  }

  package var number: Double? {
    switch self {
    case .number(let value): value
    case .date(let milliseconds, _): milliseconds
    default: nil
    }
  }

  /// A boolean; a number counts as true unless it is 0, as Flash converts it.
  package var boolean: Bool? {
    switch self {
    case .boolean(let value): value
    case .number(let value): value != 0
    default: nil
    }
  }

  /// The properties of an object, typed object or associative array, else none.
  package var properties: [AMFProperty] {
    switch self {
    case .object(let properties), .ecmaArray(let properties), .typedObject(_, let properties): properties
    default: []
    }
  }

  /// The elements of a strict array, or the values of an associative one.
  package var elements: [AMFValue] {
    switch self {
    case .strictArray(let values): values
    case .ecmaArray(let properties): properties.map(\.value)
    default: []
    }
  }

  /// The property of that name; the last one where a peer sent several.
  package subscript(name: String) -> AMFValue? { properties.last { $0.name == name }?.value }

  package var isNullOrUndefined: Bool { self == .null || self == .undefined }

  package static func object(_ properties: KeyValuePairs<String, AMFValue>) -> AMFValue {
    .object(properties.map { AMFProperty($0.key, $0.value) })
  }
}

extension AMFValue: ExpressibleByStringLiteral, ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
  package init(stringLiteral value: String) { self = .string(value) }
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(integerLiteral value: Int) { self = .number(Double(value)) }
  package init(booleanLiteral value: Bool) { self = .boolean(value) }
}

/// What remains of the limits while one message is decoded; shared by AMF0 and the AMF3 values inside it.
struct AMFBudget {
  let limits: AMFLimits
  private(set) var spent = 0

  init(_ limits: AMFLimits) { self.limits = limits }

  /// Accounts for `count` more values.
  mutating func spend(_ count: Int = 1) throws(ParseError) {
    guard count <= limits.elements - spent else { throw .limit("the number of AMF values", maximum: limits.elements) }
    spent += count
  }

  func check(depth: Int) throws(ParseError) {
    guard depth <= limits.depth else { throw .limit("AMF nesting", maximum: limits.depth) }
  }

  /// Text of `length` bytes. Old encoders write other encodings than UTF-8: what does not decode shows as U+FFFD.
  func text(_ length: Int, _ reader: inout ByteReader) throws(ParseError) -> String {
    guard length <= limits.stringBytes else { throw .limit("the length of an AMF string", maximum: limits.stringBytes) }
    return String(repairing: try reader.bytes(length))
  }
}

/// An object that later ones may refer to; `nil` value while it is still being read.
struct AMFReference {
  var value: AMFValue?
  /// Values inside, itself included: what a reference to it costs.
  var size = 0
}
