internal import MartletClient
internal import MartletEndpoints
internal import MartletPrimitives

/// Streams that go to other servers and come from them.
internal enum RelaySection {
  static let keys: [SettingKey] = [
    SettingKey(
      "forward", \.relay.forward, .list(of: forward),
      "Streams that are published on other RTMP servers too, for as long as they are live; {app} and {name} are those of the stream.",
      example: "[{from: live/*, to: \"rtmp://example.org/{app}/{name}\"}]", structured: true),
    SettingKey(
      "pull", \.relay.pull, .list(of: pull),
      "Streams that are fetched from another RTMP server when somebody wants to watch them and nobody publishes them here.",
      example: "[{path: live/*, from: \"rtmp://origin.example.org/{app}/{name}\"}]", structured: true),
  ]

  private static let target = SettingType<RTMPTarget>.scalar("an rtmp:// or rtmps:// URL with an application and a stream name") {
    RTMPTarget($0)
  } write: {
    // Stream keys are secrets.
    YAMLText.quoted("\($0.description)/***")
  }

  private static let forward = SettingType<RTMPRelayConfiguration.Forward>("{from, to}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a forward", ["from", "to"]) { fields throws(SettingProblem) in
      RTMPRelayConfiguration.Forward(
        from: try fields.required("from", AccessTypes.pattern), to: try fields.required("to", target))
    }
  } write: {
    "{from: \(AccessTypes.pattern.write($0.from)), to: \(target.write($0.to))}"
  }

  private static let pull = SettingType<RTMPRelayConfiguration.Pull>("{path, from}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a pull", ["path", "from"]) { fields throws(SettingProblem) in
      RTMPRelayConfiguration.Pull(
        path: try fields.required("path", AccessTypes.pattern), from: try fields.required("from", target))
    }
  } write: {
    "{path: \(AccessTypes.pattern.write($0.path)), from: \(target.write($0.from))}"
  }
}
