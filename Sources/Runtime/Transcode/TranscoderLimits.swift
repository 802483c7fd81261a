#if Transcoding
  /// What a source can make a transcoder spend. It has one thread, so the time it takes is bounded by one core.
  package struct TranscoderLimits: Sendable {
    /// Pixels of a decoded picture.
    package var width = 4096, height = 2304
    /// Frames that wait at most. Then the oldest go: in video all up to the next key frame.
    package var queuedFrames = 150
    /// What their payloads may add up to.
    package var queuedBytes = 32 << 20
    /// Payload of one frame; larger ones are dropped.
    package var frameBytes = 8 << 20
    /// Frames in a row that cannot be decoded before the transcoder gives up.
    package var failuresInARow = 100
    package init() {}
  }

  package struct TranscoderStatistics: Sendable, Equatable {
    package var framesIn = 0, framesOut = 0
    /// Frames of the source that found the queue full or were too large.
    package var dropped = 0
    /// Frames of the source that could not be decoded.
    package var damaged = 0
    package init() {}
  }
#endif
