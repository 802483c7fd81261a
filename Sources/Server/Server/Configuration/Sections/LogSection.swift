internal import MartletPrimitives
internal import MartletWeb

/// What is logged, and how.
internal enum LogSection {
  static let section = SettingSection(
    "log", "What is logged on standard error.",
    [
      SettingKey("level", \.log.level, level, "The least important lines to show.", flag: "log-level", reloadable: true),
      SettingKey(
        "format", \.log.format, .choice, "text for people, json for log collectors.", flag: "log-format"),
      SettingKey("access", \.http.accessLog, .bool, "A line for each HTTP response.", flag: "log-access"),
    ])

  private static let level = SettingType<LogLevel>.scalar("debug, info, warning or error") { text in
    LogLevel.allCases.first { "\($0)" == text.lowercased() } ?? (text.lowercased() == "warn" ? .warning : nil)
  } write: {
    "\($0)"
  }
}
