/// A JSON value (RFC 8259). Objects keep the order of their members, so that output is stable and readable.
///
/// Ours, because the protocol layer has no Foundation, and a peer's depth and size must be bounded.
public enum JSON: Equatable, Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits.
  case int(Int64)
  /// Any other number; always finite.
  case double(Double)
  case string(String)
  case array([JSON])
  case object(Object)

  /// Members in order. Setting a name that is there replaces its value in place.
  public struct Object: Equatable, Sendable {
    public struct Member: Equatable, Sendable {
      public var name: String
      public var value: JSON

      public init(name: String, value: JSON) {
        self.name = name
        self.value = value
      }
    }

    public private(set) var members: [Member] = []
    /// Built only for objects of many members: looking through a few is faster.
    private var index: [String: Int] = [:]

    public init() {}

    private func position(of name: String) -> Int? {
      members.count > 16 ? index[name] : members.firstIndex { $0.name == name }
    }

    public subscript(name: String) -> JSON? {
      get { position(of: name).map { members[$0].value } }
      set {
        switch (position(of: name), newValue) {
        case (let at?, let value?): members[at].value = value
        case (nil, let value?): append(name, value)
        case (let at?, nil):
          members.remove(at: at)
          reindex()
        case (nil, nil): break
        }
      }
    }

    private mutating func append(_ name: String, _ value: JSON) {
      members.append(Member(name: name, value: value))
      if members.count == 17 { reindex() } else if members.count > 17 { index[name] = members.count - 1 }
    }

    private mutating func reindex() {
      index = [:]
      guard members.count > 16 else { return }
      for (at, member) in members.enumerated() { index[member.name] = at }
    }

    public static func == (a: Object, b: Object) -> Bool { a.members == b.members }
  }
}

extension JSON {
  public var isNull: Bool { self == .null }

  public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// Also of a double without fraction.
  public var intValue: Int64? {
    switch self {
    case .int(let value): value
    case .double(let value): Int64(exactly: value)
    case .null, .bool, .string, .array, .object: nil
    }
  }

  /// Also of an integer.
  public var doubleValue: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    case .null, .bool, .string, .array, .object: nil
    }
  }

  public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
  public var arrayValue: [JSON]? { if case .array(let value) = self { value } else { nil } }
  public var objectValue: Object? { if case .object(let value) = self { value } else { nil } }

  /// A member of an object; `nil` for another kind of value or when there is none.
  public subscript(name: String) -> JSON? { objectValue?[name] }

  /// An element of an array; `nil` outside or for another kind of value.
  public subscript(position: Int) -> JSON? {
    guard case .array(let elements) = self, elements.indices.contains(position) else { return nil }
    return elements[position]
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(floatLiteral value: Double) { self = value.isFinite ? .double(value) : .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    var object = Object()
    for (name, value) in elements { object[name] = value }
    self = .object(object)
  }
}
