internal import MartletEndpoints
internal import MartletPrimitives

/// Recording to files.
internal enum RecordSection {
  static let section = SettingSection(
    "record", "Recording of publishes as FLV files, listed and offered by the REST API.",
    [
      SettingKey(
        "path", \.record.path, .path, "The folder for recordings. Empty records nothing.", example: "/var/lib/martlet/recordings"),
      SettingKey(
        "rotate", \.record.rotate, .duration(), "Begin a new file after this long, at a key frame. 0: one file for each publish."),
      SettingKey(
        "streams", \.record.streams, .list(of: AccessTypes.pattern), "Which streams: * is any name within a segment, ** any path."),
      SettingKey(
        "queue_bytes", \.record.queueBytes, .bytes(1 << 20...1 << 30),
        "What may wait for the disk of one stream; beyond it frames are left out up to the next key frame."),
    ])
}
