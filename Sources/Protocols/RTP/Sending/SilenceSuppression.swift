package import MartletCodecs
package import MartletPrimitives

/// Leaves the silence between talk spurts of G.711 and G.722 out, and says what it sounds like (RFC 3551 §4.1, RFC 3389 §4).
///
///     sound ── quiet for `hangover`, or the source stops ──▶ silence: noise at once and then once an `interval`
///       ▲────────────────── a frame that is loud ──────────────┘
package struct SilenceSuppression: Sendable {
  package struct Options: Sendable {
    /// In decibels below the overload point: what is as quiet as this is silence. Speech has 15 to 35.
    package var threshold: UInt8 = 55
    /// Quiet sound that still belongs to the talk spurt, the ends of words for instance.
    package var hangover = TimeSpan.milliseconds(200)
    /// Between two descriptions of the noise.
    package var interval = TimeSpan.milliseconds(200)
    /// A source that gives nothing for this long has stopped.
    package var patience = TimeSpan.milliseconds(100)

    package init() {}
  }

  package enum Verdict: Equatable, Sendable {
    /// - startsSpurt: the marker bit (RFC 3551 §4.1).
    case sound(startsSpurt: Bool)
    case noise(ComfortNoise)
    /// The noise that was described goes on.
    case nothing
  }

  private var meter: SoundLevel
  private let options: Options
  private var isSilent = true
  /// The first quiet frame after a loud one.
  private var quietSince: UInt32?
  /// Of the last description.
  private var describedAt: (timestamp: UInt32, time: Instant)?
  /// Of what is quiet; nothing is heard of a source that was never quiet.
  private var level: UInt8 = 127
  /// Where the sound given so far ends, and when that was.
  private var end: (timestamp: UInt32, time: Instant)?

  /// As many as bytes, of G.711 in both of its laws and of G.722 (RFC 3551 §4.5.2).
  private static let ticksPerMillisecond: Int64 = 8

  /// `nil` for a codec whose silence is not told.
  package init?(_ codec: Codec, options: Options = Options()) {
    guard let meter = SoundLevel(of: codec) else { return nil }
    self.meter = meter
    self.options = options
  }

  /// When a source that goes on giving nothing has to be spoken for.
  package var deadline: Instant? {
    guard let end else { return nil }
    guard isSilent, let describedAt else { return end.time + options.patience }
    return max(end.time + options.patience, describedAt.time + options.interval)
  }

  package mutating func receive(_ sound: RawSpan, timestamp: UInt32, now: Instant) -> Verdict {
    end = (timestamp &+ UInt32(truncatingIfNeeded: sound.byteCount), now)
    let loudness = meter.level(of: sound)
    guard loudness >= options.threshold else {
      quietSince = nil
      defer { isSilent = false }
      return .sound(startsSpurt: isSilent)
    }
    let since = quietSince ?? timestamp
    if quietSince == nil { level = loudness } else { level = UInt8((3 * Int(level) + Int(loudness)) / 4) }
    quietSince = since
    guard isSilent || ticks(options.hangover) <= timestamp &- since else { return .sound(startsSpurt: false) }
    if isSilent, let describedAt, timestamp &- describedAt.timestamp < ticks(options.interval) { return .nothing }
    return .noise(describe(at: timestamp, now: now))
  }

  /// The noise of a source that has stopped, and its time; `nil` before `deadline`.
  package mutating func timeout(now: Instant) -> (noise: ComfortNoise, timestamp: UInt32)? {
    guard let due = deadline, due <= now, let end else { return nil }
    let elapsed = (now - end.time).nanoseconds / 1_000_000 * Self.ticksPerMillisecond
    let timestamp = end.timestamp &+ UInt32(truncatingIfNeeded: isSilent ? elapsed : 0)
    return (describe(at: timestamp, now: now), timestamp)
  }

  private mutating func describe(at timestamp: UInt32, now: Instant) -> ComfortNoise {
    isSilent = true
    describedAt = (timestamp, now)
    return ComfortNoise(level: level)
  }

  private func ticks(_ span: TimeSpan) -> UInt32 {
    UInt32(truncatingIfNeeded: span.nanoseconds / 1_000_000 * Self.ticksPerMillisecond)
  }
}
