package import MartletPrimitives

/// Action Message Format 0 (Adobe, 2007): the encoding of RTMP commands and metadata.
package enum AMF0 {
  /// All values of `bytes`.
  package static func decode(_ bytes: RawSpan, limits: AMFLimits = AMFLimits()) throws(ParseError) -> [AMFValue] {
    guard bytes.byteCount <= limits.totalBytes else { throw .limit("the size of an AMF message", maximum: limits.totalBytes) }
    var reader = ByteReader(bytes)
    var decoder = AMF0Decoder(limits)
    var values: [AMFValue] = []
    while !reader.isAtEnd { values.append(try decoder.value(&reader, depth: 0)) }
    return values
  }

  package static func decode(_ slice: Slice, limits: AMFLimits = AMFLimits()) throws(ParseError) -> [AMFValue] {
    try decode(slice.bytes, limits: limits)
  }

  package static func encode(_ values: [AMFValue]) -> [UInt8] {
    var writer = ByteWriter(capacity: 256)
    for value in values { write(value, &writer) }
    return writer.bytes
  }

  enum Marker {
    static let number: UInt8 = 0x00, boolean: UInt8 = 0x01, string: UInt8 = 0x02, object: UInt8 = 0x03
    static let null: UInt8 = 0x05, undefined: UInt8 = 0x06, reference: UInt8 = 0x07, ecmaArray: UInt8 = 0x08
    static let objectEnd: UInt8 = 0x09, strictArray: UInt8 = 0x0A, date: UInt8 = 0x0B, longString: UInt8 = 0x0C
    static let unsupported: UInt8 = 0x0D, xml: UInt8 = 0x0F, typedObject: UInt8 = 0x10, avmPlus: UInt8 = 0x11
  }
}

/// One message's decoding state. Depth is bounded by the limits, so recursion is too.
struct AMF0Decoder {
  private var budget: AMFBudget
  private var references: [AMFReference] = []

  init(_ limits: AMFLimits) { budget = AMFBudget(limits) }

  mutating func value(_ reader: inout ByteReader, depth: Int) throws(ParseError) -> AMFValue {
    try budget.spend()
    let at = reader.offset
    let marker = try reader.u8()
    switch marker {
    case AMF0.Marker.number: return .number(try reader.double())
    case AMF0.Marker.boolean: return .boolean(try reader.u8() != 0)
    case AMF0.Marker.string: return .string(try shortText(&reader))
    case AMF0.Marker.longString: return .string(try longText(&reader))
    case AMF0.Marker.xml: return .xml(try longText(&reader))
    case AMF0.Marker.null: return .null
    case AMF0.Marker.undefined, AMF0.Marker.unsupported: return .undefined
    case AMF0.Marker.date:
      let milliseconds = try reader.double()
      return .date(milliseconds: milliseconds, timeZone: Int16(bitPattern: try reader.u16()))
    case AMF0.Marker.object, AMF0.Marker.ecmaArray, AMF0.Marker.strictArray, AMF0.Marker.typedObject:
      return try compound(marker, &reader, depth: depth + 1)
    case AMF0.Marker.reference: return try referred(Int(try reader.u16()), at: at)
    case AMF0.Marker.avmPlus:
      // Each AMF3 value inside AMF0 begins with empty reference tables.
      var decoder = AMF3Decoder(budget)
      defer { budget = decoder.budget }
      return try decoder.value(&reader, depth: depth)
    default: throw .invalid("AMF0 marker \(marker)", at: at)
    }
  }

  private mutating func compound(_ marker: UInt8, _ reader: inout ByteReader, depth: Int) throws(ParseError) -> AMFValue {
    try budget.check(depth: depth)
    let index = references.count
    let before = budget.spent
    references.append(AMFReference())
    let value: AMFValue
    switch marker {
    case AMF0.Marker.strictArray: value = .strictArray(try array(&reader, depth: depth))
    case AMF0.Marker.ecmaArray:
      // The count is a hint that encoders get wrong; the end marker decides (AMF0 §2.10).
      try reader.skip(4)
      value = .ecmaArray(try properties(&reader, depth: depth))
    case AMF0.Marker.typedObject:
      let name = try shortText(&reader)
      value = .typedObject(name: name, try properties(&reader, depth: depth))
    default: value = .object(try properties(&reader, depth: depth))
    }
    references[index] = AMFReference(value: value, size: budget.spent - before + 1)
    return value
  }

