import MartletPrimitives
import MartletServer
import TestSupport
import Testing

/// Checks values against the part of JSON Schema that the document uses.
enum SchemaCheck {
  static func problems(_ value: JSON, _ schema: JSON, at path: String = "$") -> [String] {
    switch schema["type"]?.stringValue {
    case "string": return value.stringValue == nil ? ["\(path) is no string"] : []
    case "integer": return value.intValue == nil ? ["\(path) is no integer"] : []
    case "number": return value.doubleValue == nil ? ["\(path) is no number"] : []
    case "boolean": return value.boolValue == nil ? ["\(path) is no boolean"] : []
    case "array":
      guard let elements = value.arrayValue, let items = schema["items"] else { return ["\(path) is no array"] }
      return elements.enumerated().flatMap { problems($1, items, at: "\(path)[\($0)]") }
    case "object":
      guard let object = value.objectValue else { return ["\(path) is no object"] }
      if let values = schema["additionalProperties"] {
        return object.members.flatMap { problems($0.value, values, at: "\(path).\($0.name)") }
      }
      let required = schema["required"]?.arrayValue?.compactMap(\.stringValue) ?? []
      let missing = required.filter { object[$0] == nil }.map { "\(path).\($0) is missing" }
      return missing
        + object.members.flatMap { member -> [String] in
          guard let inner = schema["properties"]?[member.name] else { return ["\(path).\(member.name) is not described"] }
          return problems(member.value, inner, at: "\(path).\(member.name)")
        }
    default: return ["\(path): the schema says nothing"]
    }
  }
}
