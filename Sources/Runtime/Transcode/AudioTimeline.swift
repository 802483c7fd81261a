#if Transcoding
  /// Where decoded sound goes on the output's time line, which counts samples. The source's times are rounded, jitter, drift
  /// and jump; sound must stay with the picture.
  ///
  /// Times and counts are samples of the output.
  internal struct AudioTimeline {
    internal enum Placement: Equatable {
      /// Right behind what came before.
      case follow
      /// The same, over the next second lengthened (or shortened, below zero) by this much.
      case stretch(Int)
      /// Behind as much silence.
      case silence(Int)
      /// Without its first samples: their time is past.
      case skip(Int)
      /// On a new time line: the jump is too wide to be filled or cut.
      case restart
    }

    /// Less than the 20 ms of a WebRTC audio packet: a lost one leaves silence, not a shift.
    private let tolerance: Int64
    private let largestGap: Int64
    private let rate: Int64
    /// The smoothed difference of the source's times and the count of samples.
    private var drift = 0.0
    /// Until then a stretch is under way, and the drift says nothing new.
    private var settles = Int64.min

    internal init(rate: Int) {
      self.rate = Int64(rate)
      tolerance = self.rate * 15 / 1000
      largestGap = self.rate
    }

    /// - Parameters:
    ///   - time: when the source says the next samples are due.
    ///   - expected: the end of what is there.
    internal mutating func place(at time: Int64, expected: Int64) -> Placement {
      let difference = time &- expected
      guard difference.magnitude <= largestGap else {
        forget()
        return .restart
      }
      if difference.magnitude > tolerance {
        forget()
        return difference > 0 ? .silence(Int(difference)) : .skip(Int(-difference))
      }
      return follow(difference, at: time)
    }

    /// Times in milliseconds are rounded by up to one, which is why two are the least that counts as drift.
    private mutating func follow(_ difference: Int64, at time: Int64) -> Placement {
      guard time >= settles else { return .follow }
      drift += (Double(difference) - drift) / 32
      guard drift.magnitude > Double(rate) * 0.002 else { return .follow }
      // At most half a percent, a twelfth of a semitone.
      let stretch = min(max(drift, -Double(rate) * 0.005), Double(rate) * 0.005)
      drift = 0
      settles = time &+ rate
      return .stretch(Int(stretch))
    }

    private mutating func forget() {
      drift = 0
      settles = .min
    }
  }
#endif
