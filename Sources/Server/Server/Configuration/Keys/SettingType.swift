package import MartletPrimitives

/// How values of one kind are written in the configuration.
package struct SettingType<Value: Sendable>: Sendable {
  /// Completes "found …, expected …".
  package let expected: String
  /// `nil` when the text means nothing of this kind; a sentence when it nearly does.
  package let parse: @Sendable (YAMLNode) throws(SettingProblem) -> Value?
  /// As it stands in a file.
  package let write: @Sendable (Value) -> String

  package init(
    _ expected: String, parse: @escaping @Sendable (YAMLNode) throws(SettingProblem) -> Value?,
    write: @escaping @Sendable (Value) -> String
  ) {
    self.expected = expected
    self.parse = parse
    self.write = write
  }

  /// A kind whose values are single words or numbers.
  package static func scalar(
    _ expected: String, parse: @escaping @Sendable (String) -> Value?, write: @escaping @Sendable (Value) -> String
  ) -> SettingType {
    SettingType(expected) { node throws(SettingProblem) in
      guard case .scalar(let text, _) = node.content, !node.isNull else { return nil }
      return parse(text)
    } write: {
      write($0)
    }
  }

  /// The value, or a problem that says what was expected.
  package func read(_ node: YAMLNode) throws(SettingProblem) -> Value {
    if let value = try parse(node) { return value }
    // Where a structure should stand, a word may be a secret.
    let isScalar = if case .scalar = node.content { true } else { false }
    let found = isScalar && !node.isNull && expected.contains("{") ? "text" : node.summary
    throw SettingProblem(node.place, "found \(found), expected \(expected)")
  }
}

extension SettingType where Value == Bool {
  package static let bool = scalar("true or false") { text in
    switch text.lowercased() {
    case "true", "yes", "on", "1": true
    case "false", "no", "off", "0": false
    default: nil
    }
  } write: {
    "\($0)"
  }
}

extension SettingType where Value == Int {
  package static func int(_ range: ClosedRange<Int>, zero: String? = nil) -> SettingType {
    let upper = range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
    return scalar("a whole number, \(upper)" + (zero.map { " (0: \($0))" } ?? "")) { text in
      Int(text.filter { $0 != "_" }).flatMap { range.contains($0) ? $0 : nil }
    } write: {
      "\($0)"
    }
  }

  /// Bytes, with or without a unit.
  package static func bytes(_ range: ClosedRange<Int>) -> SettingType {
    scalar("a size from \(ByteSize.text(range.lowerBound)) to \(ByteSize.text(range.upperBound)), such as 64KiB or 16MiB") { text in
      ByteSize.parse(text).flatMap { range.contains($0) ? $0 : nil }
    } write: {
      ByteSize.text($0)
    }
  }
}

extension SettingType where Value == String {
  package static let text = scalar("text") {
    $0
  } write: {
    YAMLText.quoted($0)
  }
  package static let path = scalar("a path") {
    $0
  } write: {
    YAMLText.quoted($0)
  }
}

extension SettingType where Value == TimeSpan {
  package static func duration(_ range: ClosedRange<TimeSpan> = TimeSpan.zero...TimeSpan.days(365)) -> SettingType {
    let bounds = range.lowerBound > .zero ? " of \(TimeSpanText.text(range.lowerBound)) or more" : ""
    return scalar("a duration\(bounds) such as 500ms, 10s or 2h") { text in
      TimeSpanText.parse(text).flatMap { range.contains($0) ? $0 : nil }
    } write: {
      TimeSpanText.text($0)
    }
  }
}

extension SettingType where Value == SocketAddress? {
  /// Where to listen.
  package static let listener = scalar("ADDRESS:PORT, :PORT for every address, or off") { text -> SocketAddress?? in
    if ["off", "no", "false"].contains(text.lowercased()) { return .some(nil) }
    if text.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(text) { return SocketAddress(ip: .anyV6, port: port) }
    let named = text.hasPrefix("localhost:") ? "127.0.0.1:" + text.dropFirst(10) : text
    return SocketAddress(named).map { .some($0) } ?? nil
  } write: { address in
    guard let address else { return "off" }
    return address.ip == .anyV6 ? "\":\(address.port)\"" : YAMLText.quoted("\(address)")
  }
}

extension SettingType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  /// One of a few words.
  package static var choice: SettingType {
    scalar(Value.allCases.map(\.rawValue).joined(separator: " or ")) { text in
      Value(rawValue: text.lowercased())
    } write: {
      $0.rawValue
    }
  }
}

extension SettingType {
  /// A list of such values; one alone needs no brackets.
  package static func list<Element: Sendable>(of element: SettingType<Element>) -> SettingType where Value == [Element] {
    SettingType("a list of \(element.expected)") { node throws(SettingProblem) in
      switch node.content {
      case .list(let nodes):
        var values: [Element] = []
        for node in nodes { values.append(try element.read(node)) }
        return values
      case .scalar:
        if node.isNull { return [] }
        return [try element.read(node)]
      case .map: return nil
      }
    } write: {
      "[" + $0.map(element.write).joined(separator: ", ") + "]"
    }
  }
}

extension TimeSpan {
  package static func days(_ count: Int) -> TimeSpan { .seconds(count * 86_400) }
}
