package import MartletPrimitives

/// Action Message Format 3 (Adobe, January 2013): what Flash-era clients with objectEncoding 3 put inside commands.
package enum AMF3 {
  /// All values of `bytes`, sharing one set of reference tables.
  package static func decode(_ bytes: RawSpan, limits: AMFLimits = AMFLimits()) throws(ParseError) -> [AMFValue] {
    guard bytes.byteCount <= limits.totalBytes else { throw .limit("the size of an AMF message", maximum: limits.totalBytes) }
    var reader = ByteReader(bytes)
    var decoder = AMF3Decoder(AMFBudget(limits))
    var values: [AMFValue] = []
    while !reader.isAtEnd { values.append(try decoder.value(&reader, depth: 0)) }
    return values
  }

  package static func decode(_ slice: Slice, limits: AMFLimits = AMFLimits()) throws(ParseError) -> [AMFValue] {
    try decode(slice.bytes, limits: limits)
  }

  enum Marker {
    static let undefined: UInt8 = 0x00, null: UInt8 = 0x01, isFalse: UInt8 = 0x02, isTrue: UInt8 = 0x03
    static let integer: UInt8 = 0x04, double: UInt8 = 0x05, string: UInt8 = 0x06, xmlDocument: UInt8 = 0x07
    static let date: UInt8 = 0x08, array: UInt8 = 0x09, object: UInt8 = 0x0A, xml: UInt8 = 0x0B, bytes: UInt8 = 0x0C
    static let vectorInt: UInt8 = 0x0D, vectorUInt: UInt8 = 0x0E, vectorDouble: UInt8 = 0x0F
    static let vectorObject: UInt8 = 0x10, dictionary: UInt8 = 0x11
  }
}

/// Decodes AMF3 with its three reference tables: strings, objects and traits.
struct AMF3Decoder {
  private struct Traits {
    var name: String
    var isDynamic: Bool
    var members: [String]
  }

  private(set) var budget: AMFBudget
  private var strings: [String] = []
  private var objects: [AMFReference] = []
  private var traits: [Traits] = []

  init(_ budget: AMFBudget) { self.budget = budget }

  mutating func value(_ reader: inout ByteReader, depth: Int) throws(ParseError) -> AMFValue {
    try budget.spend()
    let at = reader.offset
    let marker = try reader.u8()
    switch marker {
    case AMF3.Marker.undefined: return .undefined
    case AMF3.Marker.null: return .null
    case AMF3.Marker.isFalse: return .boolean(false)
    case AMF3.Marker.isTrue: return .boolean(true)
    case AMF3.Marker.integer:
      // 29 bits, two's complement (§3.6).
      return .number(Double(Int32(bitPattern: try u29(&reader) << 3) >> 3))
    case AMF3.Marker.double: return .number(try reader.double())
    case AMF3.Marker.string: return .string(try text(&reader))
    case AMF3.Marker.xmlDocument...AMF3.Marker.dictionary: return try compound(marker, &reader, depth: depth + 1, at: at)
    default: throw .invalid("AMF3 marker \(marker)", at: at)
    }
  }

  /// Everything that takes a place in the object table.
  private mutating func compound(_ marker: UInt8, _ reader: inout ByteReader, depth: Int, at: Int) throws(ParseError) -> AMFValue {
    try budget.check(depth: depth)
    let header = try u29(&reader)
    guard header & 1 == 1 else { return try referred(Int(header >> 1), at: at) }
    let index = objects.count
    let before = budget.spent
    objects.append(AMFReference())
    let value = try body(marker, Int(header >> 1), &reader, depth: depth)
    objects[index] = AMFReference(value: value, size: budget.spent - before + 1)
    return value
  }

  private mutating func body(_ marker: UInt8, _ header: Int, _ reader: inout ByteReader, depth: Int) throws(ParseError) -> AMFValue {
    switch marker {
    case AMF3.Marker.xml, AMF3.Marker.xmlDocument: return .xml(try budget.text(header, &reader))
    case AMF3.Marker.date: return .date(milliseconds: try reader.double(), timeZone: 0)
    case AMF3.Marker.array: return try array(header, &reader, depth: depth)
    case AMF3.Marker.bytes:
      guard header <= budget.limits.stringBytes else { throw .limit("an AMF3 byte array", maximum: budget.limits.stringBytes) }
      return .bytes(Slice(copying: try reader.bytes(header)))
    case AMF3.Marker.vectorInt, AMF3.Marker.vectorUInt, AMF3.Marker.vectorDouble:
      return try vector(marker, header, &reader)
    case AMF3.Marker.vectorObject:
      try reader.skip(1)
      _ = try text(&reader)
      return .strictArray(try list(header, &reader, depth: depth))
    case AMF3.Marker.dictionary: return try dictionary(header, &reader, depth: depth)
    default: return try object(UInt32(truncatingIfNeeded: header), &reader, depth: depth)
    }
  }

