/// One setting: its name, what it means and how it is read. From these tables come the parser, the annotated example file,
/// the environment variables, the flags and the reference page.
package struct SettingKey: Sendable {
  /// Within its section.
  package let name: String
  package let doc: String
  package let expected: String
  /// Without the dashes.
  package var flag: String?
  /// In place of the one made from the path.
  package var environmentName: String?
  /// Shown commented out in the example file, for settings that are off by default.
  package var example: String?
  package var isReloadable = false
  /// A list or a map in the environment is YAML, not words with commas between.
  package var isStructured = false

  package let apply: @Sendable (YAMLNode, inout ServerConfiguration) throws(SettingProblem) -> Void
  /// The value as it stands in a file.
  package let write: @Sendable (ServerConfiguration) -> String
  /// Compares the values themselves, secrets included.
  package let isEqual: @Sendable (ServerConfiguration, ServerConfiguration) -> Bool
  private let adopt: @Sendable (ServerConfiguration, inout ServerConfiguration) -> Void

  package init<Value: Equatable & Sendable>(
    _ name: String, _ path: any WritableKeyPath<ServerConfiguration, Value> & Sendable, _ type: SettingType<Value>, _ doc: String,
    flag: String? = nil, environment: String? = nil, example: String? = nil, reloadable: Bool = false, structured: Bool = false
  ) {
    self.name = name
    self.doc = doc
    self.flag = flag
    environmentName = environment
    self.example = example
    isReloadable = reloadable
    isStructured = structured
    expected = type.expected
    apply = { node, configuration throws(SettingProblem) in configuration[keyPath: path] = try type.read(node) }
    write = { type.write($0[keyPath: path]) }
    isEqual = { $0[keyPath: path] == $1[keyPath: path] }
    adopt = { $1[keyPath: path] = $0[keyPath: path] }
  }

  /// Takes this one value over.
  package func copy(from source: ServerConfiguration, to target: inout ServerConfiguration) { adopt(source, &target) }
}

/// Settings that stand together under one name.
package struct SettingSection: Sendable {
  /// Empty for the top of the file.
  package let name: String
  package let doc: String
  package let keys: [SettingKey]
  package let sections: [SettingSection]

  package init(_ name: String, _ doc: String, _ keys: [SettingKey], sections: [SettingSection] = []) {
    self.name = name
    self.doc = doc
    self.keys = keys
    self.sections = sections
  }

  /// A key with its place in the whole.
  package struct Located: Sendable {
    package let path: [String]
    package let key: SettingKey
    package var dotted: String { path.joined(separator: ".") }
    package var environment: String { key.environmentName ?? "MARTLET_" + path.joined(separator: "_").uppercased() }
  }

  /// Every key below, in order.
  package func located(_ prefix: [String] = []) -> [Located] {
    let here = name.isEmpty ? prefix : prefix + [name]
    return keys.map { Located(path: here + [$0.name], key: $0) } + sections.flatMap { $0.located(here) }
  }
}
