internal import MartletPrimitives

/// Messages to other servers when sessions begin and end.
internal enum WebhooksSection {
  static let section = SettingSection(
    "webhooks", "Messages (POST, JSON) to other servers when sessions begin and end, signed with HMAC-SHA256.",
    [
      SettingKey(
        "targets", \.webhooks.targets, .list(of: target),
        "Who hears of what. events: publish, unpublish, play, stop, allocate, release; all by default.",
        example: "[{url: \"https://example.org/hooks\", events: [publish, unpublish], secret: CHANGE-ME}]", reloadable: true,
        structured: true),
      SettingKey(
        "queue", \.webhooks.queue, .int(1...100_000), "Messages that may wait for one target; beyond, the oldest is dropped.",
        reloadable: true),
      SettingKey("attempts", \.webhooks.attempts, .int(1...20), "Attempts for one message, with growing pauses.", reloadable: true),
      SettingKey(
        "timeout", \.webhooks.timeout, .duration(.milliseconds(100)...TimeSpan.seconds(60)), "For one attempt.", reloadable: true),
    ])

  private static let target = SettingType<WebhookConfiguration.Target>("{url, events, secret}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a webhook", ["url", "events", "secret", "secret_file"]) { fields throws(SettingProblem) in
      WebhookConfiguration.Target(
        url: try fields.required("url", AccessTypes.url),
        events: try fields.optional("events", .list(of: .choice)) ?? WebhookConfiguration.Event.allCases,
        secret: try fields.secret("secret"))
    }
  } write: { target in
    "{url: \(YAMLText.quoted(target.url)), events: [\(target.events.map(\.rawValue).joined(separator: ", "))]\(target.secret == nil ? "" : ", secret: \"***\"")}"
  }
}
