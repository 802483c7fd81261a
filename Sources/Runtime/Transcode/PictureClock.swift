#if Transcoding
  internal import MartletPrimitives

  /// When pictures are encoded, and which of them as key frames.
  ///
  /// The encoder's rate control reckons with time, so it gets a clock of its own whose steps are sane whatever the source's
  /// do: 90 kHz, from a millisecond to ten seconds a step.
  internal struct PictureClock {
    internal static let rate: Int32 = 90_000

    internal struct Tick: Equatable {
      let time: Int64
      let isKey: Bool
    }

    private let timescale: Int64
    /// In ticks of the source.
    private let keyInterval: Int64
    /// Requests closer together than this are one: a crowd that joins costs no more than a viewer.
    private let leastKeyInterval: Int64
    private var last: Int64?
    private var lastKey: Int64 = 0
    private var time: Int64 = 0
    private var isKeyWanted = true

    /// - Parameter keyInterval: seconds at most between key frames.
    internal init(timescale: Int32, keyInterval: Double) {
      self.timescale = Int64(max(1, timescale))
      self.keyInterval = Int64(clamping: keyInterval * Double(self.timescale))
      leastKeyInterval = self.timescale / 4
    }

    /// The next picture is a key frame, or one soon behind it if the last is just past.
    internal mutating func wantKey() { isKeyWanted = true }

    /// The next picture is a key frame: the encoder is new.
    internal mutating func forceKey() {
      isKeyWanted = true
      lastKey = .min
    }

    /// - Parameter picture: when it is due, in ticks of the source.
    /// - Returns: `nil` for a picture that must be left out, since its time is past.
    internal mutating func advance(to picture: Int64) -> Tick? {
      guard let previous = last else {
        last = picture
        return key(at: picture)
      }
      let step = picture &- previous
      if step <= 0, step >= -timescale { return nil }
      last = picture
      let scaled = step > timescale * 10 || step < 0 ? 10 * Int64(Self.rate) : step * Int64(Self.rate) / timescale
      time &+= max(scaled, Int64(Self.rate) / 1000)
      let age = lastKey == .min ? Int64.max : picture &- lastKey
      // A jump back is a new beginning.
      let isDue = step < 0 || age >= keyInterval || isKeyWanted && age >= leastKeyInterval
      return isDue ? key(at: picture) : Tick(time: time, isKey: false)
    }

    private mutating func key(at picture: Int64) -> Tick {
      lastKey = picture
      isKeyWanted = false
      return Tick(time: time, isKey: true)
    }
  }
#endif
