internal import MartletCodecs
internal import MartletPrimitives

/// What a stream did so far, and its rates over the last whole second.
package struct StreamStatistics: Sendable {
  package var publishes = 0
  package private(set) var frames = 0
  package private(set) var keyFrames = 0
  package private(set) var bytes = 0
  /// Bits and video frames of the last second.
  package private(set) var bitrate = 0
  package private(set) var frameRate = 0.0

  private var windowStart: Instant?
  private var windowBytes = 0
  private var windowFrames = 0

  package init() {}

  internal mutating func count(_ frame: Frame, _ format: TrackFormat, now: Instant) {
    if format.kind == .video, frame.isKey { keyFrames += 1 }
    count(frames: 1, pictures: format.kind == .video ? 1 : 0, bytes: frame.payload.count, now)
  }

  internal mutating func count(_ unread: UnreadFrames, now: Instant) {
    count(frames: unread.pictures + unread.sounds, pictures: unread.pictures, bytes: unread.bytes, now)
  }

  private mutating func count(frames count: Int, pictures: Int, bytes: Int, _ now: Instant) {
    frames += count
    self.bytes += bytes
    windowBytes += bytes
    windowFrames += pictures
    guard let start = windowStart else {
      windowStart = now
      return
    }
    let elapsed = now - start
    guard elapsed >= .seconds(1) else { return }
    bitrate = Int(Double(windowBytes) * 8 / elapsed.seconds)
    frameRate = Double(windowFrames) / elapsed.seconds
    windowStart = now
    windowBytes = 0
    windowFrames = 0
  }
}
