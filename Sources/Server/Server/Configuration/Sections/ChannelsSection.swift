internal import MartletEndpoints
internal import MartletMessages
internal import MartletPrimitives
internal import MartletStorage

/// Channels: what their namespaces keep, and how their transports behave.
internal enum ChannelsSection {
  static let section = SettingSection(
    "channels", "Messages: what channels keep, and how WebSocket, event streams and polls of them behave.",
    [
      SettingKey(
        "history", \.channels.defaults.history, .int(0...10_000_000), "Messages that a channel keeps for subscribers that come back."),
      SettingKey("age", \.channels.defaults.age, .duration(.seconds(1)...TimeSpan.days(365)), "How long it keeps them."),
      SettingKey("bytes", \.channels.defaults.bytes, .bytes(1 << 10...16 << 30), "And how much of them."),
      SettingKey("durable", \.channels.defaults.durable, .bool, "Channels are kept on disk, in the file channels.path."),
      SettingKey("presence", \.channels.defaults.presence, .bool, "Who is subscribed is known and told."),
      SettingKey(
        "compress_binary", \.channels.defaults.compressesBinary, .bool,
        "Binary messages are compressed for WebSockets that agreed on it, like text."),
      SettingKey(
        "namespaces", \.channels.namespaces, namespaces,
        "The same options for the channels below a first segment: chat is for chat/general. What is left out is as the server has it without configuration.",
        example: "{chat: {history: 10000, age: 24h, presence: true}, orders: {durable: true}}", structured: true),
      SettingKey(
        "path", \.channels.path, .path, "The file of durable channels. Empty is channels.db in the state folder.",
        example: "/var/lib/martlet/channels.db"),
      SettingKey(
        "synchronous", \.channels.synchronous, .choice,
        "normal: what was acknowledged survives kill -9; full: also a power cut, for a wait on the disk with every commit."),
      SettingKey("maximum", \.channels.maximum, .int(1...100_000_000), "Channels at once."),
      SettingKey("message", \.channels.messageBytes, .bytes(1 << 10...64 << 20), "The largest message."),
      SettingKey("subscriptions", \.channels.subscriptions, .int(1...100_000), "Subscriptions of one connection."),
      SettingKey(
        "user_connections", \.channels.userConnections, .int(0...1_000_000, zero: "no limit"),
        "Connections of one user, by the sub of its tokens."),
      SettingKey(
        "stuck", \.channels.stuck, .duration(.seconds(1)...TimeSpan.days(1)),
        "A subscriber that takes nothing for this long, while something waits, is closed; it resumes from history."),
      SettingKey(
        "idle", \.channels.idle, .duration(.seconds(1)...TimeSpan.days(365)),
        "How long an empty channel without subscribers remembers its numbering."),
      SettingKey(
        "retry", \.channelTransports.retry, .duration(.milliseconds(1)...TimeSpan.seconds(3600)),
        "What an EventSource is told to wait before it comes back."),
      SettingKey(
        "heartbeat", \.channelTransports.heartbeat, .duration(.seconds(1)...TimeSpan.seconds(3600)),
        "A quiet event stream gets a comment this often."),
      SettingKey("poll", \.channelTransports.poll, .duration(.zero...TimeSpan.seconds(300)), "How long a poll may be held."),
      SettingKey(
        "batch", \.channelTransports.batch, .int(1...100_000), "Messages of one answer to a poll or a question for history."),
    ])

  private static let size = SettingType<Int>.bytes(1 << 10...16 << 30)
  private static let age = SettingType<TimeSpan>.duration(.seconds(1)...TimeSpan.days(365))

  private static let options = SettingType<ChannelOptions>("{history, age, bytes, durable, presence, compress_binary}") {
    node throws(SettingProblem) in
    try SettingFields.read(node, "a namespace", ["history", "age", "bytes", "durable", "presence", "compress_binary"]) {
      fields throws(SettingProblem) in
      var options = ChannelOptions()
      options.history = try fields.optional("history", .int(0...10_000_000)) ?? options.history
      options.age = try fields.optional("age", age) ?? options.age
      options.bytes = try fields.optional("bytes", size) ?? options.bytes
      options.durable = try fields.optional("durable", .bool) ?? options.durable
      options.presence = try fields.optional("presence", .bool) ?? options.presence
      options.compressesBinary = try fields.optional("compress_binary", .bool) ?? options.compressesBinary
      return options
    }
  } write: { options in
    "{history: \(options.history), age: \(age.write(options.age)), bytes: \(size.write(options.bytes)), durable: \(options.durable), "
      + "presence: \(options.presence), compress_binary: \(options.compressesBinary)}"
  }

  private static let namespaces = SettingType<[String: ChannelOptions]>("a map of first segments to {history, age, …}") {
    node throws(SettingProblem) in
    if node.isNull { return [:] }
    guard case .map(let entries) = node.content else { return nil }
    var result: [String: ChannelOptions] = [:]
    for entry in entries {
      guard (try? ChannelName(entry.key)) != nil, !entry.key.contains("/") else {
        throw SettingProblem(entry.place, "\"\(entry.key)\" is no first segment of a channel's name")
      }
      result[entry.key] = try options.read(entry.value)
    }
    return result
  } write: { namespaces in
    let entries = namespaces.sorted { $0.key < $1.key }.map { "\(YAMLText.quoted($0.key)): \(options.write($0.value))" }
    return "{" + entries.joined(separator: ", ") + "}"
  }
}
