package import MartletPrimitives

/// Opus: the identification header of RFC 7845 §5.1, `dOps` of the ISO BMFF binding, and packet durations.
package struct OpusConfiguration: Sendable, Equatable {
  package var channels: Int
  /// Samples at 48 kHz for a decoder to drop at the start.
  package var preSkip: UInt16 = 312
  /// In hertz, of what was encoded; informative, Opus always plays at 48 kHz.
  package var inputSampleRate: UInt32 = 48000
  /// Q7.8 decibels, as its 16 bits stand.
  package var outputGain: UInt16 = 0
  /// 0: mono or stereo; 1: the surround orders of Vorbis; 255: none.
  package var mappingFamily: UInt8 = 0
  /// Stream count, coupled count and one byte a channel; empty in family 0.
  package var mapping: Slice = []

  package init(channels: Int) { self.channels = channels }

  /// From an `OpusHead` with or without its eight bytes of magic.
  package init(_ head: Slice) throws(ParseError) {
    let body = OpusConfiguration.withoutMagic(head)
    var reader = ByteReader(body.bytes)
    guard try reader.u8() & 0xf0 == 0 else { throw .invalid("an OpusHead version", at: 0) }
    channels = Int(try reader.u8())
    guard channels > 0 else { throw .invalid("Opus without channels", at: 1) }
    preSkip = try reader.u16le()
    inputSampleRate = try reader.u32le()
    outputGain = try reader.u16le()
    mappingFamily = try reader.u8()
    if mappingFamily != 0 {
      mapping = Slice(copying: try reader.bytes(2 + channels))
    } else if channels > 2 {
      throw .invalid("more than two Opus channels in mapping family 0", at: 1)
    }
  }

  private static let magic = Array("OpusHead".utf8)

  package static func withoutMagic(_ head: Slice) -> Slice {
    head.sub(0..<8) == Slice(magic) ? head.dropFirst(8) : head
  }

  /// `OpusHead` without its magic, little-endian.
  package func write() -> Slice {
    var writer = ByteWriter(capacity: 16)
    writer.append([1, UInt8(truncatingIfNeeded: channels)])
    writer.u16le(preSkip)
    writer.u32le(inputSampleRate)
    writer.u16le(outputGain)
    writer.u8(mappingFamily)
    writer.append(mapping)
    return writer.slice
  }

  /// With magic, as Ogg and enhanced RTMP carry it.
  package func writeHead() -> [UInt8] { OpusConfiguration.magic + write().array }

  /// The body of `dOps` (Encapsulation of Opus in ISO BMFF §4.3.2): version 0, big-endian.
  package func writeDOps() -> [UInt8] {
    var writer = ByteWriter(capacity: 16)
    writer.append([0, UInt8(truncatingIfNeeded: channels)])
    writer.u16(preSkip)
    writer.u32(inputSampleRate)
    writer.u16(outputGain)
    writer.u8(mappingFamily)
    writer.append(mapping)
    return writer.bytes
  }

  /// Samples at 48 kHz in a packet, by its TOC (RFC 6716 §3.1 and §3.2); at most 120 ms.
  package static func duration(of packet: Slice) throws(ParseError) -> Int {
    var reader = ByteReader(packet.bytes)
    let toc = try reader.u8()
    let frames: Int
    switch toc & 3 {
    case 0: frames = 1
    case 1, 2: frames = 2
    default: frames = Int(try reader.u8() & 0x3f)
    }
    let configuration = Int(toc >> 3)
    let samples: Int
    switch configuration {
    case 0..<12: samples = [480, 960, 1920, 2880][configuration & 3]
    case 12..<16: samples = [480, 960][configuration & 1]
    default: samples = [120, 240, 480, 960][configuration & 3]
    }
    guard frames > 0, frames * samples <= 5760 else { throw .invalid("an Opus packet that is empty or above 120 ms", at: 0) }
    return frames * samples
  }
}

extension TrackFormat {
  /// Opus from an `OpusHead`, with or without its magic.
  package static func opus(_ head: Slice) throws(ParseError) -> TrackFormat {
    let configuration = try OpusConfiguration(head)
    var format = TrackFormat(codec: .opus, timescale: 48000, configuration: OpusConfiguration.withoutMagic(head), codecString: "opus")
    (format.sampleRate, format.channels) = (48000, configuration.channels)
    return format
  }

  /// Opus of which only packets are known: channels by the stereo bit of the TOC (RFC 6716 §3.1).
  package static func opus(packet: Slice) throws(ParseError) -> TrackFormat {
    guard let toc = packet.bytes.byte(at: 0) else { throw .truncated(at: 0, needed: 1) }
    return try opus(OpusConfiguration(channels: toc & 4 == 0 ? 1 : 2).write())
  }
}
