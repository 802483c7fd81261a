/// Bridges between codecs.
internal enum TranscodeSection {
  static let section = SettingSection(
    "transcode", "What is done when a viewer's protocol cannot carry a stream's codec. Sound is always transcoded then.",
    [
      SettingKey(
        "video", \.transcode.video, .choice,
        "auto makes pictures into H.264 while a viewer needs it (VP8, VP9 and AV1 for RTMP, FLV, TS and HLS; B-frames, and HEVC for browsers without it, for WebRTC); "
          + "never tells the viewer instead."),
      SettingKey(
        "max_streams", \.transcode.maximumStreams, .int(0...64),
        "Streams whose pictures are transcoded at once; each takes most of a core. Further viewers are told."),
    ])
}
