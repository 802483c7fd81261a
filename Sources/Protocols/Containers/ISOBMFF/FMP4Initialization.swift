internal import MartletCodecs
internal import MartletPrimitives

/// The initialization segment: `ftyp` and a `moov` without samples (ISO/IEC 14496-12 §8.1, §8.8).
enum FMP4Initialization {
  /// - Parameter tracks: ids, from 1, and formats.
  static func write(_ tracks: [(id: UInt32, format: TrackFormat)]) -> [UInt8] {
    var writer = ByteWriter(capacity: 1024)
    writer.box("ftyp") { writer in
      writer.string("iso6")
      writer.u32(0)
      writer.string("iso6iso5mp41cmfc")
    }
    writer.box("moov") { writer in
      movieHeader(nextTrack: (tracks.map(\.id).max() ?? 0) + 1, &writer)
      for track in tracks { self.track(track.id, track.format, &writer) }
      writer.box("mvex") { writer in
        for track in tracks { trackExtends(track.id, &writer) }
      }
    }
    return writer.bytes
  }

  private static func movieHeader(nextTrack: UInt32, _ writer: inout ByteWriter) {
    writer.fullBox("mvhd") { writer in
      writer.zeros(8)
      writer.u32(1000)
      writer.u32(0)
      writer.u32(0x10000)
      writer.u16(0x0100)
      writer.zeros(10)
      writer.unityMatrix()
      writer.zeros(24)
      writer.u32(nextTrack)
    }
  }

  private static func track(_ id: UInt32, _ format: TrackFormat, _ writer: inout ByteWriter) {
    let isVideo = format.kind == .video
    writer.box("trak") { writer in
      // Enabled, in movie, in preview.
      writer.fullBox("tkhd", flags: 7) { writer in
        writer.zeros(8)
        writer.u32(id)
        writer.zeros(16)
        writer.u16(0)
        writer.u16(isVideo ? 0 : 1)
        writer.u16(isVideo ? 0 : 0x0100)
        writer.zeros(2)
        writer.unityMatrix()
        writer.u32(UInt32(UInt16(clamping: format.width)) << 16)
        writer.u32(UInt32(UInt16(clamping: format.height)) << 16)
      }
      writer.box("mdia") { writer in
        writer.fullBox("mdhd") { writer in
          writer.zeros(8)
          writer.u32(UInt32(clamping: format.timescale))
          writer.u32(0)
          // "und" in three times five bits.
          writer.u16(0x55c4)
          writer.u16(0)
        }
        handler(isVideo: isVideo, &writer)
        mediaInformation(format, &writer)
      }
    }
  }

  private static func handler(isVideo: Bool, _ writer: inout ByteWriter) {
    writer.fullBox("hdlr") { writer in
      writer.u32(0)
      writer.string(isVideo ? "vide" : "soun")
      writer.zeros(12)
      writer.string(isVideo ? "Video" : "Audio")
      writer.u8(0)
    }
  }

  private static func mediaInformation(_ format: TrackFormat, _ writer: inout ByteWriter) {
    writer.box("minf") { writer in
      if format.kind == .video {
        writer.fullBox("vmhd", flags: 1) { $0.zeros(8) }
      } else {
        writer.fullBox("smhd") { $0.zeros(4) }
      }
      writer.box("dinf") { writer in
        writer.fullBox("dref") { writer in
          writer.u32(1)
          // The media is in this file.
          writer.fullBox("url ", flags: 1) { _ in }
        }
      }
      writer.box("stbl") { writer in
        writer.fullBox("stsd") { writer in
          writer.u32(1)
          SampleEntry.append(format, to: &writer)
        }
        for type in ["stts", "stsc", "stco"] as [StaticString] { writer.fullBox(type) { $0.u32(0) } }
        writer.fullBox("stsz") { $0.zeros(8) }
      }
    }
  }

  private static func trackExtends(_ id: UInt32, _ writer: inout ByteWriter) {
    writer.fullBox("trex") { writer in
      writer.u32(id)
      writer.u32(1)
      writer.zeros(12)
    }
  }
}
