/// Header or trailer fields: in the order they came, names compared without regard to case (RFC 9110 §5).
package struct HTTPFields: Sendable {
  package struct Field: Equatable, Sendable {
    package var name: String
    package var value: String
  }

  private var fields: [Field] = []

  package init() {}

  package init(_ pairs: KeyValuePairs<String, String>) {
    fields = pairs.map { Field(name: $0.key, value: $0.value) }
  }

  /// The value of the first field of that name.
  package func first(_ name: String) -> String? { fields.first { $0.name.equalsIgnoringCase(name) }?.value }

  /// The value of the field of that name, and how many such fields there are.
  internal func only(_ name: String) -> (value: String?, count: Int) {
    var (value, count): (String?, Int) = (nil, 0)
    for field in fields where field.name.equalsIgnoringCase(name) {
      value = value ?? field.value
      count += 1
    }
    return (value, count)
  }

  package func all(_ name: String) -> [String] {
    fields.compactMap { $0.name.equalsIgnoringCase(name) ? $0.value : nil }
  }

  package func contains(_ name: String) -> Bool { first(name) != nil }

  /// The elements of all fields of that name as one comma-separated list (RFC 9110 §5.3).
  package func list(_ name: String) -> [String] { all(name).flatMap { $0.listElements.map(String.init) } }

  /// Whether the list field of that name holds `token`, in any case.
  package func contains(_ name: String, token: String) -> Bool {
    fields.contains { $0.name.equalsIgnoringCase(name) && $0.value.listElements.contains { $0.equalsIgnoringCase(token) } }
  }

  package mutating func append(_ name: String, _ value: String) { fields.append(Field(name: name, value: value)) }

  /// Replaces every field of that name by one, at the place of the first.
  package mutating func set(_ name: String, _ value: String) {
    guard let index = fields.firstIndex(where: { $0.name.equalsIgnoringCase(name) }) else { return append(name, value) }
    fields[index].value = value
    var seen = false
    fields.removeAll { field in
      guard field.name.equalsIgnoringCase(name) else { return false }
      defer { seen = true }
      return seen
    }
  }

  package mutating func remove(_ name: String) { fields.removeAll { $0.name.equalsIgnoringCase(name) } }

  /// Adds `token` to the list field of that name unless it is there, as `Vary` and `Connection` are built.
  package mutating func insert(_ name: String, token: String) {
    guard !contains(name, token: token) else { return }
    guard let value = first(name), !value.isEmpty else { return set(name, token) }
    set(name, all(name).joined(separator: ", ") + ", " + token)
  }

  package mutating func append(contentsOf other: HTTPFields) { fields.append(contentsOf: other.fields) }
}

extension HTTPFields: RandomAccessCollection {
  package var startIndex: Int { 0 }
  package var endIndex: Int { fields.count }
  package subscript(position: Int) -> Field { fields[position] }
}

extension HTTPFields: Equatable {}

extension HTTPFields: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, String)...) {
    fields = elements.map { Field(name: $0.0, value: $0.1) }
  }
}
