package import MartletCodecs
internal import MartletPrimitives

extension Frame {
  /// Whoever comes in between can begin here: at a key picture, or in a stream without pictures at any sound. Never at data.
  package func isJoinPoint(_ format: TrackFormat, hasVideo: Bool) -> Bool {
    isKey && (format.kind == .video || !hasVideo && format.kind == .audio)
  }
}

/// The frames since the last key frame, from which a format that nobody has watched yet is begun, and pictures are taken.
package struct FrameCache: Sendable {
  private let byteLimit: Int
  private let frameLimit: Int
  private var bytes = 0
  /// Empty until the first key frame, or after the bounds were exceeded.
  package private(set) var frames: [Frame] = []

  package init(byteLimit: Int = 16 << 20, frameLimit: Int = 4096) {
    self.byteLimit = byteLimit
    self.frameLimit = frameLimit
  }

  /// - Parameter restarts: decoding of the whole stream can begin with this frame.
  package mutating func append(_ frame: Frame, restarts: Bool) {
    if restarts {
      removeAll()
    } else if frames.isEmpty {
      return
    }
    if bytes + frame.payload.count > byteLimit || frames.count >= frameLimit {
      removeAll()
      return
    }
    frames.append(frame)
    bytes += frame.payload.count
  }

  package mutating func removeAll() {
    frames.removeAll(keepingCapacity: true)
    bytes = 0
  }
}
