package import MartletPrimitives

/// The NAL units of an access unit whose units each stand behind a big-endian length, as in FLV, MP4 and `Frame`
/// (ISO/IEC 14496-15 §4.3.3). Units come out as shared slices; empty ones are skipped.
package struct NALUnits: Sendable {
  private let source: Slice
  private let lengthSize: Int
  private var offset = 0

  /// - Parameter lengthSize: bytes in each length, 1 to 4, as the configuration record says.
  package init(_ accessUnit: Slice, lengthSize: Int = 4) {
    source = accessUnit
    self.lengthSize = min(max(lengthSize, 1), 4)
  }

  /// The next unit without its length, or `nil` at the end. A length that reaches beyond the access unit throws.
  package mutating func next() throws(ParseError) -> Slice? {
    while offset < source.count {
      let length = try NALUnits.length(in: source.bytes, at: offset, size: lengthSize)
      let start = offset + lengthSize
      offset = start + length
      if length > 0 { return source.sub(start..<offset) }
    }
    return nil
  }

  /// The checked length field at `offset`: what it announces lies inside `bytes`.
  package static func length(in bytes: RawSpan, at offset: Int, size: Int) throws(ParseError) -> Int {
    var length = 0
    for index in 0..<size {
      guard let byte = bytes.byte(at: offset + index) else { throw .truncated(at: offset, needed: size) }
      length = length << 8 | Int(byte)
    }
    guard length <= bytes.byteCount - offset - size else { throw .truncated(at: offset + size, needed: length) }
    return length
  }

  /// The same access unit with 4-byte lengths; the slice itself when it has them already.
  package static func normalised(_ accessUnit: Slice, lengthSize: Int) throws(ParseError) -> Slice {
    if lengthSize == 4 { return accessUnit }
    var writer = ByteWriter(capacity: accessUnit.count + 64)
    var units = NALUnits(accessUnit, lengthSize: lengthSize)
    while let unit = try units.next() {
      writer.u32(UInt32(truncatingIfNeeded: unit.count))
      writer.append(unit)
    }
    return writer.slice
  }
}

/// The byte stream form of NAL units (ITU-T H.264 and H.265, Annex B): start codes instead of lengths.
package enum AnnexB {
  /// Appends the units of a length-prefixed access unit, each behind a 4-byte start code.
  package static func append(_ accessUnit: Slice, lengthSize: Int = 4, to output: inout [UInt8]) throws(ParseError) {
    var units = NALUnits(accessUnit, lengthSize: lengthSize)
    while let unit = try units.next() { append(unit: unit, to: &output) }
  }

  /// Appends one unit behind a 4-byte start code.
  package static func append(unit: Slice, to output: inout [UInt8]) {
    output.append(0)
    output.append(0)
    output.append(0)
    output.append(1)
    output.append(unit.bytes)
  }

  /// The units of a byte stream, without start codes and without the zero bytes around them.
  package static func units(of stream: Slice) -> [Slice] {
    let bytes = stream.bytes
    var units: [Slice] = []
    var start: Int?
    var index = 0
    while index + 2 < bytes.byteCount {
      guard bytes.byte(at: index + 2) == 1, bytes.byte(at: index + 1) == 0, bytes.byte(at: index) == 0 else {
        index += 1
        continue
      }
      if let start { add(start..<index) }
      index += 3
      start = index
    }
    if let start { add(start..<bytes.byteCount) }
    return units

    func add(_ range: Range<Int>) {
      var end = range.upperBound
      while end > range.lowerBound, stream.bytes.byte(at: end - 1) == 0 { end -= 1 }
      if end > range.lowerBound { units.append(stream.sub(range.lowerBound..<end)) }
    }
  }

  /// A byte stream as an access unit with 4-byte lengths.
  package static func lengthPrefixed(_ stream: Slice) -> Slice {
    var writer = ByteWriter(capacity: stream.count + 16)
    for unit in units(of: stream) {
      writer.u32(UInt32(truncatingIfNeeded: unit.count))
      writer.append(unit)
    }
    return writer.slice
  }
}

/// The raw payload of a NAL unit: what is left without the emulation prevention bytes (H.264 §7.4.1, H.265 §7.4.2).
enum RBSP {
  /// Parameter sets are a few hundred bytes; more is an attempt to keep us busy.
  static let maximumParameterSet = 4096

  static func unescaped(_ nal: Slice) throws(ParseError) -> [UInt8] {
    guard nal.count <= maximumParameterSet else { throw .limit("a parameter set in bytes", maximum: maximumParameterSet) }
    return nal.withUnsafeBytes { bytes in
      var output: [UInt8] = []
      output.reserveCapacity(bytes.count)
      var zeros = 0
      for byte in bytes {
        if zeros >= 2, byte == 3 {
          zeros = 0
          continue
        }
        zeros = byte == 0 ? zeros + 1 : 0
        output.append(byte)
      }
      return output
    }
  }
}

/// Parameter sets inside a configuration record: a 16-bit length and the unit.
func parameterSet(_ reader: inout ByteReader) throws(ParseError) -> Slice {
  let length = Int(try reader.u16())
  return Slice(copying: try reader.bytes(length))
}

func hexadecimal(_ value: some BinaryInteger, width: Int = 1) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
