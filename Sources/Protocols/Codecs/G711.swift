extension TrackFormat {
  /// A-law or µ-law (ITU-T G.711): one channel of 8 kHz, a byte a sample.
  package static func g711(_ codec: Codec) -> TrackFormat {
    var format = TrackFormat(codec: codec, timescale: 8000, codecString: codec == .g711a ? "alaw" : "ulaw")
    (format.sampleRate, format.channels) = (8000, 1)
    return format
  }
}
