package import MartletPrimitives

/// The fields of one element of a list, such as a key or a webhook: small maps inside the configuration.
package struct SettingFields {
  private let fields: [String: YAMLNode.Entry]
  private let place: SettingPlace
  private let what: String

  /// Reads a map that may hold `names` only; `nil` when the node is no map.
  package static func read<Value>(
    _ node: YAMLNode, _ what: String, _ names: [String], _ body: (SettingFields) throws(SettingProblem) -> Value
  ) throws(SettingProblem) -> Value? {
    guard case .map(let entries) = node.content else { return nil }
    for entry in entries where !names.contains(entry.key) {
      let meant = Suggestion.nearest(to: entry.key, among: names).map { "did you mean \"\($0)\"?" }
      throw SettingProblem(
        entry.place, "\(what) has no field \"\(entry.key)\"; \(meant ?? "it has \(names.joined(separator: ", "))")")
    }
    return try body(
      SettingFields(
        fields: Dictionary(entries.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first }), place: node.place, what: what))
  }

  package func optional<Value>(_ name: String, _ type: SettingType<Value>) throws(SettingProblem) -> Value? {
    guard let entry = fields[name], !entry.value.isNull else { return nil }
    do throws(SettingProblem) { return try type.read(entry.value) } catch {
      throw SettingProblem(error.place, key: error.key, "\(name): \(error.reason)")
    }
  }

  package func required<Value>(_ name: String, _ type: SettingType<Value>) throws(SettingProblem) -> Value {
    guard let value = try optional(name, type) else { throw missing(name, type.expected) }
    return value
  }

  /// The secret under `name`, or the content of the file under `NAME_file` without the line's end.
  package func secret(_ name: String) throws(SettingProblem) -> Secret? {
    if let entry = fields[name], !entry.value.isNull {
      guard case .scalar(let text, _) = entry.value.content else { throw SettingProblem(entry.place, "\(name) is text") }
      return Secret(text)
    }
    guard let path = try optional(name + "_file", .path) else { return nil }
    do throws(FileError) {
      let text = String(decoding: try SmallFile.read(path), as: UTF8.self)
      return Secret(String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()))
    } catch {
      throw problem(name + "_file", "\(error)")
    }
  }

  package func missing(_ name: String, _ expected: String) -> SettingProblem {
    SettingProblem(place, "\(what) needs \"\(name)\": \(expected)")
  }

  package func problem(_ name: String, _ reason: String) -> SettingProblem {
    SettingProblem((fields[name] ?? fields[name + "_file"])?.place ?? place, "\(name): \(reason)")
  }
}
