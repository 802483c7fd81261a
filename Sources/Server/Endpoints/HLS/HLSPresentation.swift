internal import MartletCodecs
internal import MartletHLS
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// What all workers may know of a stream's HLS: the segments, and the playlist ready to be sent. A new one is put into the
/// catalog with each segment, so that a request is answered by the worker it came to.
package struct HLSPresentation: Sendable {
  internal var window: Window
  internal var formats: [TrackFormat]
  /// Why there are no segments: the tracks cannot be carried.
  internal var refusal: String?
  /// Fed again after a pause: what the window holds is old, and the first request waits.
  internal var awaitsSegment: Bool
  /// The playlist for requests without a token.
  internal var playlist: StaticContent?
  /// Counts the changes of a catalog's entry.
  internal var version = 0

  internal init(window: Window, formats: [TrackFormat] = [], refusal: String? = nil, awaitsSegment: Bool = true) {
    self.window = window
    self.formats = formats
    self.refusal = refusal
    self.awaitsSegment = awaitsSegment
  }

  /// There is something to answer.
  internal var isReady: Bool { refusal != nil || !awaitsSegment && !window.isEmpty }

  /// The media playlist as `/APP/NAME/index.m3u8`.
  internal func mediaPlaylist(_ path: StreamPath, baseURL: String, query: String = "") -> String {
    let prefix = baseURL.isEmpty ? "" : path.text + "/"
    let baseURL = baseURL.isEmpty || baseURL.hasSuffix("/") ? baseURL : baseURL + "/"
    return MediaPlaylist.write(window, .init(prefix: prefix, baseURL: baseURL, query: query))
  }

  internal mutating func render(_ path: StreamPath, baseURL: String) {
    guard !window.isEmpty else { return playlist = nil }
    let last = window.mediaSequence + UInt64(window.listed.count)
    playlist = StaticContent(
      Slice(Array(mediaPlaylist(path, baseURL: baseURL).utf8)), contentType: HLSPlaylistType.name,
      etag: "\(window.epoch)-\(last)\(window.isEnded ? "e" : "")", caching: "public, max-age=\(maximumAge)")
  }

  /// Seconds that a playlist may be kept: about half a target duration (RFC 8216 §6.3.4 has clients ask again after one).
  internal var maximumAge: Int64 { max(1, window.targetDuration / 2) }
}

internal enum HLSPlaylistType {
  internal static let name = "application/vnd.apple.mpegurl"
}
