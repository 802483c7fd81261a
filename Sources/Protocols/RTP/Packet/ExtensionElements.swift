internal import MartletPrimitives

/// The header extension elements of a packet about to be written. One value is reused from packet to packet: `removeAll` keeps
/// its memory.
package struct ExtensionElements: Sendable {
  /// RFC 8285 §4.3: a two-byte element's length is one byte.
  package static let maximumValueBytes = 255

  private struct Entry {
    var id: UInt8
    var range: Range<Int>
  }

  private var entries: [Entry] = []
  private var values: [UInt8] = []
  /// Whether every element fits the one-byte form, which is two thirds of the size for small values.
  private var fitsOneByte = true

  package init() {}

  package var isEmpty: Bool { entries.isEmpty }

  package mutating func removeAll() {
    entries.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
    fitsOneByte = true
  }

  /// Adds a value as it lies in another packet. Answers whether it could: id 0 is padding, and no value is longer than 255 bytes.
  @discardableResult package mutating func append(_ id: UInt8, _ value: RawSpan) -> Bool {
    guard value.byteCount <= Self.maximumValueBytes, id > 0 else { return false }
    let start = values.count
    values.append(value)
    add(id, from: start)
    return true
  }

  /// Adds the low `count` bytes of `value`, big-endian; 1 to 8.
  package mutating func append(_ id: UInt8, _ value: UInt64, count: Int) {
    guard id > 0 else { return }
    let start = values.count
    for index in (0..<min(8, count)).reversed() { values.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8))) }
    add(id, from: start)
  }

  package mutating func append(_ id: UInt8, _ text: String) {
    guard id > 0 else { return }
    let start = values.count
    values.append(contentsOf: text.utf8.prefix(Self.maximumValueBytes))
    add(id, from: start)
  }

  private mutating func add(_ id: UInt8, from start: Int) {
    let range = start..<values.count
    entries.append(Entry(id: id, range: range))
    // RFC 8285 §4.2: ids 1 to 14, lengths 1 to 16.
    if id > 14 || range.isEmpty || range.count > 16 { fitsOneByte = false }
  }

  /// Writes the extension of RFC 3550 §5.3.1: profile, length in words, elements, padding.
  func write(into writer: inout ByteWriter) {
    let content = values.count + entries.count * (fitsOneByte ? 1 : 2)
    writer.u16(fitsOneByte ? 0xBEDE : 0x1000)
    writer.u16(UInt16(clamping: (content + 3) / 4))
    for entry in entries {
      if fitsOneByte {
        writer.u8(entry.id << 4 | UInt8(truncatingIfNeeded: entry.range.count - 1))
      } else {
        writer.u8(entry.id)
        writer.u8(UInt8(truncatingIfNeeded: entry.range.count))
      }
      writer.append(values.span.bytes.extracting(entry.range))
    }
    writer.zeros((4 - content % 4) % 4)
  }
}
