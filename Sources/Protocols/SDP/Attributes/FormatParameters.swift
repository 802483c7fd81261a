/// The parameters of an `fmtp` line (RFC 8866 §6.15): mostly `name=value` between semicolons, in order. What has no `=`, such as
/// the `0-15` of telephone-event or the `111/111` of RED, is a name without a value.
package struct FormatParameters: Equatable, Sendable {
  package struct Parameter: Equatable, Sendable {
    package var name: String
    package var value: String?

    package init(_ name: String, _ value: String?) {
      self.name = name
      self.value = value
    }
  }

  package var parameters: [Parameter] = []

  package init() {}

  package init(_ text: String) {
    for part in text.utf8.split(separator: UInt8(ascii: ";")) {
      guard let part = part.trimmed else { continue }
      guard let equals = part.firstIndex(of: UInt8(ascii: "=")) else {
        parameters.append(Parameter(String(Substring(part)), nil))
        continue
      }
      let value = part[part.index(after: equals)...].trimmed
      parameters.append(Parameter(String(Substring(part[..<equals])), value.map { String(Substring($0)) } ?? ""))
    }
  }

  package var isEmpty: Bool { parameters.isEmpty }

  /// The value of a parameter, whose name is compared without case (RFC 4855 §3); setting `nil` removes it.
  package subscript(name: String) -> String? {
    get { parameters.first { $0.name.lowercased() == name.lowercased() }?.value }
    set {
      let index = parameters.firstIndex { $0.name.lowercased() == name.lowercased() }
      switch (index, newValue) {
      case (let index?, let value?): parameters[index].value = value
      case (let index?, nil): parameters.remove(at: index)
      case (nil, let value?): parameters.append(Parameter(name, value))
      case (nil, nil): break
      }
    }
  }

  /// A parameter that is a decimal number; `nil` when it is absent or none.
  package func number(_ name: String) -> Int? { self[name].flatMap { Int($0) } }
}

extension FormatParameters: CustomStringConvertible {
  package var description: String {
    parameters.map { parameter in parameter.value.map { "\(parameter.name)=\($0)" } ?? parameter.name }.joined(separator: ";")
  }
}

extension FormatParameters: ExpressibleByStringLiteral {
  package init(stringLiteral text: String) { self.init(text) }
}

extension Substring.UTF8View {
  /// Without spaces at both ends; `nil` when nothing is left.
  fileprivate var trimmed: Substring.UTF8View? {
    let space = UInt8(ascii: " ")
    guard let first = firstIndex(where: { $0 != space }), let last = lastIndex(where: { $0 != space }) else { return nil }
    return self[first...last]
  }
}
