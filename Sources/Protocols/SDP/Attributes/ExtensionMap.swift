/// `extmap` (RFC 8285 §8): the id under which a header extension travels.
package struct ExtensionMap: Equatable, Sendable {
  /// 1 to 14 in one-byte headers, to 255 in two-byte ones; above that ids that an answerer may move down (§7).
  package var id: UInt16
  /// As written; `nil` when left out, which means both ways.
  package var direction: MediaDirection?
  package var uri: String
  package var attributes: String?

  package init(id: UInt16, direction: MediaDirection? = nil, uri: String) {
    self.id = id
    self.direction = direction
    self.uri = uri
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    id = try reader.number("an extension id", maximum: 4351)
    if reader.consume("/") { direction = try reader.choice("a direction", MediaDirection.init(rawValue:)) }
    try reader.space(before: "a URI")
    uri = try reader.token("a URI")
    reader.skipSpaces()
    if !reader.isAtEnd { attributes = reader.rest() }
  }
}

extension ExtensionMap: CustomStringConvertible {
  package var description: String { "\(id)\(direction.map { "/" + $0.rawValue } ?? "") \(uri)\(attributes.map { " " + $0 } ?? "")" }
}
