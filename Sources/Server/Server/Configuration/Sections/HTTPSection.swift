internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb

/// HTTP: time limits, other sites, proxies.
internal enum HTTPSection {
  static let section = SettingSection(
    "http", "HTTP and WebSocket.",
    [
      SettingKey(
        "trusted_proxies", \.http.trustedProxies, .list(of: range),
        "Proxies in front of this server: only their X-Forwarded-For is believed.", example: "[10.0.0.0/8]"),
      SettingKey("redirect_https", \.redirectsToHTTPS, .bool, "Answer plain HTTP with a redirect to HTTPS."),
      SettingKey(
        "static", \.staticFiles, .path, "A folder of your own files, served where nothing else has the address. Empty serves none.",
        example: "/srv/www"),
    ],
    sections: [
      SettingSection(
        "timeouts", "How long a client may take.",
        [
          SettingKey(
            "head", \.http.headTimeout, .duration(.seconds(1)...TimeSpan.days(1)), "From a request's first byte to the end of its head."),
          SettingKey("body", \.http.bodyTimeout, .duration(.seconds(1)...TimeSpan.days(1)), "Between two pieces of a request's content."),
          SettingKey("idle", \.http.idleTimeout, .duration(.seconds(1)...TimeSpan.days(1)), "Between requests of one connection."),
        ]),
      SettingSection(
        "cors", "Which other sites' pages may use this server.",
        [
          SettingKey(
            "origins", \.http.cors.origins, origins,
            "\"*\" for any site, or a list of origins such as [\"https://example.org\"]. With credentials \"*\" allows none.",
            reloadable: true),
          SettingKey(
            "credentials", \.http.cors.allowsCredentials, .bool, "Those pages may send cookies.", reloadable: true),
          SettingKey(
            "max_age", \.http.cors.maxAgeSeconds, seconds, "How long a browser may remember the answer.", reloadable: true),
        ]),
      WebSocketSection.section,
    ])

  internal static let range = SettingType<AddressRange>.scalar("an address or a CIDR block such as 10.0.0.0/8") {
    AddressRange($0)
  } write: {
    YAMLText.quoted("\($0)")
  }

  private static let seconds = SettingType<Int>.scalar("a duration in whole seconds such as 2h") { text in
    TimeSpanText.parse(text).flatMap { $0 >= .zero && $0 <= TimeSpan.days(1) ? Int($0.seconds) : nil }
  } write: {
    TimeSpanText.text(.seconds($0))
  }

  internal static let origin = SettingType<String>.scalar("an origin such as \"https://example.org\" (no path, no slash at the end)") {
    text in
    guard text != "null", let url = URLReference(text), ["http", "https"].contains(url.scheme), url.rawQuery == nil else { return nil }
    let isBare = text.utf8.filter { $0 == UInt8(ascii: "/") }.count == 2
    return isBare ? text.lowercased() : nil
  } write: {
    YAMLText.quoted($0)
  }

  private static let origins = SettingType<CORSPolicy.Origins>("\"*\" or a list of origins") { node throws(SettingProblem) in
    if case .scalar("*", _) = node.content { return .any }
    if case .list(let nodes) = node.content, nodes.count == 1, case .scalar("*", _) = nodes[0].content { return .any }
    return .exactly(Set(try SettingType.list(of: origin).read(node)))
  } write: { origins in
    switch origins {
    case .any: "\"*\""
    case .exactly(let list): SettingType.list(of: origin).write(list.sorted())
    }
  }
}
