package import MartletCodecs
internal import MartletPrimitives

/// Writes a multivariant playlist (RFC 8216 §4.3.4): one stream in one or several renditions.
package enum MultivariantPlaylist {
  package struct Variant: Sendable {
    /// The path of its media playlist, relative to this one. Raw text; it is escaped here.
    package var path: String
    /// Bits a second: the highest of any segment, and the average. 0 where unknown.
    package var peakBitRate: Int
    package var averageBitRate: Int
    package var formats: [TrackFormat]

    package init(path: String, peakBitRate: Int, averageBitRate: Int, formats: [TrackFormat]) {
      self.path = path
      self.peakBitRate = peakBitRate
      self.averageBitRate = averageBitRate
      self.formats = formats
    }
  }

  /// - Parameter query: copied behind every URI, without its question mark.
  package static func write(_ variants: [Variant], query: String = "") -> String {
    var text = "#EXTM3U\n#EXT-X-VERSION:3\n"
    for variant in variants {
      text += "#EXT-X-STREAM-INF:" + attributes(variant).joined(separator: ",") + "\n"
      text += URIText.escape(variant.path, isPath: true) + URIText.suffix(query: query) + "\n"
    }
    return text
  }

  private static func attributes(_ variant: Variant) -> [String] {
    // BANDWIDTH is required; a guess keeps players going until the first segments are measured.
    var list = ["BANDWIDTH=\(variant.peakBitRate > 0 ? variant.peakBitRate : 2_000_000)"]
    if variant.averageBitRate > 0 { list.append("AVERAGE-BANDWIDTH=\(variant.averageBitRate)") }
    let media = variant.formats.filter { $0.kind != .data }
    let codecs = media.map { codec($0) }
    // A list that leaves a codec out is worse than none.
    if !codecs.isEmpty, codecs.allSatisfy({ !$0.isEmpty }) { list.append("CODECS=\"\(codecs.joined(separator: ","))\"") }
    if let video = media.first(where: { $0.kind == .video }) {
      if video.width > 0, video.height > 0 { list.append("RESOLUTION=\(video.width)x\(video.height)") }
      if video.frameRate > 0 {
        list.append("FRAME-RATE=" + MediaPlaylist.decimal(thousandths: Int64(clamping: (video.frameRate * 1000).rounded())))
      }
    }
    return list
  }

  /// The names that HLS players know: MP3 is an object type of MPEG-4 audio.
  private static func codec(_ format: TrackFormat) -> String { format.codec == .mp3 ? "mp4a.40.34" : format.codecString }
}
