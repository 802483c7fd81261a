/// One thing wrong with the configuration: where, what was found, what was expected, and how to put it right.
package struct SettingProblem: Error, Hashable, Sendable {
  package var place: SettingPlace
  /// Dotted, as in `streams.grace`; empty for the file as a whole.
  package var key: String
  package var reason: String

  package init(_ place: SettingPlace, key: String = "", _ reason: String) {
    self.place = place
    self.key = key
    self.reason = reason
  }

  /// For a person, as compilers do: `martlet.yaml:3:10: streams.grace: …`.
  package func description(file: String) -> String {
    let prefix = key.isEmpty ? "" : "\(key): "
    switch place {
    case .file(let line, let column): return "\(file):\(line):\(column): \(prefix)\(reason)"
    case .environment, .flag: return "\(place): \(prefix)\(reason)"
    }
  }
}

/// All that is wrong at once, so that one attempt is enough to put it right.
package struct ConfigurationError: Error, Equatable, Sendable {
  package var file: String
  package var problems: [SettingProblem]

  package init(file: String, problems: [SettingProblem]) {
    self.file = file
    self.problems = problems
  }

  package var lines: [String] { problems.map { $0.description(file: file) } }
}
