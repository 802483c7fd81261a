/// Where a setting was written, for messages that lead to it.
package enum SettingPlace: Hashable, Sendable, CustomStringConvertible {
  /// Line and column count from 1.
  case file(line: Int, column: Int)
  case environment(String)
  case flag(String)

  package var description: String {
    switch self {
    case .file(let line, let column): "line \(line), column \(column)"
    case .environment(let name): "environment variable \(name)"
    case .flag(let name): name
    }
  }
}

/// A piece of the configuration as it was written, before anybody asks what it means.
package struct YAMLNode: Hashable, Sendable {
  package enum Content: Hashable, Sendable {
    /// - Parameter isPlain: without quotes, so that `null` and an empty value mean "not set".
    case scalar(String, isPlain: Bool)
    case list([YAMLNode])
    case map([Entry])
  }

  package struct Entry: Hashable, Sendable {
    package let key: String
    package let place: SettingPlace
    package let value: YAMLNode
  }

  package let content: Content
  package let place: SettingPlace

  package init(_ content: Content, at place: SettingPlace) {
    self.content = content
    self.place = place
  }

  package static func scalar(_ text: String, at place: SettingPlace) -> YAMLNode {
    YAMLNode(.scalar(text, isPlain: false), at: place)
  }

  /// `key:` without a value, `~` or `null`.
  package var isNull: Bool {
    if case .scalar(let text, true) = content { ["", "~", "null"].contains(text) } else { false }
  }

  /// What stands there, in a few words, for "found …, expected …".
  package var summary: String {
    switch content {
    case .scalar where isNull: "nothing"
    case .scalar(let text, _): "\"\(text.count > 60 ? text.prefix(60) + "…" : Substring(text))\""
    case .list: "a list"
    case .map: "a section with keys"
    }
  }
}
