package import MartletMedia
package import MartletPrimitives

/// What an operator may set for HLS; each field is a key of the `hls` section.
package struct HLSConfiguration: Equatable, Sendable {
  /// `enabled`: without it every `.m3u8` is a 404.
  package var isEnabled = true
  /// `fragment`: how long segments should be; they are cut at the first key frame after it. Default 2 s.
  package var fragment = TimeSpan.seconds(2)
  /// `window`: how much a playlist lists, at least three segments. Default 30 s.
  package var window = TimeSpan.seconds(30)
  /// `always`: cut segments from the first frame on, not only from the first request on.
  package var always = false
  /// `idle`: without a request for this long a stream is not cut into segments any more. Default 60 s.
  package var idle = TimeSpan.seconds(60)
  /// `hold`: how long the first request of a stream waits for its first segment. Default 15 s.
  package var hold = TimeSpan.seconds(15)
  /// `segment_base_url`: stands before the segments' paths, for a CDN: `https://cdn.example/`. Empty: the server itself.
  package var segmentBaseURL = ""
  /// `renditions`: other streams that show the same, by the stream that stands for all of them. Their segments are cut at
  /// common times.
  package var renditions: [StreamPath: [StreamPath]] = [:]
  /// `path`: a folder where segments and media playlists are also written as files, for another server to deliver; empty
  /// writes none. It must be the server's own: segments that an earlier run left are deleted at start.
  package var path = ""
  /// `maximum_viewers`: sessions counted for each stream; further viewers are served without being listed.
  package var maximumViewers = 100_000

  package init() {}

  /// This stream's segments must begin where those of others do.
  internal func isRendition(_ path: StreamPath) -> Bool {
    renditions[path] != nil || renditions.values.contains { $0.contains(path) }
  }

  /// The streams that the multivariant playlist of `path` may list.
  internal func candidates(_ path: StreamPath) -> [StreamPath] {
    var list = [path]
    for other in renditions[path] ?? [] where !list.contains(other) { list.append(other) }
    return list
  }
}
