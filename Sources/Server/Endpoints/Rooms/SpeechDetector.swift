internal import MartletPrimitives
internal import MartletRTP

/// Whether somebody speaks, by the levels that their packets carry (RFC 6464): nobody has to decode them.
internal struct SpeechDetector {
  internal private(set) var isSpeaking = false
  /// 0 is silence, 127 the loudest; of the last few hundred milliseconds.
  internal private(set) var loudness = 0.0
  private var quietSince: Instant?
  private var lastPacket: Instant?

  /// Loudness that begins speech, and that ends it; between words one is silent.
  private static let begin = 82.0
  private static let end = 72.0
  private static let pause = TimeSpan.milliseconds(700)
  /// Who sends nothing says nothing.
  private static let timeout = TimeSpan.seconds(1)

  /// - Returns: whether `isSpeaking` has changed.
  internal mutating func receive(_ level: AudioLevel, now: Instant) -> Bool {
    lastPacket = now
    let heard = Double(127 - level.attenuation)
    // Louder is heard at once, and fades away.
    loudness += (heard - loudness) * (heard > loudness ? 0.3 : 0.05)
    if loudness > Self.end { quietSince = nil } else if quietSince == nil { quietSince = now }
    if !isSpeaking, loudness > Self.begin { return change(true) }
    if isSpeaking, let quietSince, now - quietSince > Self.pause { return change(false) }
    return false
  }

  /// - Returns: whether `isSpeaking` has changed.
  internal mutating func timeout(now: Instant) -> Bool {
    guard isSpeaking, let lastPacket, now - lastPacket > Self.timeout else { return false }
    loudness = 0
    return change(false)
  }

  private mutating func change(_ speaks: Bool) -> Bool {
    isSpeaking = speaks
    quietSince = nil
    return true
  }
}
