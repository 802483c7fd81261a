internal import MartletPrimitives

/// Writes AMF3 without references: what a server sends is small, and every reader must accept values in full.
extension AMF3 {
  package static func encode(_ values: [AMFValue]) -> [UInt8] {
    var writer = ByteWriter(capacity: 256)
    for value in values { write(value, &writer) }
    return writer.bytes
  }

  private static func write(_ value: AMFValue, _ writer: inout ByteWriter) {
    switch value {
    case .undefined: writer.u8(Marker.undefined)
    case .null: writer.u8(Marker.null)
    case .boolean(let flag): writer.u8(flag ? Marker.isTrue : Marker.isFalse)
    case .number(let number): write(number, &writer)
    case .string(let text):
      writer.u8(Marker.string)
      write(text, &writer)
    case .xml(let text):
      writer.u8(Marker.xml)
      write(text, &writer)
    case .date(let milliseconds, _):
      writer.u8(Marker.date)
      u29(1, &writer)
      writer.double(milliseconds)
    case .bytes(let slice):
      writer.u8(Marker.bytes)
      u29(slice.count << 1 | 1, &writer)
      writer.append(slice)
    default: writeCompound(value, &writer)
    }
  }

  private static func writeCompound(_ value: AMFValue, _ writer: inout ByteWriter) {
    switch value {
    case .strictArray(let values):
      writer.u8(Marker.array)
      u29(values.count << 1 | 1, &writer)
      write("", &writer)
      for value in values { write(value, &writer) }
    case .ecmaArray(let properties):
      writer.u8(Marker.array)
      u29(1, &writer)
      write(properties, &writer)
    case .dictionary(let keys, let values):
      writer.u8(Marker.dictionary)
      u29(keys.count << 1 | 1, &writer)
      writer.u8(0)
      for (key, value) in zip(keys, values) {
        write(key, &writer)
        write(value, &writer)
      }
    case .typedObject(let name, let properties): writeObject(name, properties, &writer)
    default: writeObject("", value.properties, &writer)
    }
  }

  /// A dynamic object without sealed members (§3.12).
  private static func writeObject(_ name: String, _ properties: [AMFProperty], _ writer: inout ByteWriter) {
    writer.u8(Marker.object)
    u29(0b1011, &writer)
    write(name, &writer)
    write(properties, &writer)
  }

  private static func write(_ properties: [AMFProperty], _ writer: inout ByteWriter) {
    // The empty name ends the list, so a property without a name cannot be written.
    for property in properties where !property.name.isEmpty {
      write(property.name, &writer)
      write(property.value, &writer)
    }
    write("", &writer)
  }

  private static func write(_ number: Double, _ writer: inout ByteWriter) {
    if let integer = Int32(exactly: number), (-(1 << 28)..<(1 << 28)).contains(integer), !(number == 0 && number.sign == .minus) {
      writer.u8(Marker.integer)
      u29(Int(integer) & 0x1FFF_FFFF, &writer)
    } else {
      writer.u8(Marker.double)
      writer.double(number)
    }
  }

  private static func write(_ text: String, _ writer: inout ByteWriter) {
    u29(text.utf8.count << 1 | 1, &writer)
    writer.string(text)
  }

  private static func u29(_ number: Int, _ writer: inout ByteWriter) {
    let value = UInt32(truncatingIfNeeded: number) & 0x1FFF_FFFF
    let bits = { (shift: UInt32) in UInt8(truncatingIfNeeded: value >> shift) & 0x7F | 0x80 }
    switch value {
    case 0..<0x80: writer.u8(UInt8(truncatingIfNeeded: value))
    case 0x80..<0x4000:
      writer.u8(bits(7))
      writer.u8(UInt8(truncatingIfNeeded: value) & 0x7F)
    case 0x4000..<0x20_0000:
      writer.u8(bits(14))
      writer.u8(bits(7))
      writer.u8(UInt8(truncatingIfNeeded: value) & 0x7F)
    default:
      writer.u8(bits(22))
      writer.u8(bits(15))
      writer.u8(bits(8))
      writer.u8(UInt8(truncatingIfNeeded: value))
    }
  }
}
