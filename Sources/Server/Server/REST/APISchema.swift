package import MartletPrimitives

/// The form of a JSON answer, as OpenAPI describes it.
package indirect enum APISchema: Sendable {
  case string, integer, number, boolean
  /// Whatever JSON there is.
  case any
  case array(APISchema)
  /// An object with these fields.
  case object([Field])
  /// An object whose names are data: `{"http-flv": 3}`.
  case map(APISchema)

  package struct Field: Sendable {
    package let name: String
    package let schema: APISchema
    package let doc: String
    package let isRequired: Bool

    package static func always(_ name: String, _ schema: APISchema, _ doc: String) -> Field {
      Field(name: name, schema: schema, doc: doc, isRequired: true)
    }

    package static func sometimes(_ name: String, _ schema: APISchema, _ doc: String) -> Field {
      Field(name: name, schema: schema, doc: doc, isRequired: false)
    }
  }

  package var json: JSON {
    switch self {
    case .string: return ["type": "string"]
    case .integer: return ["type": "integer"]
    case .number: return ["type": "number"]
    case .boolean: return ["type": "boolean"]
    case .any: return [:]
    case .array(let element): return ["type": "array", "items": element.json]
    case .map(let value): return ["type": "object", "additionalProperties": value.json]
    case .object(let fields):
      var properties = JSON.Object()
      for field in fields {
        var schema = field.schema.json.objectValue ?? JSON.Object()
        schema["description"] = .string(field.doc)
        properties[field.name] = .object(schema)
      }
      var object = JSON.Object()
      object["type"] = "object"
      object["required"] = .array(fields.filter(\.isRequired).map { .string($0.name) })
      object["properties"] = .object(properties)
      return .object(object)
    }
  }
}
