package import MartletHTTP

/// Header fields in their order; names are compared without regard to case (RFC 9110 §5).
public struct HTTPHeaders: Sendable, Equatable, Sequence, ExpressibleByDictionaryLiteral {
  package var fields: HTTPFields

  public init() { fields = HTTPFields() }
  package init(_ fields: HTTPFields) { self.fields = fields }

  public init(dictionaryLiteral elements: (String, String)...) {
    fields = HTTPFields()
    for (name, value) in elements { fields.append(name, value) }
  }

  /// The value of the first field of that name. Setting it replaces all of them; `nil` removes them.
  public subscript(name: String) -> String? {
    get { fields.first(name) }
    set { if let newValue { fields.set(name, newValue) } else { fields.remove(name) } }
  }

  /// The values of all fields of that name.
  public func values(_ name: String) -> [String] { fields.all(name) }

  /// Adds a field behind those there are.
  public mutating func append(_ name: String, _ value: String) { fields.append(name, value) }

  public func makeIterator() -> AnyIterator<(name: String, value: String)> {
    var fields = fields.makeIterator()
    return AnyIterator { fields.next().map { ($0.name, $0.value) } }
  }
}
