extension TrackFormat {
  /// ITU-T G.722 at 64 kbit/s: one channel of 16 kHz, whose clock has 8,000 ticks a second all the same (RFC 3551 §4.5.2).
  package static var g722: TrackFormat {
    var format = TrackFormat(codec: .g722, timescale: 8000, codecString: "g722")
    (format.sampleRate, format.channels) = (16_000, 1)
    return format
  }
}
