#if Transcoding
  package import MartletCodecs

  /// What a transcoder hands to its `deliver`, on its own thread and in order.
  package enum TranscoderOutput: Sendable {
    /// Before the first frame, and again when it changes: the next frame is a key frame.
    ///
    /// The times of the frames have the encoder's delay taken off already, so that what is heard is heard at its time: the
    /// first frame begins that much before the source. In Opus the delay is the pre-skip of the configuration; in AAC it is
    /// 1,024 samples, for which an AudioSpecificConfig has no field.
    case format(TrackFormat)
    /// At least one, on the track of the frames that they were made from.
    case frames([Frame])
    /// Video: nothing comes before the next key frame of the source. Repeated while it stays away.
    case keyFrameNeeded
    /// The first damage under one format of the source, for the log. `TranscoderStatistics` counts all of it.
    case warning(String)
    /// Nothing more comes until the source changes its format.
    case failed(String)
    /// After `finish`: nothing more comes.
    case ended
  }

  /// What waits for delivery.
  internal struct TranscoderBatch {
    private(set) var outputs: [TranscoderOutput] = []
    private var frames: [Frame] = []
    /// Of a batch; more are delivered before the queue is empty.
    internal static let limit = 16

    internal var isFull: Bool { frames.count >= Self.limit }

    internal mutating func append(_ frame: Frame) { frames.append(frame) }

    internal mutating func append(_ output: TranscoderOutput) {
      closeFrames()
      outputs.append(output)
    }

    internal mutating func takeAll() -> [TranscoderOutput] {
      closeFrames()
      return exchange(&outputs, with: [])
    }

    private mutating func closeFrames() {
      if !frames.isEmpty { outputs.append(.frames(exchange(&frames, with: []))) }
    }
  }
#endif