  private mutating func array(_ reader: inout ByteReader, depth: Int) throws(ParseError) -> [AMFValue] {
    let count = Int(try reader.u32())
    guard count <= budget.limits.elements else { throw .limit("the length of an AMF array", maximum: budget.limits.elements) }
    var values: [AMFValue] = []
    for _ in 0..<count { values.append(try value(&reader, depth: depth)) }
    return values
  }

  private mutating func properties(_ reader: inout ByteReader, depth: Int) throws(ParseError) -> [AMFProperty] {
    var properties: [AMFProperty] = []
    while true {
      let name = try shortText(&reader)
      if name.isEmpty, reader.peek() == AMF0.Marker.objectEnd {
        try reader.skip(1)
        return properties
      }
      properties.append(AMFProperty(name, try value(&reader, depth: depth)))
    }
  }

  /// AMF0 §2.9. An object that contains itself cannot be a value here and is refused.
  private mutating func referred(_ index: Int, at: Int) throws(ParseError) -> AMFValue {
    guard index < references.count else { throw .invalid("an AMF0 reference to object \(index) of \(references.count)", at: at) }
    guard let value = references[index].value else { throw .invalid("an AMF0 object that contains itself", at: at) }
    try budget.spend(references[index].size)
    return value
  }

  private func shortText(_ reader: inout ByteReader) throws(ParseError) -> String {
    try budget.text(Int(try reader.u16()), &reader)
  }

  private func longText(_ reader: inout ByteReader) throws(ParseError) -> String {
    try budget.text(Int(try reader.u32()), &reader)
  }
}

extension AMF0 {
  private static func write(_ value: AMFValue, _ writer: inout ByteWriter) {
    switch value {
    case .number(let number):
      writer.u8(Marker.number)
      writer.double(number)
    case .boolean(let flag):
      writer.u8(Marker.boolean)
      writer.u8(flag ? 1 : 0)
    case .string(let text):
      let long = text.utf8.count > Int(UInt16.max)
      writer.u8(long ? Marker.longString : Marker.string)
      if long { writeLong(text, &writer) } else { writeShort(text, &writer) }
    case .xml(let text):
      writer.u8(Marker.xml)
      writeLong(text, &writer)
    case .null: writer.u8(Marker.null)
    case .undefined, .bytes: writer.u8(Marker.undefined)
    case .date(let milliseconds, let zone):
      writer.u8(Marker.date)
      writer.double(milliseconds)
      writer.u16(UInt16(bitPattern: zone))
    default: writeCompound(value, &writer)
    }
  }

  private static func writeCompound(_ value: AMFValue, _ writer: inout ByteWriter) {
    switch value {
    case .ecmaArray(let properties):
      writer.u8(Marker.ecmaArray)
      writer.u32(UInt32(truncatingIfNeeded: properties.count))
      write(properties, &writer)
    case .typedObject(let name, let properties):
      writer.u8(Marker.typedObject)
      writeShort(name, &writer)
      write(properties, &writer)
    case .strictArray(let values):
      writer.u8(Marker.strictArray)
      writer.u32(UInt32(truncatingIfNeeded: values.count))
      for value in values { write(value, &writer) }
    case .dictionary(let keys, let values):
      let named = zip(keys, values).map { AMFProperty($0.string ?? $0.number.map { "\($0)" } ?? "", $1) }
      writer.u8(Marker.object)
      write(named, &writer)
    default:
      writer.u8(Marker.object)
      write(value.properties, &writer)
    }
  }

  private static func write(_ properties: [AMFProperty], _ writer: inout ByteWriter) {
    for property in properties {
      writeShort(property.name, &writer)
      write(property.value, &writer)
    }
    writer.u16(0)
    writer.u8(Marker.objectEnd)
  }

  private static func writeShort(_ text: String, _ writer: inout ByteWriter) {
    // A name longer than the field allows is cut; no name of ours comes near.
    let bytes = text.utf8.prefix(Int(UInt16.max))
    writer.u16(UInt16(truncatingIfNeeded: bytes.count))
    writer.bytes.append(contentsOf: bytes)
  }

  private static func writeLong(_ text: String, _ writer: inout ByteWriter) {
    writer.u32(UInt32(truncatingIfNeeded: text.utf8.count))
    writer.string(text)
  }
}
