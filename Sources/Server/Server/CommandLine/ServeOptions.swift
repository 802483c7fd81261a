/// The flags of `serve` and `demo`: those of the configuration's keys, and `--config`.
package enum ServeOptions {
  package static let flags: [CommandFlag] =
    [CommandFlag("config", "FILE", "the configuration file (MARTLET_CONFIG)")]
    + ConfigurationSections.located.compactMap { setting in
      setting.key.flag.map { CommandFlag($0, placeholder(setting), "\(summary(setting.key.doc)) (\(setting.environment))") }
    }

  private static func placeholder(_ setting: SettingSection.Located) -> String? {
    switch setting.key.expected {
    case "true or false": nil
    case let text where text.hasPrefix("ADDRESS:PORT"): "ADDRESS:PORT|off"
    case let text where text.contains(" or ") && !text.contains("such as"): setting.path.last.map { $0.uppercased() }
    case let text where text.contains("duration"): "DURATION"
    case let text where text.contains("number"): "N"
    default: setting.key.name.uppercased()
    }
  }

  private static func summary(_ doc: String) -> String {
    let sentence = doc.prefix { $0 != "." && $0 != ":" }
    // An acronym stays as it is.
    return sentence.dropFirst().first?.isUppercase == true ? String(sentence) : sentence.prefix(1).lowercased() + sentence.dropFirst()
  }

  /// Reads what `arguments`, the environment and the file say.
  /// - Parameter ignoring: flags that are no settings.
  /// - Returns: the configuration with notes for the log.
  package static func load(
    _ arguments: CommandLineArguments, ignoring: [String] = [], environment: [String: String]
  ) throws(ConfigurationError) -> ConfigurationLoader.Loaded {
    var file: ConfigurationSources.File?
    if let name = arguments["config"] ?? environment["MARTLET_CONFIG"], !name.isEmpty {
      do throws(FileError) { file = ConfigurationSources.File(name: name, text: try SmallFile.read(name)) } catch {
        let place = arguments["config"] == nil ? SettingPlace.environment("MARTLET_CONFIG") : .flag("--config")
        throw ConfigurationError(file: name, problems: [SettingProblem(place, "\(error)")])
      }
    }
    let flags = arguments.flags.filter { $0.name != "config" && !ignoring.contains($0.name) }
    var loaded = try ConfigurationLoader.load(ConfigurationSources(file: file, environment: environment, flags: flags))
    if loaded.configuration.state.isEmpty { loaded.configuration.state = stateFolder(environment) ?? "" }
    return loaded
  }

  /// Where a program of this user keeps what must survive a restart.
  private static func stateFolder(_ environment: [String: String]) -> String? {
    if let folder = environment["STATE_DIRECTORY"]?.split(separator: ":").first { return String(folder) }
    if let folder = environment["XDG_STATE_HOME"], folder.hasPrefix("/") { return folder + "/martlet" }
    if let home = environment["HOME"], home.hasPrefix("/") { return home + "/.local/state/martlet" }
    return nil
  }
}
