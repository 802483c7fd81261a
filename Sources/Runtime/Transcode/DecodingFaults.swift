#if Transcoding
  /// Counts what cannot be decoded. One frame is an accident; many in a row mean that this decoder will never do.
  internal struct DecodingFaults {
    private(set) var count = 0
    private var inARow = 0
    private var isReported = false
    private let limit: Int

    internal init(limit: Int) { self.limit = limit }

    internal mutating func beginFormat() {
      inARow = 0
      isReported = false
    }

    internal mutating func noteSuccess() { inARow = 0 }

    /// - Returns: what is to be said about it, if anything.
    internal mutating func note(_ error: FFmpegError) -> TranscoderOutput? {
      count += 1
      inARow += 1
      if inARow >= limit { return .failed("\(inARow) frames in a row cannot be decoded: \(error)") }
      return exchange(&isReported, with: true) ? nil : .warning("\(error)")
    }
  }
#endif
