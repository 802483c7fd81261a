internal import MartletEndpoints
internal import MartletHTTP
internal import MartletPrimitives

/// Who may do what.
internal enum AuthSection {
  static let section = SettingSection(
    "auth",
    "Who may do what. An action is open to everybody until a key, a token key or the webhook is for it; then it needs one. "
      + "Uploads always do; administration is open to this machine only.",
    [
      SettingKey(
        "keys", \.auth.keys, .list(of: key),
        "Static keys, sent as ?key=…. do: publish, play, upload, download, admin; on: patterns, * within a segment, ** across.",
        example: "[{key: CHANGE-ME, do: [publish], on: [live/*]}]", reloadable: true, structured: true),
      SettingKey(
        "jwt", \.auth.tokens, .list(of: token),
        "Keys that tokens are verified with: a secret (HS256) or a public key file (RS256, ES256 or EdDSA, by the kind of key). "
          + "do: the actions that need a token; publish and play by default.",
        example: "[{secret_file: /etc/martlet/jwt.secret}, {id: issuer-1, public_key: /etc/martlet/issuer.pem, do: [publish]}]",
        reloadable: true, structured: true),
      SettingKey(
        "anyone", \.auth.anyone, .list(of: open),
        "What everybody may do without a key or token, where the action needs one elsewhere.",
        example: "[{do: [subscribe, history], on: [news/**]}, {do: [play], on: [live/lobby]}]", reloadable: true, structured: true),
      SettingKey(
        "leeway", \.auth.leeway, .duration(.zero...TimeSpan.seconds(600)), "How far the clock of whoever makes tokens may be off.",
        reloadable: true),
      SettingKey(
        "webhook", \.auth.webhook, webhook, "A server that is asked with a JSON body and allows with 200.",
        example: "{url: \"https://example.org/may\", do: [publish], secret: CHANGE-ME, timeout: 5s}", reloadable: true, structured: true),
      SettingKey(
        "allow", \.auth.allow, .list(of: rule), "With a rule for an action, only these addresses may do it.",
        example: "[{do: [publish], from: [192.0.2.0/24]}]", reloadable: true, structured: true),
      SettingKey(
        "deny", \.auth.deny, .list(of: rule), "These addresses may not, whatever else allows them.",
        example: "[{do: [publish, play], from: [198.51.100.7]}]", reloadable: true, structured: true),
    ])

  private static let actions = SettingType<[AccessAction]>.list(of: .choice)
  private static let patterns = SettingType<[PathPattern]>.list(of: AccessTypes.pattern)
  private static let hidden = "\"***\""

  private static let key = SettingType<AuthConfiguration.StaticKey>("{key, do, on}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a key", ["key", "key_file", "do", "on"]) { fields throws(SettingProblem) in
      guard let key = try fields.secret("key") else { throw fields.missing("key", "the secret itself, or key_file") }
      guard key.value.utf8.count >= 8 else { throw fields.problem("key", "a key needs at least 8 characters: a short one is guessed") }
      return AuthConfiguration.StaticKey(
        key: key, actions: try fields.required("do", actions), on: try fields.optional("on", patterns) ?? [.everything])
    }
  } write: {
    "{key: \(hidden), do: \(actions.write($0.actions)), on: \(patterns.write($0.on))}"
  }

  private static let open = SettingType<AuthConfiguration.OpenRule>("{do, on}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a rule for anyone", ["do", "on"]) { fields throws(SettingProblem) in
      let actions = try fields.required("do", actions)
      guard !actions.contains(.admin) else { throw fields.problem("do", "administration is never for anyone") }
      return AuthConfiguration.OpenRule(actions: actions, on: try fields.required("on", patterns))
    }
  } write: {
    "{do: \(actions.write($0.actions)), on: \(patterns.write($0.on))}"
  }

  private static let token = SettingType<AuthConfiguration.TokenKey>("{secret} or {public_key}, with id and do if wanted") {
    node throws(SettingProblem) in
    try SettingFields.read(node, "a token key", ["id", "secret", "secret_file", "public_key", "do"]) { fields throws(SettingProblem) in
      let secret = try fields.secret("secret")
      let file = try fields.optional("public_key", .path)
      guard (secret == nil) != (file == nil) else {
        throw fields.missing("secret", "exactly one of secret, secret_file and public_key")
      }
      if let secret, secret.value.utf8.count < 16 {
        throw fields.problem("secret", "an HS256 secret needs at least 16 bytes, better 32; `openssl rand -base64 32` makes one")
      }
      return AuthConfiguration.TokenKey(
        id: try fields.optional("id", .text), secret: secret, publicKeyFile: file,
        actions: try fields.optional("do", actions) ?? [.publish, .play])
    }
  } write: { token in
    let id = token.id.map { "id: \(YAMLText.quoted($0)), " } ?? ""
    let material = token.publicKeyFile.map { "public_key: \(YAMLText.quoted($0))" } ?? "secret: \(hidden)"
    return "{\(id)\(material), do: \(actions.write(token.actions))}"
  }

  private static let webhook = SettingType<AuthConfiguration.Webhook?>("{url, do, secret, timeout}") { node throws(SettingProblem) in
    if node.isNull { return .some(nil) }
    return try SettingFields.read(node, "the webhook", ["url", "do", "secret", "secret_file", "timeout"]) { fields throws(SettingProblem) in
      var webhook = AuthConfiguration.Webhook(
        url: try fields.required("url", AccessTypes.url), actions: try fields.optional("do", actions) ?? [.publish, .play],
        secret: try fields.secret("secret"))
      webhook.timeout = try fields.optional("timeout", .duration(.milliseconds(100)...TimeSpan.seconds(60))) ?? webhook.timeout
      return webhook
    }
  } write: { webhook in
    guard let webhook else { return "null" }
    return
      "{url: \(YAMLText.quoted(webhook.url)), do: \(actions.write(webhook.actions))\(webhook.secret == nil ? "" : ", secret: \(hidden)")}"
  }

  private static let rule = SettingType<AuthConfiguration.AddressRule>("{do, from}") { node throws(SettingProblem) in
    try SettingFields.read(node, "an address rule", ["do", "from"]) { fields throws(SettingProblem) in
      AuthConfiguration.AddressRule(
        actions: try fields.required("do", actions), from: try fields.required("from", .list(of: HTTPSection.range)))
    }
  } write: {
    "{do: \(actions.write($0.actions)), from: \(SettingType.list(of: HTTPSection.range).write($0.from))}"
  }
}

/// Kinds of values that several sections share.
internal enum AccessTypes {
  static let pattern = SettingType<PathPattern>.scalar("a pattern such as live/* or **") {
    PathPattern($0)
  } write: {
    YAMLText.quoted($0.text)
  }

  static let url = SettingType<String>.scalar("a URL such as \"https://example.org/hooks\"") { text in
    guard let url = URLReference(text), ["http", "https"].contains(url.scheme) else { return nil }
    return text
  } write: {
    YAMLText.quoted($0)
  }
}
