internal import MartletPrimitives

/// Writes the media playlist of a window (RFC 8216 §4.3.2 and §4.3.3).
package enum MediaPlaylist {
  /// Where the segments are found.
  package struct Addressing: Sendable {
    /// Before the segment's file name, relative to the playlist: `cam/` for `/live/cam.m3u8`. Raw text; it is escaped here.
    package var prefix: String
    /// With a CDN in front, what stands before the prefix: `https://cdn.example/live/`.
    package var baseURL: String
    /// Copied behind every URI, without its question mark: `token=…`, as it came in the request.
    package var query: String
    package var fileExtension = "ts"

    package init(prefix: String, baseURL: String = "", query: String = "") {
      self.prefix = prefix
      self.baseURL = baseURL
      self.query = query
    }
  }

  package static func write(_ window: Window, _ addressing: Addressing) -> String {
    let entries = window.listed
    var text = "#EXTM3U\n#EXT-X-VERSION:3\n"
    if !entries.isEmpty, entries.allSatisfy(\.segment.isIndependent) { text += "#EXT-X-INDEPENDENT-SEGMENTS\n" }
    text += "#EXT-X-TARGETDURATION:\(window.targetDuration)\n"
    text += "#EXT-X-MEDIA-SEQUENCE:\(window.mediaSequence)\n"
    if window.discontinuitySequence > 0 { text += "#EXT-X-DISCONTINUITY-SEQUENCE:\(window.discontinuitySequence)\n" }
    let head = URIText.escape(addressing.baseURL) + URIText.escape(addressing.prefix, isPath: true) + window.epoch + "-"
    let tail = "." + addressing.fileExtension + URIText.suffix(query: addressing.query) + "\n"
    for entry in entries {
      if entry.segment.isDiscontinuity { text += "#EXT-X-DISCONTINUITY\n" }
      text += "#EXT-X-PROGRAM-DATE-TIME:\(entry.segment.date.iso8601)\n"
      text += "#EXTINF:\(seconds(entry.segment.duration)),\n"
      text += head + String(entry.sequence) + tail
    }
    if window.isEnded { text += "#EXT-X-ENDLIST\n" }
    return text
  }

  /// Three decimals, to the nearest.
  static func seconds(_ span: TimeSpan) -> String { decimal(thousandths: (max(0, span.nanoseconds) + 500_000) / 1_000_000) }

  static func decimal(thousandths value: Int64) -> String {
    let fraction = String(value % 1000)
    return "\(value / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
  }
}

/// Text inside playlists comes from stream names and requests: nothing in it may begin a new line or end a URI.
enum URIText {
  private static let path = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=@/".utf8)

  /// - Parameter isPath: raw text of a path, in which `%`, `?`, `#` and `:` are letters like others; else an encoded URI, in
  ///   which only what no URI may contain is escaped.
  static func escape(_ text: String, isPath: Bool = false) -> String {
    var output: [UInt8] = []
    for byte in text.utf8 {
      if isPath ? path.contains(byte) : 0x21...0x7e ~= byte && byte != UInt8(ascii: "\"") {
        output.append(byte)
      } else {
        output.append(UInt8(ascii: "%"))
        output.append(contentsOf: Hex.encode([byte]).uppercased().utf8)
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  static func suffix(query: String) -> String { query.isEmpty ? "" : "?" + escape(query) }
}