  /// §3.11: the associative part first, up to the empty name, then the dense one.
  private mutating func array(_ count: Int, _ reader: inout ByteReader, depth: Int) throws(ParseError) -> AMFValue {
    var named = try dynamicMembers(&reader, depth: depth)
    let dense = try list(count, &reader, depth: depth)
    if named.isEmpty { return .strictArray(dense) }
    for (index, value) in dense.enumerated() { named.append(AMFProperty(String(index), value)) }
    return .ecmaArray(named)
  }

  private mutating func list(_ count: Int, _ reader: inout ByteReader, depth: Int) throws(ParseError) -> [AMFValue] {
    guard count <= budget.limits.elements else { throw .limit("the length of an AMF array", maximum: budget.limits.elements) }
    var values: [AMFValue] = []
    for _ in 0..<count { values.append(try value(&reader, depth: depth)) }
    return values
  }

  private mutating func vector(_ marker: UInt8, _ count: Int, _ reader: inout ByteReader) throws(ParseError) -> AMFValue {
    try reader.skip(1)
    try budget.spend(count)
    var values: [AMFValue] = []
    for _ in 0..<count {
      switch marker {
      case AMF3.Marker.vectorInt: values.append(.number(Double(Int32(bitPattern: try reader.u32()))))
      case AMF3.Marker.vectorUInt: values.append(.number(Double(try reader.u32())))
      default: values.append(.number(try reader.double()))
      }
    }
    return .strictArray(values)
  }

  private mutating func dictionary(_ count: Int, _ reader: inout ByteReader, depth: Int) throws(ParseError) -> AMFValue {
    guard count <= budget.limits.elements else { throw .limit("an AMF3 dictionary", maximum: budget.limits.elements) }
    try reader.skip(1)
    var keys: [AMFValue] = []
    var values: [AMFValue] = []
    for _ in 0..<count {
      keys.append(try value(&reader, depth: depth))
      values.append(try value(&reader, depth: depth))
    }
    return .dictionary(keys, values)
  }

  /// §3.12. `header` is the U29O-traits without its lowest bit.
  private mutating func object(_ header: UInt32, _ reader: inout ByteReader, depth: Int) throws(ParseError) -> AMFValue {
    let shape = try traits(header, &reader)
    var properties: [AMFProperty] = []
    for name in shape.members { properties.append(AMFProperty(name, try value(&reader, depth: depth))) }
    if shape.isDynamic { properties += try dynamicMembers(&reader, depth: depth) }
    return shape.name.isEmpty ? .object(properties) : .typedObject(name: shape.name, properties)
  }

  private mutating func traits(_ header: UInt32, _ reader: inout ByteReader) throws(ParseError) -> Traits {
    let at = reader.offset
    guard header & 1 == 1 else {
      let index = Int(header >> 1)
      guard index < traits.count else { throw .invalid("a reference to AMF3 traits \(index) of \(traits.count)", at: at) }
      return traits[index]
    }
    // How an externalizable class writes itself is known only to the class.
    guard header & 2 == 0 else { throw .invalid("an externalizable AMF3 object", at: at) }
    let count = Int(header >> 3)
    try budget.spend(count)
    let name = try text(&reader)
    var members: [String] = []
    for _ in 0..<count { members.append(try text(&reader)) }
    let shape = Traits(name: name, isDynamic: header & 4 != 0, members: members)
    traits.append(shape)
    return shape
  }

  private mutating func dynamicMembers(_ reader: inout ByteReader, depth: Int) throws(ParseError) -> [AMFProperty] {
    var properties: [AMFProperty] = []
    while true {
      let name = try text(&reader)
      if name.isEmpty { return properties }
      properties.append(AMFProperty(name, try value(&reader, depth: depth)))
    }
  }

  private mutating func referred(_ index: Int, at: Int) throws(ParseError) -> AMFValue {
    guard index < objects.count else { throw .invalid("an AMF3 reference to object \(index) of \(objects.count)", at: at) }
    guard let value = objects[index].value else { throw .invalid("an AMF3 object that contains itself", at: at) }
    try budget.spend(objects[index].size)
    return value
  }

  /// UTF-8-vr (§1.3.2): a reference or a new string; the empty one is never in the table.
  private mutating func text(_ reader: inout ByteReader) throws(ParseError) -> String {
    let at = reader.offset
    let header = try u29(&reader)
    guard header & 1 == 1 else {
      let index = Int(header >> 1)
      guard index < strings.count else { throw .invalid("a reference to AMF3 string \(index) of \(strings.count)", at: at) }
      return strings[index]
    }
    let text = try budget.text(Int(header >> 1), &reader)
    if !text.isEmpty { strings.append(text) }
    return text
  }

  /// U29 (§1.3.1): seven bits a byte, eight in the fourth.
  private func u29(_ reader: inout ByteReader) throws(ParseError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<3 {
      let byte = try reader.u8()
      value = value << 7 | UInt32(byte & 0x7F)
      if byte & 0x80 == 0 { return value }
    }
    return value << 8 | UInt32(try reader.u8())
  }
}
