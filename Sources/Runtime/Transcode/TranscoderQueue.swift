#if Transcoding
  internal import MartletCodecs
  internal import MartletPrimitives

  /// What waits for a transcoding thread. A full queue drops the oldest frames, in video up to a key frame, and never a format.
  internal struct TranscoderQueue {
    internal enum Work {
      case format(TrackFormat)
      case frame(Frame)
      /// Frames were dropped, and nothing follows before a key frame.
      case gap
      case finish
    }

    private var items = Deque<Work>()
    private var frames = 0
    private var bytes = 0
    private var awaitsKey = false
    private var isFinished = false
    private let kind: MediaKind
    private let limits: TranscoderLimits

    internal init(_ kind: MediaKind, _ limits: TranscoderLimits) {
      self.kind = kind
      self.limits = limits
    }

    /// - Returns: how many frames were dropped, this one included.
    internal mutating func append(_ frame: Frame) -> Int {
      guard !isFinished, !frame.payload.isEmpty, frame.payload.count <= limits.frameBytes else { return 1 }
      var dropped = 0
      while frames > 0, frames >= limits.queuedFrames || bytes + frame.payload.count > limits.queuedBytes { dropped += dropOldest() }
      if kind == .video, dropped > 0, frames == 0, !frame.isKey { skipToKey() }
      guard !awaitsKey || frame.isKey else { return dropped + 1 }
      awaitsKey = false
      items.append(.frame(frame))
      frames += 1
      bytes += frame.payload.count
      return dropped
    }

    /// A format that no frame has used yet is replaced.
    internal mutating func append(_ format: TrackFormat) {
      guard !isFinished else { return }
      if case .format = items.last { items.popLast() }
      items.append(.format(format))
    }

    internal mutating func finish() {
      guard !isFinished else { return }
      isFinished = true
      items.append(.finish)
    }

    internal mutating func popFirst() -> Work? {
      let work = items.popFirst()
      if case .frame(let frame) = work { forget(frame) }
      return work
    }

    internal var isEmpty: Bool { items.isEmpty }

    internal mutating func removeAll() { self = TranscoderQueue(kind, limits) }

    private mutating func forget(_ frame: Frame) {
      frames -= 1
      bytes -= frame.payload.count
    }

    private mutating func skipToKey() {
      awaitsKey = true
      items.append(.gap)
    }

    /// Drops one frame, and in video those that need it. The last of the formats that stood between them stays.
    private mutating func dropOldest() -> Int {
      var format: TrackFormat?
      var dropped = 0
      scan: while let first = items.first {
        switch first {
        case .format(let changed): format = changed
        case .gap: break
        case .finish: break scan
        case .frame(let frame):
          if dropped > 0, kind != .video || frame.isKey { break scan }
          forget(frame)
          dropped += 1
        }
        items.popFirst()
      }
      if let format { items.prepend(.format(format)) }
      return dropped
    }
  }
#endif
