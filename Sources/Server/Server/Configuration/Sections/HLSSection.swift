internal import MartletEndpoints
internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives

/// HLS playlists and segments.
internal enum HLSSection {
  static let section = SettingSection(
    "hls", "HLS at /APP/NAME.m3u8.",
    [
      SettingKey("enabled", \.hls.isEnabled, .bool, "Answer HLS requests."),
      SettingKey(
        "fragment", \.hls.fragment, .duration(.milliseconds(500)...TimeSpan.seconds(60)),
        "The length of a segment. The real one follows the publisher's key frames."),
      SettingKey(
        "window", \.hls.window, .duration(.seconds(2)...TimeSpan.days(1)), "How far a playlist reaches back."),
      SettingKey("always", \.hls.always, .bool, "Make segments of every stream from its start, not only once somebody watches."),
      SettingKey(
        "segment_base_url", \.hls.segmentBaseURL, baseURL, "Put in front of segment names in playlists, for a CDN.",
        example: "\"https://cdn.example.org\""),
      SettingKey(
        "renditions", \.hls.renditions, renditions,
        "Published streams that one playlist offers as qualities of one programme.",
        example: "{live/cam: [live/cam_720, live/cam_360]}", structured: true),
      SettingKey(
        "idle", \.hls.idle, .duration(.seconds(1)...TimeSpan.days(1)), "Without a request for this long no more segments are made."),
      SettingKey(
        "hold", \.hls.hold, .duration(.seconds(1)...TimeSpan.seconds(60)),
        "How long the first request of a stream waits for its first segment."),
      SettingKey(
        "path", \.hls.path, .path,
        "A folder of the server's own where segments and media playlists are also written as files. Empty writes none.",
        example: "/var/lib/martlet/hls"),
    ])

  private static let baseURL = SettingType<String>.scalar("a URL such as \"https://cdn.example.org\"") { text in
    guard !text.isEmpty else { return text }
    guard let url = URLReference(text), ["http", "https"].contains(url.scheme), url.rawQuery == nil else { return nil }
    return text.hasSuffix("/") ? String(text.dropLast()) : text
  } write: {
    YAMLText.quoted($0)
  }

  private static let path = SettingType<StreamPath>.scalar("a stream path APP/NAME") {
    try? StreamPath($0)
  } write: {
    YAMLText.quoted($0.text)
  }

  private static let renditions = SettingType<[StreamPath: [StreamPath]]>("a map of stream paths to lists of stream paths") {
    node throws(SettingProblem) in
    if node.isNull { return [:] }
    guard case .map(let entries) = node.content else { return nil }
    var result: [StreamPath: [StreamPath]] = [:]
    for entry in entries {
      let name = try path.read(.scalar(entry.key, at: entry.place))
      result[name] = try SettingType.list(of: path).read(entry.value)
    }
    return result
  } write: { renditions in
    let entries = renditions.sorted { $0.key.text < $1.key.text }
    return "{" + entries.map { "\(path.write($0.key)): \(SettingType.list(of: path).write($0.value))" }.joined(separator: ", ") + "}"
  }
}
