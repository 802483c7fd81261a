internal import MartletCodecs
internal import MartletPrimitives

/// What `stsd` says of a track (ISO/IEC 14496-12 §8.5.2, 14496-14, 14496-15, and the AV1, VP and Opus bindings).
enum SampleEntry {
  static func isSupported(_ codec: Codec) -> Bool {
    switch codec {
    case .h264, .hevc, .av1, .vp8, .vp9, .aac, .mp3, .opus: true
    case .g711a, .g711u, .g722, .data: false
    }
  }

  static func append(_ format: TrackFormat, to writer: inout ByteWriter) {
    switch format.codec {
    case .h264: visual("avc1", format, &writer) { $0.box("avcC") { $0.append(format.configuration) } }
    case .hevc: visual("hvc1", format, &writer) { $0.box("hvcC") { $0.append(format.configuration) } }
    case .av1: visual("av01", format, &writer) { $0.box("av1C") { $0.append(format.configuration) } }
    case .vp8: visual("vp08", format, &writer) { $0.fullBox("vpcC", version: 1) { $0.append(format.configuration) } }
    case .vp9: visual("vp09", format, &writer) { $0.fullBox("vpcC", version: 1) { $0.append(format.configuration) } }
    case .aac: audio("mp4a", format, &writer) { elementaryStream(objectType: 0x40, format.configuration, &$0) }
    // ISO/IEC 14496-1 table 5: MPEG-1 audio, and MPEG-2 audio for the half sample rates.
    case .mp3: audio("mp4a", format, &writer) { elementaryStream(objectType: format.sampleRate < 32000 ? 0x69 : 0x6b, Slice(), &$0) }
    case .opus:
      audio("Opus", format, &writer) { writer in
        let configuration = (try? OpusConfiguration(format.configuration)) ?? OpusConfiguration(channels: format.channels)
        writer.box("dOps") { $0.append(configuration.writeDOps()) }
      }
    case .g711a, .g711u, .g722, .data: break
    }
  }

  private static func visual(
    _ type: StaticString, _ format: TrackFormat, _ writer: inout ByteWriter, _ configuration: (inout ByteWriter) -> Void
  ) {
    writer.box(type) { writer in
      writer.zeros(6)
      writer.u16(1)
      writer.zeros(16)
      writer.u16(UInt16(clamping: format.width))
      writer.u16(UInt16(clamping: format.height))
      // 72 dpi, one frame a sample, no compressor name, 24 bits, no colour table.
      writer.u32(0x0048_0000)
      writer.u32(0x0048_0000)
      writer.u32(0)
      writer.u16(1)
      writer.zeros(32)
      writer.u16(0x18)
      writer.u16(0xffff)
      configuration(&writer)
    }
  }

  private static func audio(
    _ type: StaticString, _ format: TrackFormat, _ writer: inout ByteWriter, _ configuration: (inout ByteWriter) -> Void
  ) {
    writer.box(type) { writer in
      writer.zeros(6)
      writer.u16(1)
      writer.zeros(8)
      writer.u16(UInt16(clamping: format.channels))
      writer.u16(16)
      writer.zeros(4)
      // 16.16 fixed point; what does not fit is in the decoder's configuration anyway.
      writer.u32(format.sampleRate <= 0xffff ? UInt32(clamping: format.sampleRate) << 16 : 0)
      configuration(&writer)
    }
  }

  /// `esds`, ISO/IEC 14496-14 §5.6.
  private static func elementaryStream(objectType: UInt8, _ configuration: Slice, _ writer: inout ByteWriter) {
    writer.fullBox("esds") { writer in
      writer.descriptor(3) { writer in
        writer.u16(0)
        writer.u8(0)
        writer.descriptor(4) { writer in
          writer.u8(objectType)
          // AudioStream, upstream 0, reserved 1; buffer size and bit rates unknown.
          writer.u8(0x15)
          writer.zeros(11)
          if !configuration.isEmpty { writer.descriptor(5) { $0.append(configuration) } }
        }
        writer.descriptor(6) { $0.u8(2) }
      }
    }
  }
}
