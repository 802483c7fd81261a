internal import MartletMedia
internal import MartletPrimitives

/// How streams behave, whatever the protocol.
internal enum StreamsSection {
  static let section = SettingSection(
    "streams", "How live streams behave, whatever protocol they come and go by.",
    [
      SettingKey(
        "grace", \.streams.grace, .duration(), "How long a stream without publisher keeps its viewers and its time line."),
      SettingKey(
        "wait_for_publisher", \.streams.waitForPublisher, .duration(), "How long a viewer waits for a stream that nobody publishes yet."),
      SettingKey(
        "takeover", \.streams.takeover, .choice,
        "When a second publisher comes: reject it, or let it replace the first while viewers stay."),
      SettingKey(
        "latency", \.streams.latency, latency,
        "When viewers are written to: lowest (each message at once), frame (sound leaves with the next picture; the cheapest "
          + "that nobody sees), or a duration to gather for."),
      SettingKey(
        "gop_cache", \.streams.ring.cachesGOP, .bool, "A new viewer begins with the last key frame instead of waiting for the next."),
      SettingKey(
        "ring_bytes", \.streams.ring.bytes, .bytes(64 << 10...1 << 30),
        "Kept of each stream and format for viewers that lag and viewers that join."),
      SettingKey(
        "stuck", \.streams.ring.stuck, .duration(.seconds(1)...TimeSpan.days(1)), "A viewer that takes nothing for this long is closed."),
      SettingKey("maximum", \.streams.maximumStreams, .int(1...1_000_000), "Streams at once."),
    ])

  private static let latency = SettingType<WireRing.Latency>.scalar("lowest, frame, or a duration such as 100ms") { text in
    switch text.lowercased() {
    case "lowest": return .lowest
    case "frame": return .frame
    default: return TimeSpanText.parse(text).flatMap { $0 > .zero && $0 <= .seconds(10) ? .gathered($0) : nil }
    }
  } write: { latency in
    switch latency {
    case .lowest: "lowest"
    case .frame: "frame"
    case .gathered(let span): TimeSpanText.text(span)
    }
  }
}
