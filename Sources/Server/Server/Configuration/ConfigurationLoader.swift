internal import MartletPrimitives

/// Where settings come from. A flag wins over an environment variable, that over the file, that over the default.
package struct ConfigurationSources: Sendable {
  package struct File: Sendable {
    package var name: String
    package var text: [UInt8]

    package init(name: String, text: [UInt8]) {
      self.name = name
      self.text = text
    }
  }

  package var file: File?
  package var environment: [String: String]
  /// Without the dashes, in the order given; the last of a name counts.
  package var flags: [(name: String, value: String)]

  package init(file: File? = nil, environment: [String: String] = [:], flags: [(name: String, value: String)] = []) {
    self.file = file
    self.environment = environment
    self.flags = flags
  }
}

/// Puts a configuration together from its sources, and finds everything that is wrong with them.
package struct ConfigurationLoader {
  private var configuration = ServerConfiguration()
  private var problems: [SettingProblem] = []
  /// Where each setting came from, for complaints about several settings together.
  private var places: [String: SettingPlace] = [:]

  package struct Loaded: Sendable {
    package var configuration: ServerConfiguration
    /// For the log: what is odd, but no error.
    package var notes: [String]
  }

  package static func load(_ sources: ConfigurationSources) throws(ConfigurationError) -> Loaded {
    var loader = ConfigurationLoader()
    let file = sources.file?.name ?? "configuration"
    if let file = sources.file { loader.read(file) }
    let notes = loader.read(environment: sources.environment)
    for flag in sources.flags { loader.read(flag: flag.name, flag.value) }
    loader.problems += ConfigurationChecks.problems(loader.configuration, loader.places)
    guard loader.problems.isEmpty else { throw ConfigurationError(file: file, problems: loader.problems) }
    return Loaded(configuration: loader.configuration, notes: notes)
  }

  // MARK: The file

  private mutating func read(_ file: ConfigurationSources.File) {
    let root: YAMLNode?
    do throws(YAMLError) { root = try YAMLParser.parse(file.text) } catch {
      problems.append(SettingProblem(error.place, error.reason))
      return
    }
    if let root, !root.isNull { read(root, ConfigurationSections.root, []) }
  }

  private mutating func read(_ node: YAMLNode, _ section: SettingSection, _ path: [String]) {
    // A section whose keys are all commented out.
    if node.isNull { return }
    guard case .map(let entries) = node.content else {
      let example =
        section.keys.first.map { "; for example\n  \(path.last ?? ""):\n    \($0.name): \($0.write(ServerConfiguration()))" } ?? ""
      problems.append(
        SettingProblem(
          node.place, key: path.joined(separator: "."),
          "found \(node.summary), expected keys with values\(path.isEmpty ? ", such as workers: 4" : example)"))
      return
    }
    for entry in entries {
      if let key = section.keys.first(where: { $0.name == entry.key }) {
        apply(key, entry.value, path + [key.name])
      } else if let inner = section.sections.first(where: { $0.name == entry.key }) {
        read(entry.value, inner, path + [inner.name])
      } else {
        problems.append(unknown(entry, section, path))
      }
    }
  }

  private func unknown(_ entry: YAMLNode.Entry, _ section: SettingSection, _ path: [String]) -> SettingProblem {
    let names = section.keys.map(\.name) + section.sections.map(\.name)
    let owner = path.isEmpty ? "there is no setting" : "\(path.joined(separator: ".")) has no setting"
    let advice: String
    if let nearest = Suggestion.nearest(to: entry.key, among: names) {
      advice = "did you mean \"\(nearest)\"?"
    } else if let elsewhere = ConfigurationSections.located.first(where: { $0.key.name == entry.key || $0.dotted == entry.key }) {
      advice = "\(entry.key) belongs under \(elsewhere.path.dropLast().joined(separator: "."))"
        .replacingEmptySection(elsewhere.path.count == 1)
    } else {
      advice = "it has \(names.joined(separator: ", "))"
    }
    return SettingProblem(entry.place, key: "", "\(owner) \"\(entry.key)\"; \(advice)")
  }

  // MARK: Environment and flags

  /// - Returns: notes on variables that look like ours and are not.
  private mutating func read(environment: [String: String]) -> [String] {
    var known: Set<String> = ["MARTLET_CONFIG"]
    for setting in ConfigurationSections.located {
      known.insert(setting.environment)
      guard let value = environment[setting.environment] else { continue }
      apply(setting.key, value, at: .environment(setting.environment), setting.path)
    }
    let strangers = environment.keys.filter { $0.hasPrefix("MARTLET_") && !known.contains($0) }.sorted()
    return strangers.map { name in
      let meant = Suggestion.nearest(to: name, among: known.sorted()).map { "; did you mean \($0)?" } ?? ""
      return "environment variable \(name) is no setting\(meant)"
    }
  }

  private mutating func read(flag name: String, _ value: String) {
    guard let setting = ConfigurationSections.located.first(where: { $0.key.flag == name }) else {
      problems.append(SettingProblem(.flag("--\(name)"), "there is no such flag"))
      return
    }
    apply(setting.key, value, at: .flag("--\(name)"), setting.path)
  }

  /// A value outside the file: lists as words with commas between, structures as YAML.
  private mutating func apply(_ key: SettingKey, _ value: String, at place: SettingPlace, _ path: [String]) {
    let trimmed = value.drop { $0 == " " }
    guard key.isStructured || trimmed.hasPrefix("[") && SocketAddress(value) == nil else {
      let words = value.split(separator: ",").map { YAMLNode.scalar(String($0.drop { $0 == " " }), at: place) }
      let isList = key.expected.contains("a list of")
      return apply(key, isList ? YAMLNode(.list(words), at: place) : .scalar(value, at: place), path)
    }
    do throws(YAMLError) {
      guard let node = try YAMLParser.parse(Array(value.utf8)) else { return }
      apply(key, node.moved(to: place), path)
    } catch {
      problems.append(SettingProblem(place, key: path.joined(separator: "."), error.reason))
    }
  }

  private mutating func apply(_ key: SettingKey, _ node: YAMLNode, _ path: [String]) {
    // `key:` without a value leaves the default.
    if node.isNull { return }
    let dotted = path.joined(separator: ".")
    places[dotted] = node.place
    do throws(SettingProblem) { try key.apply(node, &configuration) } catch {
      var problem = error
      problem.key = dotted
      if !key.isStructured, problem.reason.hasPrefix("found") {
        let value = key.example ?? key.write(ServerConfiguration())
        let isFile = if case .file = node.place { true } else { false }
        problem.reason += isFile ? "; for example \(key.name): \(value)" : "; for example \(value)"
      }
      problems.append(problem)
    }
  }
}

extension YAMLNode {
  /// The same content, said to be somewhere else: inside one environment variable lines and columns help nobody.
  fileprivate func moved(to place: SettingPlace) -> YAMLNode {
    switch content {
    case .scalar: YAMLNode(content, at: place)
    case .list(let nodes): YAMLNode(.list(nodes.map { $0.moved(to: place) }), at: place)
    case .map(let entries):
      YAMLNode(.map(entries.map { Entry(key: $0.key, place: place, value: $0.value.moved(to: place)) }), at: place)
    }
  }
}

extension String {
  fileprivate func replacingEmptySection(_ isTop: Bool) -> String {
    isTop ? "it belongs at the top of the file, without indentation" : self
  }
}
