internal import MartletPrimitives

/// The settings at the top of the file.
internal enum GeneralSection {
  static let keys: [SettingKey] = [
    SettingKey(
      "workers", \.workers, .int(0...256, zero: "one for each core"),
      "Threads with an event loop each.", flag: "workers"),
    SettingKey(
      "diagnostics", \.diagnostics, .bool,
      "Endpoints under /diag that echo what they get: for measuring and for protocol test suites.", flag: "diagnostics"),
    SettingKey(
      "demo", \.demo, .bool, "Publish a moving test picture and a tone as live/demo, as `martlet demo` does.", flag: "demo"),
    SettingKey(
      "drain", \.drain, .duration(),
      "How long a stopping server waits for its connections to finish.", flag: "drain"),
    SettingKey(
      "state", \.state, .path,
      "The folder for what survives a restart: the administrator's first token, the development certificate. Empty: "
        + "$STATE_DIRECTORY (set by systemd), else $XDG_STATE_HOME/martlet, else ~/.local/state/martlet.", flag: "state"),
  ]
}
