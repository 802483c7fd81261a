/// What a reload changes, and what must wait for a restart.
package struct ConfigurationChange: Sendable {
  /// The running configuration with what can change now.
  package var configuration: ServerConfiguration
  package var applied: [String] = []
  package var needRestart: [String] = []

  package init(from running: ServerConfiguration, to wanted: ServerConfiguration) {
    configuration = running
    for setting in ConfigurationSections.located where !setting.key.isEqual(running, wanted) {
      if setting.key.isReloadable {
        setting.key.copy(from: wanted, to: &configuration)
        applied.append(setting.dotted)
      } else {
        needRestart.append(setting.dotted)
      }
    }
  }
}
